"""Hashes that a real nats-server takes, from wherever the password comes."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from edge.tools.errors import ToolError
from edge.tools.passwd import ALPHABET, generate, hash_password, warnings


def try_login(server: Any, password: str) -> bytes:
    wire = server.wire()
    wire.send(b'CONNECT {"verbose":false,"user":"pi","pass":"%s"}\r\nPING\r\n' % password.encode())
    return wire.expect(rb"(PONG|-ERR [^\r]*)\r\n")


def test_a_real_server_takes_it(start_nats: Callable[..., Any], tool: Callable[..., Any]) -> None:
    done = tool("passwd", "--cost", "4", stdin="grüße aus dem stall\n")
    assert done.returncode == 0 and done.stdout.startswith("$2a$04$") and done.stderr == ""
    server = start_nats(f'listen: 127.0.0.1:-1\nauthorization {{ user: pi, password: "{done.stdout.strip()}" }}')
    assert try_login(server, "grüße aus dem stall") == b"PONG\r\n"
    assert try_login(server, "grüße aus dem stalL") == b"-ERR 'Authorization Violation'\r\n"


def test_the_cost_is_that_of_the_nats_cli(tool: Callable[..., Any]) -> None:
    done = tool("passwd", "-p", "long enough")
    assert done.stdout.startswith("$2a$11$") and len(done.stdout) == 61


def test_one_is_made(tool: Callable[..., Any]) -> None:
    import bcrypt

    done = tool("passwd", "--generate", "--cost", "4")
    password = done.stderr.removeprefix("password: ").strip()
    assert len(password) == 22 and set(password) <= set(ALPHABET)
    assert bcrypt.checkpw(password.encode(), done.stdout.strip().encode())
    assert generate() != generate()
    assert tool("passwd", "--generate", "-p", "x").returncode == 2


def test_warnings(tool: Callable[..., Any]) -> None:
    assert "short" in tool("passwd", "--cost", "4", "-p", "123456789").stderr
    assert warnings("1234567890", 11) == []
    assert "seconds" in warnings("1234567890", 15)[0]


@pytest.mark.parametrize(("password", "problem"), [("", "empty"), ("x" * 73, "73 bytes"), ("ü" * 37, "74 bytes"), ("a\0b", "zero")])
def test_what_bcrypt_cannot_take(password: str, problem: str) -> None:
    with pytest.raises(ToolError, match=problem):
        hash_password(password, 4)


def test_nothing_on_standard_input(tool: Callable[..., Any]) -> None:
    done = tool("passwd")
    assert done.returncode == 1 and done.stderr.endswith("petiole-edge: the password is empty\n")


def ask(*answers: bytes) -> tuple[int, bytes, bytes]:
    """Exit status, what the terminal showed, standard output."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "passwd", "--cost", "4"], stdin=slave, stderr=slave, stdout=subprocess.PIPE, start_new_session=True
    )
    os.close(slave)
    shown = b""
    deadline = time.monotonic() + 30
    for question, answer in zip((b"Password: ", b"Once more: "), answers, strict=False):
        while not shown.endswith(question):
            assert select.select([master], [], [], max(deadline - time.monotonic(), 0))[0], shown
            shown += os.read(master, 1024)
        os.write(master, answer)
    output, _ = process.communicate(timeout=60)
    os.close(master)
    return process.returncode, shown, output


def test_asked_twice_on_a_terminal() -> None:
    status, shown, output = ask(b"long enough\r", b"long enough\r")
    assert status == 0 and output.startswith(b"$2a$04$")
    assert b"long" not in shown


def test_ctrl_d_ends_quietly() -> None:
    status, shown, output = ask(b"\x04")
    assert status == 130 and output == b"" and b"Traceback" not in shown
