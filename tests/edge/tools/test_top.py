"""The live view: rates from samples, the screen from values, and the whole of it on a pseudo-terminal."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyte
import pytest

from edge.tools.top import SORTS, Rates, Sample, View, Viewer, rates, screen, snapshot

Start = Callable[..., Any]
VARZ = {
    "server_id": "NABC", "server_name": "barn", "version": "2.15.1", "uptime": "1d2h3m4s", "start": "s", "cpu": 12.34,
    "cores": 4, "mem": 8 << 20, "slow_consumers": 2, "in_msgs": 1000, "in_bytes": 4096, "out_msgs": 0, "out_bytes": 0,
}  # fmt: skip
CONNECTION = {
    "cid": 7, "ip": "127.0.0.1", "port": 5000, "name": "it\x1b[31ms", "subscriptions": 3, "pending_bytes": 12 * 1024,
    "in_msgs": 1, "out_msgs": 161_600, "in_bytes": 2, "out_bytes": 3 << 20, "lang": "go", "version": "1.2", "uptime": "17s",
    "idle": "3s", "subscriptions_list": [f"a.{i}" for i in range(9)],
}  # fmt: skip


def sample(at: float, **varz: object) -> Sample:
    return Sample(at, VARZ | varz, {"total": 5, "connections": [CONNECTION]})


def test_rates_are_per_second() -> None:
    before, now = sample(10), sample(12, in_msgs=3000, in_bytes=4096 + 10, out_msgs=1, out_bytes=100)
    assert rates(before, now) == Rates(1000, 5, 0.5, 50)


def test_no_rates_at_first_and_over_a_restart() -> None:
    assert rates(None, sample(1)) == Rates()
    assert rates(sample(1), sample(2, start="later", in_msgs=5000)) == Rates()
    assert rates(sample(1), sample(2, in_msgs=1)) == Rates()
    assert rates(sample(1), sample(1, in_msgs=5000)) == Rates()


def test_what_is_shown() -> None:
    text = "\n".join(snapshot(sample(1), Rates(13129.04, 38.5 * 1024, 0, 0), View(limit=1, sort="subs")))
    assert "NATS server version 2.15.1 (uptime: 1d2h3m4s) barn" in text
    assert "Load: CPU: 12.3% of 4 cores  Memory: 8.0M  Slow Consumers: 2" in text
    assert "In:   Msgs: 1.0K  Bytes: 4.0K  Msgs/Sec: 13129.0  Bytes/Sec: 38.5K" in text
    assert "Connections: 5 (showing 1, by subs)" in text
    assert "127.0.0.1:5000    7  it\ufffd[31ms     3    12.0K   161.6K          1      3.0M           2  go    1.2         17s    3s" in text
    assert "a.0" not in text


def test_subjects_and_exact_numbers() -> None:
    text = "\n".join(snapshot(sample(1), Rates(), View(subjects=True, exact=True)))
    assert "SUBJECTS" in text and "a.0, a.1, a.2, a.3, a.4, a.5, and 3 more" in text
    assert "161600" in text and "Memory: 8388608" in text


def test_a_server_that_leaves_everything_out() -> None:
    text = "\n".join(snapshot(Sample(1, {}, {"connections": None}), Rates(), View()))
    assert "version ? (uptime: ?)" in text and "Connections: 0" in text
    assert snapshot(Sample(1, {"cpu": "much"}, {"connections": [{}]}), Rates(), View())[-1].split()[0] == "?:0"


def test_the_screen_is_as_large_as_it_is() -> None:
    assert screen(["long line", "b", "c"], "note", 4, 3) == ["long", "b", "note"]
    assert screen(["a"], "note", 80, 4) == ["a", "", "", "note"]
    assert screen(["a"], "note", 80, 0) == []


# ---- keys


def typed(*keys: str) -> Viewer:
    viewer = Viewer(View())
    for key in keys:
        viewer.press(key)
    return viewer


def test_keys() -> None:
    assert typed("q").quit
    assert typed("s").view.subjects and not typed("s", "s").view.subjects
    assert typed("b").view.exact
    assert typed("?").view.help and not typed("?", "x").view.help
    assert typed(">").view.sort == SORTS[1] and typed("<").view.sort == SORTS[-1] and typed("right", "left").view.sort == "cid"
    assert not typed("x", " ", "é").quit


def test_a_sort_is_typed() -> None:
    assert typed(*"osubs", "enter").view.sort == "subs"
    assert typed(*"osubx", "backspace", "s", "enter").view.sort == "subs"
    assert typed(*"oq", "escape").view.sort == "cid" and not typed(*"oq").quit
    wrong = typed(*"obogus", "enter")
    assert wrong.view.sort == "cid" and "bogus: expected one of cid" in wrong.note()
    assert "bogus" not in typed(*"obogus", "enter", "x").note()


def test_a_limit_is_typed() -> None:
    assert typed(*"n15", "enter").view.limit == 15
    for wrong in ("0", "1025", "many", "9" * 400):
        viewer = typed(*f"n{wrong}", "enter")
        assert viewer.view.limit == 1024 and "from 1 to 1024" in viewer.note()


# ---- on a terminal


class Live:
    """``petiole-edge top`` on a terminal of its own; ``screen`` is what a person would see."""

    def __init__(self, *arguments: str) -> None:
        self.screen = pyte.Screen(140, 24)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.master, slave = pty.openpty()
        self._resize(140, 24)
        self.attributes = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", "top", *arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )  # fmt: skip

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._resize(columns, rows)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def sees(self, *texts: str) -> str:
        """Wait until all of them are on the screen."""
        deadline = time.monotonic() + 30
        while not all(text in (shown := "\n".join(self.screen.display)) for text in texts):
            assert time.monotonic() < deadline and self.process.poll() is None, shown
            self._read(1)
        return shown

    def _read(self, timeout: float) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        read = os.read(self.master, 65536)
        self.written += read
        self.stream.feed(read)
        return True

    def end(self) -> int:
        """The exit status, after which the terminal is as it was."""
        status = self.process.wait(60)
        while self._read(0):
            pass
        assert termios.tcgetattr(self.slave) == self.attributes
        assert self.written.endswith(b"\x1b[?1049l") and self.written.count(b"\x1b[?1049") == 2
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def live() -> Iterator[Callable[..., Live]]:
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Live:
            started = Live(*arguments)
            stack.callback(started.close)
            return started

        yield start


def test_live(start_monitored: Start, login: Start, live: Callable[..., Live]) -> None:
    server, url = start_monitored()
    first, second = login(server, "first"), login(server, "second")
    first.send(b"SUB a 1\r\nSUB b 2\r\nPING\r\n")
    first.expect(rb"PONG\r\n")
    screen = live("--url", url, "-d", "0.1")
    screen.sees("NATS server version", "oracle", "Connections: 2", "first", "second", "by cid")
    second.send(b"PUB a 5\r\nhello\r\n" * 1500 + b"PING\r\n")
    second.expect(rb"PONG\r\n")
    screen.sees("In:   Msgs: 1.5K", "Out:  Msgs: 1.5K")
    screen.type(b"osubs\rs")
    shown = screen.sees("by subs", "a, b")
    assert shown.index("first") < shown.index("second")
    screen.type(b"n1\r")
    screen.sees("Connections: 2 (showing 1, by subs)")
    screen.type(b"?")
    screen.sees("exact numbers")
    screen.type(b" \x1b[C")
    screen.sees("by pending", "Connections: 2")
    screen.resize(40, 10)
    while len(screen.screen.display) != 10 or "by pending" not in screen.screen.display[-1]:
        assert screen._read(30)
    assert all(len(line) <= 40 for line in screen.screen.display)
    screen.type(b"q")
    assert screen.end() == 0


def test_a_server_that_goes_and_comes(start_nats: Start, live: Callable[..., Live], free_port: Callable[[], int]) -> None:
    port = free_port()
    server = start_nats(f"server_name: oracle\nlisten: 127.0.0.1:-1\nhttp: 127.0.0.1:{port}\n")
    screen = live("--url", f"http://127.0.0.1:{port}", "-d", "0.1")
    screen.sees("oracle", "Connections: 0")
    server.stop()
    screen.sees("nothing listens at", "oracle")
    server.start()
    screen.sees("by cid   q quit")
    screen.type(b"\x03")
    assert screen.end() == 130


def test_a_terminal_is_given_back_when_it_is_told_to_end(start_monitored: Start, live: Callable[..., Live]) -> None:
    screen = live("--url", start_monitored()[1])
    screen.sees("Connections: 0")
    screen.process.send_signal(signal.SIGTERM)
    assert screen.end() == 128 + signal.SIGTERM


# ---- without one


def test_once(start_monitored: Start, login: Start, tool: Start) -> None:
    server, url = start_monitored()
    login(server, "only")
    for arguments in (("--once",), ()):
        done = tool("top", "--url", url, "-d", "0.1", *arguments)
        assert done.returncode == 0 and "Connections: 1" in done.stdout and "only" in done.stdout
        assert "\x1b" not in done.stdout
    config = server.config
    config.write_text(f"http: {url.removeprefix('http://')}")
    assert "Connections: 1" in tool("top", "-c", str(config), "-d", "0.1").stdout


def test_nobody_there(tool: Start, free_port: Callable[[], int]) -> None:
    done = tool("top", "--url", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("petiole-edge: nothing listens at") and done.stderr.count("\n") == 1
