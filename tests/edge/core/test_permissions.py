import pytest

from edge.core.permissions import SubjectRule


@pytest.mark.parametrize(
    ("allow", "deny", "subject", "expected"),
    [
        (None, (), "a", True), ((), (), "a", False), (("a.>",), (), "a.b", True), (("a.>",), (), "b", False),
        (None, ("a.*",), "a.b", False), (("a.>",), ("a.no",), "a.no", False), (("a.>",), ("a.no",), "a.yes", True),
    ],
)  # fmt: skip
def test_publish(allow: tuple[str, ...] | None, deny: tuple[str, ...], subject: str, expected: bool) -> None:
    assert SubjectRule(allow, deny).permits(subject) is expected


@pytest.mark.parametrize(
    ("allow", "deny", "subject", "permitted", "filtered"),
    [
        (("in.>",), (), "in.*", True, False), (("in.*",), (), "in.>", False, False), (None, (), ">", True, False),
        (None, ("in.no",), "in.>", True, True), (None, ("in.no",), "in.no", False, True), (None, ("in.>",), "in.a", False, True),
        (None, ("in.no",), "out", True, False),
    ],
)  # fmt: skip
def test_subscribe(
    allow: tuple[str, ...] | None, deny: tuple[str, ...], subject: str, permitted: bool, filtered: bool
) -> None:
    rule = SubjectRule(allow, deny)
    assert rule.permits_interest(subject) is permitted and rule.filters(subject) is filtered
