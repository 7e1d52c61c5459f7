from pathlib import Path

from bench.conditions import describe, file_system, sync_ms
from bench.servers import Cores


def test_what_a_figure_needs_beside_it(tmp_path: Path) -> None:
    text = describe(tmp_path, Cores(0, 1), 5, 3.0)
    for word in ("cores", "Linux", "load average", "Python 3.", "uvloop", "SQLite", "nats-server 2.", "fdatasync",
                 "core 0", "core 1", "5 runs of 3 s", "least - greatest"):  # fmt: skip
        assert word in text


def test_one_core_and_one_run_are_said(tmp_path: Path) -> None:
    text = describe(tmp_path, Cores(0, 0), 1, 1.0)
    assert "the only core there is" in text and "one run says little" in text


def test_the_file_system_of_a_folder(tmp_path: Path) -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(tmp_path / "not there yet") == file_system(tmp_path)


def test_a_disk_takes_its_time(tmp_path: Path) -> None:
    median, worst = sync_ms(tmp_path)
    assert 0 < median <= worst
