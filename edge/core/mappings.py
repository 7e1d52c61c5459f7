"""Under which subject a message goes on that was published in an account (reference: core.md section 4)."""

import random
from collections.abc import Iterable
from typing import NamedTuple

from edge.core.account_spec import Mapping
from edge.core.stream_imports import numbered
from edge.core.transforms import Transform
from edge.subjects import matches

MAX_CACHE = 8192


class Share(NamedTuple):
    """A destination and its percent of the messages."""

    weight: int
    transform: Transform


class Way(NamedTuple):
    """One mapping.  ``is_fixed``: the same subject always becomes the same."""

    source: str
    shares: tuple[Share, ...]
    is_fixed: bool


class SubjectMappings:
    """The first mapping whose source matches decides.  Nothing is mapped twice.

    A message whose mapping leaves less than its share of 100 percent goes nowhere when the source itself is among
    the destinations (loss on purpose), else under the subject it had.
    """

    def __init__(self, mappings: Iterable[Mapping]) -> None:
        self.ways = [_way(mapping) for mapping in mappings]
        self.known: dict[str, Way | str] = {}  # by subject: what it becomes, or how that is decided

    def map(self, subject: str) -> str:
        """Empty for a message that is to be lost."""
        known = self._known(subject)
        return known if isinstance(known, str) else _choose(known, subject)

    def fixed(self, subject: str) -> bool:
        return isinstance(self._known(subject), str)

    def _known(self, subject: str) -> Way | str:
        known = self.known.get(subject)
        if known is None:
            if len(self.known) >= MAX_CACHE:
                self.known.clear()
            known = self.known[subject] = self._decide(subject)
        return known

    def _decide(self, subject: str) -> Way | str:
        for way in self.ways:
            if matches(way.source, subject):
                return _choose(way, subject) if way.is_fixed else way
        return subject


def make_mappings(mappings: Iterable[Mapping]) -> SubjectMappings | None:
    """None where nothing is mapped."""
    found = SubjectMappings(mappings)
    return found if found.ways else None


def _way(mapping: Mapping) -> Way:
    """Destinations for other clusters are not for a single node."""
    here = [destination for destination in mapping.destinations if not destination.cluster]
    shares = [Share(item.weight, Transform(mapping.source, item.subject)) for item in here]
    total = sum(share.weight for share in shares)
    if total != 100 and mapping.source not in {item.subject for item in mapping.destinations}:
        shares.append(Share(100 - total, Transform(mapping.source, numbered(mapping.source))))
    is_fixed = len(shares) == 1 and shares[0].weight == 100 and shares[0].transform.is_fixed
    return Way(mapping.source, tuple(shares), is_fixed)


def _choose(way: Way, subject: str) -> str:
    at = 0 if way.is_fixed else random.randrange(100)
    for weight, transform in way.shares:
        if at < weight:
            return transform.match(subject) or ""
        at -= weight
    return ""
