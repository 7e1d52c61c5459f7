"""Subjects: dot-separated tokens; ``*`` stands for one token, ``>`` for one or more at the end.

Both wildcards count only as whole tokens: ``a*`` and ``>b`` are literal (reference: core.md section 2).
"""

from collections.abc import Sequence

WHITE = frozenset(" \t\r\n\f\v")


def tokens(subject: str) -> list[str]:
    return subject.split(".")


def is_valid(subject: str) -> bool:
    """May be subscribed to: no empty token, no white space, ``>`` last."""
    if not subject or not WHITE.isdisjoint(subject):
        return False
    parts = subject.split(".")
    return "" not in parts and (">" not in parts or parts.index(">") == len(parts) - 1)


def is_wildcard(subject: str) -> bool:
    if "*" not in subject and ">" not in subject:
        return False
    parts = subject.split(".")
    return "*" in parts or parts[-1] == ">"


def is_literal(subject: str) -> bool:
    """May be published to."""
    return is_valid(subject) and not is_wildcard(subject)


def matches(pattern: str, subject: str) -> bool:
    """Does the literal ``subject`` fall under ``pattern``?"""
    return pattern == subject or _covers(pattern.split("."), subject.split("."))


def subset(narrow: str, wide: str) -> bool:
    """Does every subject that ``narrow`` matches match ``wide`` too?"""
    return narrow == wide or _covers(wide.split("."), narrow.split("."))


def overlap(a: str, b: str) -> bool:
    """Is there a literal subject that both patterns match?"""
    left, right = a.split("."), b.split(".")
    for x, y in zip(left, right, strict=False):
        if x == ">" or y == ">":
            return True
        if x != y and x != "*" and y != "*":
            return False
    return len(left) == len(right)


def intersection(a: str, b: str) -> str | None:
    """The pattern of all subjects that both match, or None when there are none."""
    left, right = a.split("."), b.split(".")
    common: list[str] = []
    for i in range(max(len(left), len(right))):
        x, y = _token(left, i), _token(right, i)
        if x is None or y is None or (x != y and not {x, y} & {"*", ">"}):
            return None
        if x == ">" or y == ">":
            rest = left[i:] if y == ">" else right[i:]
            return ".".join(common + rest)
        common.append(y if x == "*" else x)
    return ".".join(common)


def _token(tokens: Sequence[str], i: int) -> str | None:
    return tokens[i] if i < len(tokens) else None


def _covers(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    for i, token in enumerate(wide):
        if token == ">":
            return len(narrow) > i
        if i >= len(narrow) or (token != narrow[i] and (token != "*" or narrow[i] == ">")):
            return False
    return len(wide) == len(narrow)
