"""Which processes are servers, and which is meant."""

from pathlib import Path

import pytest

from edge import signals
from edge.errors import StartError
from edge.signals import running


@pytest.fixture
def processes(tmp_path: Path) -> Path:
    """A /proc."""
    table = {
        "1": "/sbin/init",
        "20": "/venv/bin/python /venv/bin/petiole-edge run -c x",
        "21": "/venv/bin/petiole-edge run",
        "30": "python3 -m edge run -p 4222",
        "31": "python3 -X dev -m edge run",
        "40": "petiole-edge check x",
        "41": "petiole-edge run -sl reload",
        "42": "petiole-edge run --signal=reload",
        "43": "vim petiole-edge",
        "44": "grep run petiole-edge",
        "45": "",
    }
    for pid, line in table.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(line.replace(" ", "\0").encode() + b"\0")
    (tmp_path / "99").mkdir()  # ended meanwhile
    (tmp_path / "self").mkdir()
    return tmp_path


def test_running_servers(processes: Path) -> None:
    assert running(processes) == [20, 21, 30, 31]


@pytest.mark.parametrize(
    ("expression", "killed"),
    [("reload=5", [5]), ("reload=2*", [20, 21]), ("reload=*", [20, 21, 30, 31]), ("reload=31*", [31])],
)
def test_targets(
    expression: str, killed: list[int], processes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(signals, "PROCESSES", processes)
    monkeypatch.setattr(signals.os, "kill", lambda pid, number: sent.append(pid))
    signals.send(expression)
    assert sent == killed


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("reload", "several are running, name one with =pid: 20, 21, 30, 31"),
        ("reload=7*", "no petiole-edge is running"),
        ("hup", "unknown signal 'hup'"),
    ],
)
def test_no_target(expression: str, problem: str, processes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PROCESSES", processes)
    with pytest.raises(StartError) as caught:
        signals.send(expression)
    assert str(caught.value).startswith(problem)
