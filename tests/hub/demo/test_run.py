"""The demo as it is typed: to its end, and ended by Ctrl-C.  Whatever happens, no process of it stays."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def demo(tmp_path):
    """petiole-hub demo --fast, with everything it makes under tmp_path."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", "from hub.cli import main; main()", "demo", "--fast", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.communicate()


def living(directory):
    """Command lines of the processes that have a file of `directory` among their words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(directory) in line:
            found.append(line)
    return found


def test_books_balance_and_nothing_stays(demo, tmp_path):
    output, _ = demo.communicate()
    assert demo.returncode == 0, output
    counts = re.findall(r"^(readings produced by the devices|stored at the hub) +(\d+)$", output, re.MULTILINE)
    assert len(counts) == 2 and counts[0][1] == counts[1][1] and int(counts[0][1]) > 0, output
    assert re.search(r"^missing +0$\n^duplicates +0$", output, re.MULTILINE), output
    for act in ("link: cut", "edge: SIGKILL", "link: up again", "hub: SIGKILL", "command: "):
        assert act in output
    assert living(tmp_path) == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("moment", ["hub: three nats-servers", "readings of both devices", "edge: SIGKILL"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_at_any_moment_nothing_stays(demo, tmp_path, moment, number):
    for line in demo.stdout:
        if moment in line:
            break
    demo.send_signal(number)
    output, _ = demo.communicate()
    assert demo.returncode == 1
    assert "Traceback" not in output
    assert living(tmp_path) == []
    assert os.listdir(tmp_path) == []


def test_wrong_nats_server_is_one_line(petiole_hub):
    result = petiole_hub("demo", "--nats-server", "/bin/cat")
    assert result.exit_code == 1
    assert result.output.startswith("Error: /bin/cat: is not a nats-server")
