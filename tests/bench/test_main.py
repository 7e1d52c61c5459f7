"""The command as it is called, with its quickest workload."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "RESULTS.md"


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "bench", *words], cwd=ROOT, capture_output=True, text=True)


def test_one_quick_workload_is_printed_and_not_written(tmp_path: Path) -> None:
    before = RESULTS.read_bytes() if RESULTS.exists() else None
    done = bench("--quick", "--only", "start", "--dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "nats-server 2." in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("| start to first INFO")]
    assert "1 → 1" not in done.stdout
    assert (RESULTS.read_bytes() if RESULTS.exists() else None) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "strat"], "invalid choice: 'strat'"),
        (["--dir", "/nowhere"], "/nowhere is not a folder that can be written to"),
    ],
)
def test_a_mistake_on_the_command_line(words: list[str], said: str) -> None:
    done = bench(*words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
