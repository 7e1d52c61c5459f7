"""What is said to a process of simulated edges; their lives are in tests/hub/test_simulation.py."""

import subprocess
import sys


def told(*lines: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "edge.tools.fleet"]
    return subprocess.run(words, input="\n".join(lines), capture_output=True, text=True, timeout=60)


def test_no_edges_are_a_fleet_too() -> None:
    done = told('{"configs": [], "interval_s": 1}', '"stop"', '"end"')
    assert (done.returncode, done.stderr) == (0, "")
    assert '{"devices": {}}' in done.stdout.splitlines()


def test_what_is_missing_is_said_in_a_line() -> None:
    for first in ("", "{}", '{"configs": []}', '{"configs": 3, "interval_s": 1}', "nonsense"):
        done = told(first)
        assert done.returncode == 1
        assert done.stderr.startswith("fleet: expected a line of JSON"), done.stderr


def test_a_configuration_that_is_not_there() -> None:
    done = told('{"configs": ["/nowhere.conf"], "interval_s": 1}')
    assert done.returncode == 1
    assert "/nowhere.conf" in done.stderr
    assert "Traceback" not in done.stderr
