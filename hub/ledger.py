"""The count at the end: what the devices produced against what the hub has stored.  Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Reading = tuple[str, int]
"""Device and number; every device numbers its readings 1, 2, 3 ..."""


@dataclass(frozen=True, slots=True)
class Account:
    """The books of one run."""

    produced: int
    stored: int
    missing: tuple[Reading, ...]
    duplicates: tuple[Reading, ...]
    """Readings stored more than once, each as often as it is too many."""
    strangers: tuple[Reading, ...]
    """Stored, but no device says it has produced them."""

    def balances(self) -> bool:
        return not (self.missing or self.duplicates or self.strangers)

    def lines(self) -> list[str]:
        return [
            f"readings produced by the devices  {self.produced}",
            f"stored at the hub                 {self.stored}",
            f"missing                           {len(self.missing)}",
            f"duplicates                        {len(self.duplicates)}",
        ]

    def faults(self) -> list[str]:
        """A sentence for each way in which the books do not balance."""
        kinds = (("missing", self.missing), ("duplicate", self.duplicates), ("never produced", self.strangers))
        return [f"{len(readings)} {kind}: {_some(readings)}" for kind, readings in kinds if readings]


def balance(produced: Mapping[str, int], stored: Iterable[Reading]) -> Account:
    """Compare; `produced` is the number of readings of each device."""
    expected = {(device, n) for device, count in produced.items() for n in range(1, count + 1)}
    found = Counter(stored)
    surplus = found - Counter(found.keys())
    return Account(
        produced=len(expected),
        stored=found.total(),
        missing=tuple(sorted(expected - found.keys())),
        duplicates=tuple(sorted(surplus.elements())),
        strangers=tuple(sorted(found.keys() - expected)),
    )


def _some(readings: tuple[Reading, ...]) -> str:
    shown = ", ".join(f"{device} #{n}" for device, n in readings[:5])
    return f"{shown}, ..." if len(readings) > 5 else shown
