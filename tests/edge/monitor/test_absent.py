"""What is said of what this server has none of."""

import sys
from typing import Any

import pytest

from edge.monitor.absent import expvarz


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["petiole-edge", "run", "--user", "me", "--pass", "secret"], ["petiole-edge", "run", "--user", "me", "--pass", "[REDACTED]"]),
        (["edge", "-pass=secret", "-auth=x=y"], ["edge", "-pass=[REDACTED]", "-auth=[REDACTED]"]),
        (["edge", "--auth", "--pass", "-p", "1"], ["edge", "--auth", "[REDACTED]", "-p", "1"]),
        (["edge", "pass", "auth=1", "--pass"], ["edge", "pass", "auth=1", "--pass"]),
    ],
)
def test_secrets_of_the_command_line(monkeypatch: Any, given: list[str], shown: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", given)
    assert expvarz(7) == {"cmdline": shown, "memstats": {"Sys": 7}}
