"""Which export lets which account import what."""

import pytest

from edge.core.account_spec import AccountSpec, Export, Import
from edge.core.exports import find_export

EXPORTER = AccountSpec(
    "A",
    exports=(
        Export("open.>", service=False),
        Export("open.closed", service=False, accounts=frozenset("C")),
        Export("mine.*.>", service=False, account_position=2),
        Export("serve", service=True, accounts=frozenset("B")),
    ),
)


@pytest.mark.parametrize(
    ("subject", "service", "importer", "expected"),
    [
        ("open.x", False, "B", "open.>"), ("open.>", False, "B", "open.>"), ("open", False, "B", None), (">", False, "B", None),
        ("open.closed", False, "B", None), ("open.closed", False, "C", "open.closed"),
        ("mine.B.x", False, "B", "mine.*.>"), ("mine.C.x", False, "B", None), ("mine.*.x", False, "B", None),
        ("serve", True, "B", "serve"), ("serve", True, "C", None), ("serve", False, "B", None), ("open.x", True, "B", None),
    ],
)  # fmt: skip
def test_the_export_that_decides(subject: str, service: bool, importer: str, expected: str | None) -> None:
    found = find_export(EXPORTER, importer, Import("A", subject, service, subject))
    assert (found.subject if found else None) == expected
