"""Log lines: nats-server's, the journal's, JSON; to a file that is reopened or has a limit; to syslog."""

import json
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config.options import Log
from edge.net.log import TRACE, JournalFormatter, is_journal, quoted, reopen_log_file, set_up_log

LINE = re.compile(r"\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[(\w+)\] (.*)")
log = logging.getLogger("edge")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's, and pytest's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., list[str]]:
    """The lines of a log that was set up with these options and then spoken to at every level."""

    def written(**options: object) -> list[str]:
        path = tmp_path / "edge.log"
        set_up_log(Log(file=str(path))._replace(**options))
        for level, text in ((TRACE, "t"), (10, "d"), (20, "i %s"), (30, "w"), (40, "e"), (50, "f")):
            log.log(level, text, *(["one"] if "%" in text else []))
        return path.read_text().splitlines()

    return written


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ({}, "INF WRN ERR FTL"),
        ({"debug": True}, "DBG INF WRN ERR FTL"),
        ({"trace": True}, "TRC INF WRN ERR FTL"),
        ({"debug": True, "trace": True}, "TRC DBG INF WRN ERR FTL"),
    ],
)
def test_levels(options: dict[str, bool], levels: str, written: Callable[..., list[str]]) -> None:
    found = [LINE.fullmatch(line) for line in written(**options)]
    assert [match and match.group(1) for match in found] == levels.split()
    assert "i one" in [match and match.group(2) for match in found]


def test_without_time(written: Callable[..., list[str]]) -> None:
    assert written(time=False)[0] == f"[{os.getpid()}] [INF] i one"


def test_in_utc(written: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    import time

    time.tzset()
    try:
        local, utc = written(), written(utc=True)
    finally:
        monkeypatch.undo()
        time.tzset()
    hours = [int(line.split()[2][:2]) for line in (local[0], utc[-1])]
    assert (hours[0] - hours[1]) % 24 in (9, 8)  # an hour may end between the two


def test_json(written: Callable[..., list[str]]) -> None:
    first = json.loads(written(format="json")[0])
    assert first["level"] == "info" and first["msg"] == "i one" and first["pid"] == os.getpid()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first["time"])


def test_each_line_of_the_journal_has_its_priority() -> None:
    record = logging.makeLogRecord({"levelno": logging.ERROR, "msg": "one\ntwo"})
    assert JournalFormatter().format(record) == "<3>[ERR] one\n<3>[ERR] two"


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as file:
        status = os.fstat(file.fileno())
        there = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(file.fileno(), there)
        assert not is_journal(file.fileno(), {"JOURNAL_STREAM": "1:2"})
        assert not is_journal(file.fileno(), {})


def test_reopened(tmp_path: Path) -> None:
    path = tmp_path / "edge.log"
    set_up_log(Log(file=str(path)))
    log.info("before")
    path.rename(tmp_path / "old.log")
    log.info("still there")
    assert reopen_log_file()
    log.info("after")
    assert "still there" in (tmp_path / "old.log").read_text() and "after" not in (tmp_path / "old.log").read_text()
    assert "after" in path.read_text() and "before" not in path.read_text()


def test_standard_error_is_not_reopened() -> None:
    set_up_log(Log())
    assert not reopen_log_file()


def test_a_log_with_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "edge.log"
    (tmp_path / "edge.log.2026.bak").write_text("not ours")
    set_up_log(Log(file=str(path), size_limit=300, max_num=3))
    for i in range(40):
        log.info("line %d", i)
    backups = sorted(tmp_path.glob("edge.log.20*.*.*.*.*.*.*"))
    assert len(backups) == 2, backups  # with the one that is written: three
    assert all(re.fullmatch(r"edge\.log(\.\d+){7}", backup.name) for backup in backups)
    assert "line 39" in path.read_text() + backups[-1].read_text()
    assert "Rotated log, backup saved as" in backups[-1].read_text()
    assert all(LINE.fullmatch(line) for line in path.read_text().splitlines())
    assert (tmp_path / "edge.log.2026.bak").exists()


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        set_up_log(Log(file=str(tmp_path)))


def test_syslog() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        set_up_log(Log(remote_syslog=f"udp://127.0.0.1:{server.getsockname()[1]}"))
        log.info("hello")
        log.error("bad")
        said = [server.recv(1000).rstrip(b"\0") for _ in range(2)]
    assert said == [b"<29>petiole-edge: hello", b"<27>petiole-edge: bad"]  # facility 3, notice and error


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain", "plain"),
        (b'a"b\\', 'a\\"b\\\\'),
        (b"\r\n\t\0\x7f", "\\r\\n\\t\\x00\\x7f"),
        ("é日".encode(), "é日"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\u200b".encode(), "\\u200b"),
    ],
)
def test_quoted_as_go_does(data: bytes, expected: str) -> None:
    assert quoted(data) == expected
