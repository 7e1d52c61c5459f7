import sys
from pathlib import Path

import pytest

from hub.demo.process import Process
from hub.errors import HubError


@pytest.fixture
def python(tmp_path):
    """Processes that run a line of Python, with what they said; all ended at last."""
    made = []

    def make(line):
        process = Process("part", [sys.executable, "-c", line], tmp_path / "part.log")
        made.append(process)
        return process

    yield make
    for process in made:
        process.kill()


def test_last_words_of_one_that_ended_by_itself(python):
    process = python("import sys; print('port in use\\n'); sys.exit(3)")
    process.start()
    while (fault := process.fault()) is None:
        pass
    assert fault == "part has ended with status 3: port in use"


def test_killed_one_is_no_fault_and_starts_again(python, tmp_path):
    process = python(f"open({str(tmp_path / 'pid')!r}, 'a').write('x'); import signal; signal.pause()")
    assert process.fault() is None
    for starts in (1, 2):
        process.start()
        while not (tmp_path / "pid").exists() or len((tmp_path / "pid").read_text()) < starts:
            assert process.fault() is None
        process.kill()
        assert process.fault() is None


def test_end_of_one_that_never_ran(python):
    process = python("")
    process.end()
    process.kill()


def test_end_takes_the_process_away(python):
    process = python("import signal; signal.pause()")
    process.start()
    pid = process._running.pid
    process.end()
    assert not Path(f"/proc/{pid}").exists()


def test_program_that_is_not_there(tmp_path):
    with pytest.raises(HubError, match="part: /absent cannot be started"):
        Process("part", ["/absent"], tmp_path / "part.log").start()
