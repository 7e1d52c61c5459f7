"""A client of the least: it publishes, asks, and reads what was asked for.  One thread at a time."""

import json
import socket
from typing import Any, NamedTuple

from bench.load import BenchError

PATIENCE_S = 20.0
NO_ANSWER: dict[str, Any] = {}


class Message(NamedTuple):
    subject: bytes
    headers: bytes
    payload: bytes


class WireClient:
    def __init__(self, port: int, user: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 18)
        self.questions = 0
        self.file.readline()
        login: dict[str, object] = {"verbose": False, "headers": True, "no_responders": True}
        if user:
            login |= {"user": user, "pass": "x"}
        self.send(b"CONNECT %b\r\nSUB _INBOX.bench.%d.* 1\r\n" % (json.dumps(login).encode(), id(self)))
        self.inbox = b"_INBOX.bench.%d." % id(self)
        self.round_trip()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def round_trip(self) -> None:
        """Everything sent before was taken."""
        self.send(b"PING\r\n")
        while self._line() != b"PONG":
            pass

    def publish(self, subject: str, payload: bytes, answer: bytes = b"") -> None:
        reply = self.inbox + answer + b" " if answer else b""
        self.send(b"PUB %b %b%d\r\n%b\r\n" % (subject.encode(), reply, len(payload), payload))

    def message(self) -> Message:
        """The next to arrive."""
        while not (line := self._line()).startswith((b"MSG ", b"HMSG ")):
            pass
        words = line.split()
        head = int(words[-2]) if words[0] == b"HMSG" else 0
        body = self.file.read(int(words[-1]) + 2)[:-2]
        return Message(words[1], body[:head], body[head:])

    def ask(self, subject: str, body: object = "") -> dict[str, Any]:
        """A question that is answered in JSON; ``NO_ANSWER`` when nobody is there.  BenchError when none comes."""
        self.questions += 1
        self.publish(subject, json.dumps(body).encode() if body else b"", b"%d" % self.questions)
        try:
            message = self.message()
        except TimeoutError as exc:
            raise BenchError(f"{subject}: no answer in {PATIENCE_S:g} s") from exc
        if not message.subject.endswith(b".%d" % self.questions):
            raise BenchError(f"{subject}: an answer to something else: {message}")
        if not message.payload:
            return NO_ANSWER
        answer: dict[str, Any] = json.loads(message.payload)
        return answer

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def _line(self) -> bytes:
        line = self.file.readline()
        if not line:
            raise BenchError("the server has closed the connection")
        if line.startswith(b"-ERR"):
            raise BenchError(f"the server says {line!r}")
        if line == b"PING\r\n":
            self.send(b"PONG\r\n")
        return line.rstrip()
