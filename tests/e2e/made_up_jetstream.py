"""Seeded random conversations with JetStream, for ``test_jetstream_random.py`` and, longer ones, from the command line:

    python -m tests.e2e.made_up_jetstream --seeds 20 --steps 500

A step is an API call, a publish with whatever headers, a pull or an ack; what comes back is read until its end is there, so
that no step needs to know how many answers it has.
"""

import argparse
import difflib
import json
import random
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Server
from tests.e2e.talk import SECOND, Conversation, Servers, Step

STREAMS = {"S": ["s.>"], "T": ["t.*", "u"], "V": ["v.>"]}
SUBJECTS = ["s.a", "s.b", "s.c", "s.d.e", "s.a", "s.a", "t.x", "t.y", "u", "v.a", "v.b", "nowhere"]
PATTERNS = ["s.a", "s.*", "s.>", "t.*", "u", "v.>", ">", "x.>", "s.d.*"]
CONSUMERS = ["C", "D", "E"]
SILENCE = 1.5  # seconds after which no answer comes any more


class Talk(Conversation):
    """Reads until the end of each answer is there, instead of counting."""

    def _step(self, step: Step) -> list[str]:
        self.count += 1
        self.inexact = self.inexact or bool(step.headers)
        if step.ack_of >= 0 and not self.deliveries:
            return ["nothing to acknowledge"]
        if step.ack_of >= 0:
            step = step._replace(ack_of=step.ack_of % len(self.deliveries))
        self._publish(step, f"_I.{self.count}")
        self.wire.socket.settimeout(SILENCE)
        try:
            found = self._pulled(step) if ".MSG.NEXT." in step.subject else [self._message()]
        except TimeoutError:
            found = ["silence"]
        if step.subject == "$JS.API.INFO" and self.inexact:
            found = [re.sub(r'"(memory|storage)": \d+', r'"\1": 0', text) for text in found]
        return [f"{step.subject or 'ack'} {step.headers or ''} {step.body[:200].decode()}", *found]

    def _pulled(self, step: Step) -> list[str]:
        wanted = json.loads(step.body)["batch"]
        found = []
        while len(found) < wanted:
            found.append(self._message())
            if "NATS/1.0 4" in found[-1] or "NATS/1.0 503" in found[-1]:
                break
        return found


class Pair(Servers):
    """``difference``: where the two servers part ways, or nothing."""

    def difference(self, steps: list[Step]) -> str:
        ours, theirs = self._hold(self.edge, steps), self._hold(self.nats, steps)
        if ours != theirs:  # nats-server counts what is pending behind the PubAck: once in a while it has not yet
            theirs = self._hold(self.nats, steps)
        for number, (mine, real) in enumerate(zip(ours, theirs, strict=True)):
            if mine != real:
                before = "\n".join(f"  {step[0]}" for step in ours[max(number - 12, 0) : number])
                return f"step {number}\n{before}\n> {mine[0]}\n{_parting(real[1:], mine[1:])}"
        return ""

    def _hold(self, server: Server, steps: list[Step]) -> list[list[str]]:
        self.taken += 1
        talk = Talk(server, f"u{self.taken}")
        try:
            return talk.hold(steps)
        finally:
            talk.wire.close()


def _parting(theirs: list[str], ours: list[str]) -> str:
    """Only the fields that differ."""
    lines = []
    for line in difflib.ndiff(*(" | ".join(each).replace(", ", ",\n").splitlines() for each in (theirs, ours))):
        if line[0] in "+-":
            lines.append(line)
    return "\n".join(lines)


class Author:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def conversation(self, length: int) -> list[Step]:
        steps = [self._create("S", {}), self._create("T", {})]
        kinds: list[tuple[int, Callable[[], Step]]] = [
            (30, self.publish), (10, self.pull), (10, self.ack), (6, self.consumer), (5, self.stream), (4, self.get),
            (3, self.remove), (4, self.info), (2, self.purge), (2, self.delete), (2, self.nonsense),
        ]  # fmt: skip
        weights, makers = zip(*kinds, strict=True)
        while len(steps) < length:
            steps.append(self.dice.choices(makers, weights)[0]())
        return steps

    def some(self, *choices: Any) -> Any:
        return self.dice.choice(choices)

    def maybe(self, share: float, **fields: Callable[[], Any]) -> dict[str, Any]:
        return {name: make() for name, make in fields.items() if self.dice.random() < share}

    # ---- streams

    def _create(self, name: str, more: dict[str, Any], call: str = "CREATE") -> Step:
        return _api(f"STREAM.{call}.{name}", {"name": name, "subjects": STREAMS[name], **more})

    def stream(self) -> Step:
        number, some = self.dice.randrange, self.some
        more = self.maybe(
            0.15,
            max_msgs=lambda: some(-1, 0, 3, 10), max_bytes=lambda: some(-1, 300, 5000), max_msg_size=lambda: some(-1, 20),
            max_msgs_per_subject=lambda: some(-1, 1, 2, 5), discard=lambda: some("old", "new"),
            retention=lambda: some("limits", "interest", "workqueue"), storage=lambda: some("file", "memory"),
            allow_direct=lambda: some(True, False), allow_rollup_hdrs=lambda: True, deny_delete=lambda: some(True, False),
            deny_purge=lambda: some(True, False), allow_msg_ttl=lambda: True, max_consumers=lambda: some(-1, 1, 2),
            duplicate_window=lambda: some(0, SECOND, 60 * SECOND), description=lambda: "d" * number(5),
            metadata=lambda: {"k": str(number(3))}, discard_new_per_subject=lambda: True, first_seq=lambda: some(0, 1, 50),
            num_replicas=lambda: some(1, 3), allow_msg_counter=lambda: True, sealed=lambda: False,
            consumer_limits=lambda: {"max_ack_pending": some(1, 100)}, no_ack=lambda: False,
        )  # fmt: skip
        return self._create(self.some(*STREAMS), more, self.some("CREATE", "CREATE", "UPDATE"))

    def info(self) -> Step:
        name = self.some(*STREAMS, "NONE")
        return self.some(
            _api(f"STREAM.INFO.{name}"), _api(f"STREAM.INFO.{name}", {"subjects_filter": self.some(*PATTERNS)}),
            _api(f"STREAM.INFO.{name}", {"deleted_details": True}), _api("STREAM.NAMES"),
            _api("STREAM.NAMES", {"subject": self.some(*PATTERNS)}), _api("STREAM.LIST"), _api("INFO"),
            _api(f"CONSUMER.INFO.{name}.{self.some(*CONSUMERS)}"), _api(f"CONSUMER.NAMES.{name}"),
            _api(f"CONSUMER.LIST.{name}"),
        )  # fmt: skip

    def purge(self) -> Step:
        body = self.some(
            None, {"filter": self.some(*PATTERNS)}, {"seq": self.dice.randrange(20)}, {"keep": self.dice.randrange(4)},
            {"filter": self.some(*PATTERNS), "keep": 1}, {"seq": 3, "keep": 1}, {"filter": "s.a", "seq": self.dice.randrange(20)},
        )  # fmt: skip
        return _api(f"STREAM.PURGE.{self.some(*STREAMS)}", body)

    def delete(self) -> Step:
        name = self.some(*STREAMS)
        return self.some(_api(f"STREAM.DELETE.{name}"), _api(f"CONSUMER.DELETE.{name}.{self.some(*CONSUMERS)}"))

    # ---- messages

    def publish(self) -> Step:
        dice, some = self.dice, self.some
        subject = some(*SUBJECTS)
        headers = self.maybe(
            0.05,
            Nats_Msg_Id=lambda: str(dice.randrange(6)), Nats_Expected_Stream=lambda: some("S", "T"),
            Nats_Expected_Last_Sequence=lambda: str(dice.randrange(30)),
            Nats_Expected_Last_Subject_Sequence=lambda: str(dice.randrange(12)),
            Nats_Expected_Last_Msg_Id=lambda: str(dice.randrange(6)), Nats_Rollup=lambda: some("sub", "all", "x"),
            Nats_TTL=lambda: some("1h", "never", "x"), Nats_Incr=lambda: some("+1", "-2", "x"), Other=lambda: "value",
        )  # fmt: skip
        return _pub(subject, b"" if "Nats_Incr" in headers else dice.randbytes(dice.randrange(12)).hex().encode(), **headers)

    def get(self) -> Step:
        name, seq = self.some(*STREAMS), self.dice.randrange(1, 25)
        body = self.some(
            {"seq": seq}, {"last_by_subj": self.some(*PATTERNS)}, {"seq": seq, "next_by_subj": self.some(*PATTERNS)},
            {"next_by_subj": self.some(*PATTERNS)}, {"seq": 0}, {}, {"seq": seq, "last_by_subj": "s.a"},
        )  # fmt: skip
        if self.dice.random() < 0.3 and "next_by_subj" not in body:
            return _api(f"DIRECT.GET.{name}", body)
        return _api(f"STREAM.MSG.GET.{name}", body)

    def remove(self) -> Step:
        body = {"seq": self.dice.randrange(25), **self.maybe(0.3, no_erase=lambda: True)}
        return _api(f"STREAM.MSG.DELETE.{self.some(*STREAMS)}", body)

    # ---- consumers

    def consumer(self) -> Step:
        some, stream, name = self.some, self.some("S", "S", "T"), self.some(*CONSUMERS)
        more = self.maybe(
            0.2,
            deliver_policy=lambda: some("all", "last", "new", "last_per_subject", "by_start_sequence"),
            opt_start_seq=lambda: self.dice.randrange(20), ack_policy=lambda: some("none", "all", "explicit"),
            filter_subject=lambda: some("s.a", "s.*", "t.x", "s.>"), filter_subjects=lambda: ["s.a", some("s.b", "s.*")],
            max_deliver=lambda: some(-1, 1, 3), max_ack_pending=lambda: some(-1, 1, 5), headers_only=lambda: True,
            max_waiting=lambda: some(1, 10), description=lambda: "d", replay_policy=lambda: "instant",
            inactive_threshold=lambda: 3600 * SECOND, max_batch=lambda: 2, metadata=lambda: {"a": "b"}, mem_storage=lambda: True,
            backoff=lambda: [3600 * SECOND], num_replicas=lambda: some(0, 1),
        )  # fmt: skip
        config = {"durable_name": name, "ack_policy": "explicit", "ack_wait": 3600 * SECOND, **more}
        action = self.maybe(0.2, action=lambda: some("create", "update"))
        return _api(f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": config, **action})

    def pull(self) -> Step:
        body = {"batch": self.dice.randrange(1, 5), "no_wait": True, **self.maybe(0.1, max_bytes=lambda: 100)}
        return _api(f"CONSUMER.MSG.NEXT.{self.some('S', 'S', 'T')}.{self.some(*CONSUMERS)}", body)

    def ack(self) -> Step:
        return Step("", self.some(b"", b"+ACK", b"-NAK", b"+WPI", b"+TERM", b"+ACK"), (), 1, self.dice.randrange(1000))

    def nonsense(self) -> Step:
        return self.some(
            _api("STREAM.CREATE.X", {"name": "Y", "subjects": ["x"]}), _api("STREAM.CREATE.S", b"{"),
            _api("CONSUMER.CREATE.NONE.C", {"stream_name": "NONE", "config": {"durable_name": "C"}}),
            _api("STREAM.INFO.S", b"[]"), _api("CONSUMER.INFO.S.NONE"), _api("STREAM.MSG.GET.S", b"x"),
            _api("STREAM.CREATE.Z", {"name": "Z", "subjects": ["s.a"]}),
        )  # fmt: skip


def _api(call: str, body: Any = None) -> Step:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return Step(f"$JS.API.{call}", data)


def _pub(subject: str, payload: bytes, **headers: str) -> Step:
    return Step(subject, payload, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        servers = Pair(Path(folder), options.seeds)
        for seed in range(options.first, options.first + options.seeds):
            difference = servers.difference(Author(seed).conversation(options.steps))
            failed += bool(difference)
            print(f"seed {seed}: {difference or 'equal'}", flush=True)
        servers.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
