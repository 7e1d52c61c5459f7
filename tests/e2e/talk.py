"""The same requests to our server and to the real one: every answer is the same, field by field and in the same
order, but for times, made-up names and versions.

A conversation is a list of steps; a step is a publish and the number of messages that must come back.  Each is held
in an account of its own, so that one server of each kind carries them all.  What is deliberately different here is not
in these conversations but in ``tests/edge/jetstream``.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import PATIENCE, Server, nats_server_binary

TIME = re.compile(r"\b(?!0001-)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
ACK = re.compile(r"(\$JS\.ACK\.\S+\.\d+\.\d+\.\d+\.)\d+(\.\d+)")
MADE_UP = re.compile(r"^[A-Za-z0-9]{8}$")
QUIET = 0.25  # seconds in which nothing more may come


class Step(NamedTuple):
    subject: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    answers: int = 1
    ack_of: int = -1  # publish to the reply of the delivery with this number instead
    reply: str = ""  # what the reply subject ends with


class Heard(NamedTuple):
    """A message: ``sid`` is the number of the subscription, ``text`` all of it."""

    subject: str
    sid: str
    reply: str
    text: str


def api(call: str, body: object = None, answers: int = 1, headers: tuple[tuple[str, str], ...] = ()) -> Step:
    return Step(f"$JS.API.{call}", _encoded(body), headers, answers)


def pub(subject: str, payload: bytes = b"x", answers: int = 1, **headers: str) -> Step:
    return Step(subject, payload, tuple((name.replace("_", "-"), value) for name, value in headers.items()), answers)


def pull(consumer: str, body: object = None, answers: int = 1) -> Step:
    return Step(f"$JS.API.CONSUMER.MSG.NEXT.{consumer}", _encoded(body), (), answers)


def ack(delivery: int, payload: bytes = b"", answers: int = 1) -> Step:
    return Step("", payload, (), answers, delivery)


def stream(name: str = "S", **fields: object) -> Step:
    return api(f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name.lower()}.>"], **fields})


def consumer(name: str, answers: int = 1, **fields: object) -> Step:
    config = {"durable_name": name, "ack_policy": "explicit", **fields}
    return api(f"CONSUMER.CREATE.S.{name}", {"stream_name": "S", "config": config}, answers)


def listen(subject: str, queue: str = "") -> Step:
    """Only a literal subscription wakes a consumer that pushes."""
    return Step(f"SUB {subject} {queue}".strip(), answers=0)


def info(stream: str = "S") -> Step:
    return api(f"STREAM.INFO.{stream}")


def _encoded(body: object) -> bytes:
    return b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()


SECOND = 1_000_000_000
NUMBERS = [pub(f"s.{i % 2}", b"message %d" % i) for i in range(6)]


class Conversation:
    """Carries out steps on one server and writes down what comes back."""

    def __init__(self, server: Any, user: str) -> None:
        self.wire = server.wire()
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        self.wire.login(json.dumps({"user": user, "pass": "p", **options}))
        self.wire.send(b"SUB _I.> 1\r\nPING\r\n")
        self.wire.expect(rb"PONG\r\n")
        self.streams = server.config.parent / "nats-store" / "jetstream" / user.replace("u", "A") / "streams"
        self.deliveries: list[str] = []
        self.count = 0
        # nats-server's files take 4 bytes more for a message with headers; here each counts 30 beside what it holds.
        self.inexact = False

    def hold(self, steps: list[Step]) -> list[list[str]]:
        return [self._step(step) for step in steps]

    def _step(self, step: Step) -> list[str]:
        self.count += 1
        if step.subject.startswith("SUB "):
            self.wire.send(f"{step.subject} {self.count + 10}\r\nPING\r\n".encode())
            self.wire.expect(rb"PONG\r\n")
            return [step.subject]
        self.inexact = self.inexact or bool(step.headers)
        self._publish(step, f"_I.{self.count}.{step.reply}" if step.reply else f"_I.{self.count}")
        found = [self._message() for _ in range(step.answers)]
        if not step.answers:
            self.wire.socket.settimeout(QUIET)
            with pytest.raises(TimeoutError):
                self.wire.expect(rb"H?MSG")
            self.wire.socket.settimeout(PATIENCE)
        if step.subject.startswith("$JS.API.STREAM.DELETE."):
            # nats-server puts the files aside and says so; while they are there the next deletion of that name leaves
            # its own where they are, and the stream made after it begins with those.
            while (self.streams / f".{step.subject.rpartition('.')[2]}").exists():
                pass
        title = f"{step.subject or 'ack'} {step.headers or ''} {step.body[:100].decode()}"
        return [title, *(found if step.answers < 2 else _settled_order(found))]

    def _publish(self, step: Step, reply: str) -> None:
        subject = self.deliveries[step.ack_of] if step.ack_of >= 0 else step.subject
        if not step.headers:
            self.wire.send(f"PUB {subject} {reply} {len(step.body)}\r\n".encode() + step.body + b"\r\n")
            return
        block = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in step.headers) + b"\r\n"
        size = len(block) + len(step.body)
        self.wire.send(f"HPUB {subject} {reply} {len(block)} {size}\r\n".encode() + block + step.body + b"\r\n")

    def _message(self) -> str:
        heard = self._heard()
        if heard.reply:
            self.deliveries.append(heard.reply)
        return heard.text

    def _heard(self) -> Heard:
        head = self.wire.expect(rb"(PING\r\n)*H?MSG [^\r]*\r\n").decode().removeprefix("PING\r\n").split()
        data = self.wire.expect(rb".{%d}\r\n" % int(head[-1]))[:-2]
        hmsg = head[0] == "HMSG"
        headers, payload = (data[: int(head[-2])], data[int(head[-2]) :]) if hmsg else (b"", data)
        plain = len(head) == (5 if hmsg else 4)
        subject = "inbox" if head[1].startswith("_I.") else head[1]
        reply = "" if plain else head[3]
        headers = re.sub(rb"(400 Bad Request - )(invalid|Expecting|json).*", rb"\1<why>\r\n\r\n", headers)
        place = ACK.sub(r"\1<time>\2", f"{subject} {reply} {TIME.sub('<time>', headers.decode())!r}")
        return Heard(head[1], head[2], reply, f"{place} {self._said(payload)}")

    def _said(self, payload: bytes) -> str:
        return normal(payload, self.inexact)


def _settled_order(found: list[str]) -> list[str]:
    """What comes from a consumer and what answers has no order; deliveries have."""
    answers = [message for message in found if message.startswith("inbox  '' ")]
    return found if not answers else sorted(found)


def normal(payload: bytes, inexact: bool) -> str:
    text = TIME.sub("<time>", payload.decode())
    if not text.startswith("{"):
        return text
    unlike = ("_nats.level", "_nats.ver", "level", *(("bytes",) if inexact else ()))
    return json.dumps(_settled(json.loads(text), unlike))


def _settled(value: Any, unlike: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_settled(item, unlike) for item in value]
    if not isinstance(value, dict):
        return value
    settled = {key: f"<{key}>" if key in unlike else _settled(item, unlike) for key, item in value.items()}
    if "stream_name" in settled and MADE_UP.match(str(settled.get("name"))):
        config = settled["config"]
        settled["name"] = "<made up>"
        if "name" in config:
            config["name"] = "<made up>"
    description = str(settled.get("description", ""))
    if description.startswith("invalid JSON") and "unknown field" not in description:
        settled["description"] = "invalid JSON"
    return settled


ATTEMPTS = 3


class Servers:
    """One of ours and a real one; accounts are taken as they are needed.  ``limits``: of each conversation's, in
    order, and ``server`` those of the server, as they are written in a configuration."""

    def __init__(
        self,
        folder: Path,
        conversations: int,
        kind: type[Conversation] = Conversation,
        limits: Sequence[str] = (),
        server: str = "",
    ) -> None:
        self.kind = kind
        self.taken = 0
        accounts = [limit for limit in limits or [""] * conversations for _ in range(ATTEMPTS + 1)]
        self.edge, self.nats = (
            Server(command, _config(folder / f"{name}-store", accounts, server), folder, name).start()
            for name, command in (("edge", [sys.executable, "-m", "edge", "run"]), ("nats", [nats_server_binary()]))
        )

    def compare(self, steps: list[Step], number: int | None = None) -> None:
        """``number``: of the conversation, where it matters which accounts it is held in."""
        if number is not None:
            self.taken = number * (ATTEMPTS + 1)
        ours, theirs = self._hold(self.edge, steps), [["no answer"]] * len(steps)
        for _ in range(ATTEMPTS):
            # nats-server counts what is pending for a consumer behind the PubAck: once in a while it has not yet, and
            # then a pull that does not wait brings less.
            try:
                theirs = self._hold(self.nats, steps)
            except TimeoutError:
                continue
            if ours == theirs:
                return
        for mine, real in zip(ours, theirs, strict=True):
            assert ", ".join(mine).split(", ") == ", ".join(real).split(", ")  # field by field

    def _hold(self, server: Server, steps: list[Step]) -> list[list[str]]:
        self.taken += 1
        conversation = self.kind(server, f"u{self.taken}")
        try:
            return conversation.hold(steps)
        finally:
            conversation.wire.close()

    def close(self) -> None:
        self.edge.kill()
        self.nats.kill()


def _config(store: Path, accounts: list[str], server: str) -> str:
    told = "\n".join(
        f"  A{i}: {{ jetstream: {f'{{ {limits} }}' if limits else 'enabled'}, users: [ {{ user: u{i}, password: p }} ] }}"
        for i, limits in enumerate(accounts, 1)
    )
    return f'''server_name: js
listen: 127.0.0.1:-1
jetstream {{ store_dir: "{store}"{server and f", {server}"} }}
accounts {{
{told}
}}
'''
