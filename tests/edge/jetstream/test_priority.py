"""Priority groups: who of several that ask is served."""

import json
from collections.abc import Callable
from typing import Any

from edge.core.times import SECOND

Received = list[tuple[str, str, bytes, bytes]]
Statuses = Callable[[Received], list[str]]


def begin(bench: Any, policy: str, **fields: object) -> Any:
    bench.stream()
    return bench.consumer(priority_policy=policy, priority_groups=["G"], **fields)


def publish(bench: Any, count: int) -> None:
    for _ in range(count):
        bench.publish("s.a", reply="")
    bench.settle()


def ask(bench: Any, reply: str, batch: int = 1, **fields: object) -> None:
    body = {"batch": batch, "group": "G", "expires": 60 * SECOND, **fields}
    bench.account.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", json.dumps(body).encode(), reply=f"_I.{reply}")
    bench.settle()


def got(messages: Received) -> dict[str, list[int]]:
    """Stream sequences by who asked."""
    found: dict[str, list[int]] = {}
    for subject, reply, _, _ in messages:
        if reply.startswith("$JS.ACK."):
            found.setdefault(subject, []).append(int(reply.split(".")[5]))
    return found


def served(bench: Any) -> dict[str, list[int]]:
    """The deliveries since the last look, by the inbox that they went to."""
    return {subject.removeprefix("_I."): seqs for subject, seqs in got(bench.taken).items()}


def look(bench: Any) -> Received:
    bench.taken = bench.take()
    return list(bench.taken)


def who(bench: Any, inboxes: list[str]) -> dict[str, Received]:
    return {name: [message for message in bench.received if message[0] == name] for name in inboxes}


class Client:
    """Hears only what comes to its own inbox."""

    def __init__(self, bench: Any, name: str) -> None:
        self.bench = bench
        self.name = name
        self.messages: Received = []
        bench.account.subscribe(f"P.{name}", lambda *message: self.messages.append(message))

    def ask(self, batch: int = 1, **fields: object) -> "Client":
        body = {"batch": batch, "group": "G", "expires": 60 * SECOND, **fields}
        subject = "$JS.API.CONSUMER.MSG.NEXT.S.C"
        self.bench.account.publish(subject, json.dumps(body).encode(), reply=f"P.{self.name}")
        self.bench.settle()
        return self

    def take(self) -> Received:
        messages, self.messages[:] = list(self.messages), []
        return messages

    def seqs(self) -> list[int]:
        return [int(reply.split(".")[5]) for _, reply, _, _ in self.take() if reply.startswith("$JS.ACK.")]
