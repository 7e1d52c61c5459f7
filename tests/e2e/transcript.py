"""The same script played to our server and to the real one: what every client hears, line by line."""

import difflib
import itertools
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

MADE_UP = (
    (re.compile(r"_R_(\.\w+)+"), "_R_"),
    (re.compile(r'"feature_flags":\{[^}]*\},|"(flags|seq)":\d+,'), ""),
    (re.compile(r'"(id|server_id|start|timestamp|time|requestor_rtt)":"[^"]*"'), r'"\1":""'),
    (re.compile(r'"(rtt|start|service|system|total|cid|id)":\d+'), r'"\1":0'),
    (re.compile(r'"(start|timestamp|time)":"[^"]*"'), r'"\1":""'),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r'"(ver|version)":"[\d.]+"'), r'"\1":""'),
    (re.compile(r'(\\"rtt\\":)\d+(.*"msgsize":)\d+'), r"\g<1>0\g<2>0"),
    (re.compile(r"\$JS\.ACK\.(\w+)\.(\w+)\.[\d.]+"), r"$JS.ACK.\1.\2"),
    (re.compile(r"io\.nats\.jetstream\.api\.v1\.(\w+_create)_response.*"), r"\1"),
)
PATIENCE = 60.0
OPTIONS = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "t", "version": "1"}


class Cast:
    """The clients of one server, by the names of their users; the password is the name."""

    def __init__(self, server: Any, users: Iterable[str]) -> None:
        self.server = server
        self.users = list(users)
        self.wires: dict[str, Any] = {}
        self.replies: dict[str, str] = {}  # the last reply subject that each was sent
        self.heard: list[str] = []
        self.sids: dict[str, set[int]] = {}

    def play(self, script: Iterable[str]) -> list[str]:
        """``user: operation``; ``user: answer payload`` to the last request, ``hanswer headers = payload``, ``ask-back
        reply = payload`` with a reply of its own, ``steal other = payload`` in another's place; ``user: join`` connects,
        ``leave`` ends.  What all of them hear after each line."""
        for user in self.users:
            self._join(user)
        for line in script:
            user, _, operation = line.partition(": ")
            self.heard.append(f"--- {line}")
            self._do(user, operation)
            for name in sorted(self.wires, key=lambda name: name != user):  # it has acted when it is answered
                self._listen(name)
        for user in list(self.wires):
            self._retire(user)
        return self.heard

    def _retire(self, user: str) -> None:
        """Nothing of this script is left for the next one."""
        wire = self.wires.pop(user)
        wire.send(b"".join(b"UNSUB %d\r\n" % sid for sid in self.sids.get(user, ())) + b"PING\r\n")
        wire.expect(rb".*?PONG\r\n")
        wire.close()

    def _do(self, user: str, operation: str) -> None:
        verb, _, rest = operation.partition(" ")
        match verb:
            case "join":
                self._join(user)
            case "leave":
                wire = self.wires.pop(user)
                wire.socket.shutdown(socket.SHUT_WR)
                wire.expect_closed()
                wire.close()
            case "answer":
                self._send(user, f"PUB {self.replies[user]} {len(rest)}\r\n{rest}")
            case "hanswer":
                self._do(user, f"hpub {self.replies[user]} = {rest}")
            case "ask-back":
                self._do(user, f"pub {self.replies[user]} {rest}")
            case "steal":
                other, _, payload = rest.partition(" = ")
                self._do(user, f"pub {self.replies[other]} = {payload}")
            case "pub":
                head, _, payload = rest.partition(" = ")
                self._send(user, f"PUB {head} {len(payload)}\r\n{payload}")
            case "await":  # what the server says in its own time, about the line before
                begin = [i for i, note in enumerate(self.heard) if note.startswith("---") and ": await " not in note][-1]
                deadline = time.monotonic() + PATIENCE
                while not any(rest in note for note in self.heard[begin + 1 :] if not note.startswith("---")):
                    assert time.monotonic() < deadline, f"{rest} never came: {self.heard[begin:]}"
                    self._listen(user)
            case "hpub":
                head, headers, payload = rest.split(" = ", 2)
                block = "NATS/1.0\r\n" + "".join(f"{each}\r\n" for each in headers.split("; ")) + "\r\n"
                self._send(user, f"HPUB {head} {len(block)} {len(block) + len(payload)}\r\n{block}{payload}")
            case _:
                if verb == "SUB":
                    self.sids.setdefault(user, set()).add(int(operation.split()[-1]))
                self._send(user, operation)

    def _send(self, user: str, text: str) -> None:
        self.wires[user].send(f"{text}\r\n".encode())

    def _wire(self, user: str) -> Any:
        return self.server.wire()

    def _join(self, user: str) -> None:
        wire = self.wires[user] = self._wire(user)
        said = json.dumps({**OPTIONS, "user": user.rstrip("0123456789"), "pass": user.rstrip("0123456789"), "name": user})
        wire.send(f"CONNECT {said}\r\n".encode())
        self._listen(user)

    def _listen(self, user: str) -> None:
        """Up to the PONG: whatever was on its way has come by then."""
        wire = self.wires[user]
        wire.send(b"PING\r\n")
        while True:
            line = wire.expect(rb"[^\r]*\r\n").decode("utf-8", "replace").strip()
            if line == "PONG":
                return
            if line.startswith("-ERR"):
                self._note(user, line)
                if "Permissions" not in line and "Subscriptions" not in line and "Invalid" not in line:
                    self.wires.pop(user)
                    return
            elif line.startswith(("MSG", "HMSG")):
                self._hear(user, wire, line)

    def _hear(self, user: str, wire: Any, line: str) -> None:
        verb, subject, sid, *reply, size = line.split()
        if verb == "HMSG":
            size = line.split()[-1]
            reply = reply[:-1]
        if reply:
            self.replies[user] = reply[0]
        body = wire.expect(rb".{%d}\r\n" % int(size)).decode("utf-8", "replace")
        self._note(user, " ".join([verb, subject, sid, *reply, body.replace("\r\n", "|")]))

    def _note(self, user: str, text: str) -> None:
        for pattern, instead in MADE_UP:
            text = pattern.sub(instead, text)
        self.heard.append(f"{user} < {text}")


class LeafCast(Cast):
    """Clients of a hub, whose names begin with ``h``, and of its leaf.  ``links``: for each a user of the hub and one of
    the leaf, who see to it that everything has arrived before the next line."""

    def __init__(self, hub: Any, leaf: Any, users: Iterable[str], links: Iterable[tuple[str, str]]) -> None:
        super().__init__(leaf, users)
        self.hub = hub
        self.sent = 0
        self.fences = [(self._fence(up, "up"), self._fence(down, "down")) for up, down in links]
        for up, down in self.fences:
            self._await_link(up, down, b"fence.down")
            self._await_link(down, up, b"fence.up")

    def play(self, script: Iterable[str]) -> list[str]:
        heard = super().play(script)
        for wire in itertools.chain(*self.fences):
            wire.close()
        return heard

    def _wire(self, user: str) -> Any:
        return self.hub.wire() if user.startswith("h") else self.server.wire()

    def _fence(self, user: str, way: str) -> Any:
        wire = self._wire(user)
        said = json.dumps({**OPTIONS, "user": user, "pass": user})
        wire.send(f"CONNECT {said}\r\nSUB fence.{way} 1\r\n".encode())
        return wire

    @staticmethod
    def _await_link(sender: Any, receiver: Any, subject: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            sender.send(b"PUB %b 1\r\nx\r\n" % subject)
            receiver.send(b"PING\r\n")
            if b"MSG" in receiver.expect(rb".*?PONG\r\n"):
                return
            assert time.monotonic() < deadline, "no link"
            time.sleep(0.02)

    def _do(self, user: str, operation: str) -> None:
        super()._do(user, operation)
        if user in self.wires:
            self._listen(user)
        for _ in range(2):  # there, and what that leads to back again
            for up, down in self.fences:
                self._cross(up, down, b"fence.down")
                self._cross(down, up, b"fence.up")

    def _cross(self, sender: Any, receiver: Any, subject: bytes) -> None:
        self.sent += 1
        sender.send(b"PUB %b 8\r\n%08d\r\n" % (subject, self.sent))
        receiver.expect(rb".*?%08d\r\n" % self.sent)


def sorted_steps(heard: Iterable[str]) -> list[list[str]]:
    """What is heard after one line of the script comes in no particular order."""
    steps: list[list[str]] = []
    for line in heard:
        if line.startswith("---") and ": await " not in line:
            steps.append([line])
        else:
            steps[-1].append(line)
    return [[step[0], *sorted(step[1:])] for step in steps if step]


def _lines(steps: Iterable[list[str]]) -> list[str]:
    return [line for step in steps for line in step]


def on_both(start_edge: Callable[..., Any], start_nats: Callable[..., Any], config: str, users: Iterable[str]) -> Any:
    """``compare(script)``: plays it to both, on fresh connections, and holds what is heard against each other."""
    servers = start_edge(config), start_nats(config)

    def compare(script: Iterable[str]) -> list[str]:
        lines = list(script)
        ours, theirs = (Cast(server, users).play(lines) for server in servers)
        assert_same(ours, theirs)
        return ours

    return compare


def assert_same(ours: Iterable[str], theirs: Iterable[str]) -> None:
    here, there = sorted_steps(ours), sorted_steps(theirs)
    assert here == there, "\n".join(difflib.ndiff(_lines(there), _lines(here)))
