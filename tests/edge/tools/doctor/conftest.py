"""A machine under a folder: what is not written there is not so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.tools.doctor.finding import Finding
from edge.tools.doctor.machine import Machine, Space


class Model(Machine):
    """``wall_s``, ``kept`` and ``room`` are what its clock and its disk say; ``answers`` what programs print."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.wall_s = 1_800_000_000.0
        self.kept: bool | None = None
        self.room = Space(10 << 30, 16 << 30, 1_000_000, 2_000_000)
        self.answers: dict[str, str] = {}
        self.device: Path | None = None

    def put(self, path: str, text: str) -> None:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def wall(self) -> float:
        return self.wall_s

    def clock_is_kept(self) -> bool | None:
        return self.kept

    def space(self, path: str) -> Space:
        return self.room

    def run(self, *command: str) -> str | None:
        return self.answers.get(command[0])

    def block_device(self, path: str) -> Path | None:
        return self.device


@pytest.fixture
def model(tmp_path: Path) -> Model:
    root = tmp_path / "machine"
    root.mkdir()
    return Model(root)


@pytest.fixture
def told() -> Callable[[Any], list[str]]:
    """Findings as short texts: ``["FAIL ports: ... -> remedy"]``."""

    def short(findings: Any) -> list[str]:
        return [_short(each) for each in findings]

    return short


def _short(finding: Finding) -> str:
    assert (finding.level.value == "OK") == (not finding.remedy), finding
    assert "\n" not in finding.found + finding.remedy
    text = f"{finding.level.value} {finding.check}: {finding.found}"
    return f"{text} -> {finding.remedy}" if finding.remedy else text
