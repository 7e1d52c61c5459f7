"""What is said about mirrors and sources, held against the real nats-server: what may not be configured, what streams
tell of their origins, and what consumers that other servers source with are answered."""

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PATIENCE
from tests.e2e.talk import Conversation, Servers, Step, api, info, pub, stream

SECOND = 1_000_000_000
IDENTITY = re.compile(r"(Nats-Stream-Identity: |identity does not match: )\w{8}")
HUB = {"api": "$JS.hub.API", "deliver": ""}
SOURCING: dict[str, Any] = {
    "deliver_subject": "d.x", "deliver_policy": "all", "ack_policy": "none", "ack_wait": 79200 * SECOND, "max_deliver": 1,
    "replay_policy": "instant", "flow_control": True, "idle_heartbeat": SECOND, "inactive_threshold": 10 * SECOND,
    "direct": True, "sourcing": True, "metadata": {"_nats.src.acc": "$G", "_nats.src.stream": "X"},
}  # fmt: skip


def has(name: str, messages: int) -> Step:
    return Step(f"HAS {name} {messages}")


def create(name: str, **fields: object) -> Step:
    return api(f"STREAM.CREATE.{name}", {"name": name, **fields})


def mirror(**fields: object) -> Step:
    return create("M", mirror=fields)


def sources(*origins: dict[str, object], **fields: object) -> Step:
    return create("A", sources=list(origins), **fields)


def update(name: str, **fields: object) -> Step:
    return api(f"STREAM.UPDATE.{name}", {"name": name, **fields})


def get(name: str, seq: int) -> Step:
    return api(f"STREAM.MSG.GET.{name}", {"seq": seq})


def sourcing(stream: str, name: str, **fields: object) -> Step:
    return api(
        f"CONSUMER.CREATE.{stream}",
        {"stream_name": stream, "config": {"name": name, **SOURCING, **fields}},
        headers=(("Nats-Required-Api-Level", "5"), ("Nats-Stream-Identity", "")),
    )


def moves(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"src": src, "dest": dest} for src, dest in pairs]


CONVERSATIONS: dict[str, list[Step]] = {
    "what a mirror may not be": [
        stream("O", max_msg_size=1000, allow_direct=True),
        create("M", mirror={"name": "O"}, first_seq=5),
        create("M", mirror={"name": "O"}, subjects=["m"]),
        create("M", mirror={"name": "O"}, sources=[{"name": "O"}]),
        create("M", mirror={"name": "O"}, allow_msg_counter=True),
        create("M", mirror={"name": "O"}, allow_atomic=True),
        create("M", mirror={"name": "O"}, allow_batched=True),
        create("M", mirror={"name": "O"}, allow_msg_schedules=True),
        create("M", mirror={"name": "O"}, subject_delete_marker_ttl=SECOND),
        create("M", mirror={"name": "O"}, max_msg_size=10),
        create("M", mirror={"name": "O"}, mirror_direct=False, pedantic=True),
        mirror(name=""),
        mirror(name="a.b"),
        mirror(),
        mirror(name="O", filter_subject="o.1", subject_transforms=moves(("o.1", "x"))),
        mirror(name="O", subject_transforms=moves(("o..1", "x"))),
        mirror(name="O", subject_transforms=moves(("o.1", "x.{{bad(1)}}"))),
        mirror(name="O", subject_transforms=moves(("o.*", "x.{{wildcard(2)}}"))),
        mirror(name="O", subject_transforms=moves(("o.*", "x.>"))),
        mirror(name="O", subject_transforms=moves(("o.1", "x"), ("o.*", "y"))),
        mirror(name="O", external={"api": "$JS.API", "deliver": ""}),
        mirror(name="O", external={"api": "$JS.*.API", "deliver": ""}),
        mirror(name="O", external={"api": "$JS.hub.API", "deliver": "d.*"}),
        mirror(name="O", external={"api": "$JS.hub.API", "deliver": "d", "bogus": 1}),
        mirror(name="O", consumer={"name": "", "deliver_subject": "d"}),
        mirror(name="O", consumer={"name": "C", "deliver_subject": "d.*"}),
        mirror(name="O", consumer={"name": "C", "deliver_subject": ""}),
        mirror(name="O", consumer={"name": "C", "deliver_subject": "d"}, opt_start_seq=5),
        mirror(name="O", consumer={"name": "C", "deliver_subject": "d"}, filter_subject="o.1"),
        mirror(name="O", opt_start_seq=-1),
        mirror(name="O", opt_start_time="yesterday"),
        mirror(name="O", bogus=1),
        mirror(name="M"),
        create("M", mirror=7),
        create("M", sources={"name": "O"}),
        create("X", mirror_direct=True),
    ],
    "what a source may not be": [
        stream("O", max_msg_size=1000),
        sources({"name": ""}),
        sources({"name": "a b"}),
        sources({"name": "O"}, {"name": "O"}),
        sources({"name": "O", "filter_subject": "o.1"}, {"name": "O", "filter_subject": "o.1"}),
        sources({"name": "O", "filter_subject": "o.1", "subject_transforms": moves(("o.1", "x"))}),
        sources({"name": "O", "subject_transforms": moves(("o..1", "x"))}),
        sources({"name": "O", "subject_transforms": moves(("o.1", "x.{{bad(1)}}"))}),
        sources({"name": "O", "subject_transforms": moves(("o.1", "x"), ("o.*", "y"))}),
        sources({"name": "O"}, max_msg_size=10),
        sources({"name": "O"}, allow_msg_schedules=True),
        sources({"name": "O", "external": {"api": "$JS.API", "deliver": ""}}),
        sources({"name": "O", "external": {"api": "$JS.API.more", "deliver": ""}}),
        sources({"name": "O", "external": {"api": "$JS.>", "deliver": ""}}),
        sources({"name": "O", "external": {"api": "$JS.hub.API", "deliver": "d.>"}}),
        sources({"name": "O"}, {"name": "P", "external": {"api": "$JS.hub.API", "deliver": "o"}}),
        sources({"name": "O", "consumer": {"name": "C", "deliver_subject": "d.*"}}),
        sources({"name": "O", "consumer": {"name": "C", "deliver_subject": "d"}, "opt_start_seq": 5}),
        sources(
            {"name": "O", "consumer": {"name": "C", "deliver_subject": "d"}},
            {"name": "O", "consumer": {"name": "C", "deliver_subject": "d"}, "subject_transforms": moves(("o.1", ""))},
        ),
        sources({"name": "A"}),
        sources({"name": "B"}, subjects=["a"]),
        create("B", sources=[{"name": "A"}]),
        create("B", sources=[{"name": "A", "filter_subject": "other"}]),
        create("C", mirror={"name": "A"}),
        update("A", subjects=["a"], sources=[{"name": "C"}]),
        update("A", sources=[{"name": "O", "external": None}]),
    ],
    "what streams tell of their origins": [
        stream("O", allow_direct=True),
        *(pub(f"o.{number % 2}", b"%d" % number) for number in range(5)),
        api("STREAM.MSG.DELETE.O", {"seq": 3}),
        mirror(name="O"),
        has("M", 4),
        info("M"),
        api("STREAM.INFO.M", {"deleted_details": True}),
        get("M", 2),
        get("M", 3),
        sources({"name": "O", "filter_subject": "o.1"}, {"name": "GONE", "external": HUB}, subjects=["a"]),
        has("A", 2),
        info("A"),
        get("A", 1),
        create("B", sources=[{"name": "O", "subject_transforms": moves(("o.0", "x.0"), ("o.1", "")), "opt_start_seq": 2}]),
        has("B", 3),
        info("B"),
        get("B", 1),
        get("B", 3),
        create("N", mirror={"name": "NOPE", "external": HUB}),
        info("N"),
        create("T", sources=[{"name": "O", "opt_start_time": "2001-02-03T04:05:06.7+01:00"}]),
        info("T"),
        create("D", sources=[{"name": "O", "consumer": {"name": "C", "deliver_subject": "d"}}]),
        info("D"),
        api("STREAM.LIST"),
        api("STREAM.NAMES", {"subject": "o.1"}),
        info("O"),
        api("CONSUMER.NAMES.O"),
    ],
    "mirrors are changed and end": [
        stream("O"),
        *(pub(f"o.{number % 2}", b"%d" % number) for number in range(3)),
        mirror(name="O"),
        has("M", 3),
        update("M", mirror={"name": "P"}),
        update("M", mirror={"name": "O"}, max_msgs=2),
        info("M"),
        mirror(name="O"),
        create("M", mirror={"name": "O"}, max_msgs=2),
        update("M", subjects=["m"]),
        pub("m", b"3"),
        info("M"),
        update("M", mirror={"name": "O"}),
        stream("K"),
        update("K", mirror={"name": "O"}),
        pub("o.1", Nats_Stream_Source="O 1 > > o.1"),
    ],
    "a mirror of what begins late": [
        stream("O", first_seq=100),
        mirror(name="O"),
        pub("o.1"),
        has("M", 1),
        info("M"),
        api("STREAM.PURGE.O"),
        create("N", mirror={"name": "O"}),
        pub("o.2"),
        has("N", 1),
        info("N"),
        create("F", mirror={"name": "O", "filter_subject": "o.3"}),
        pub("o.2"),
        pub("o.3"),
        has("F", 1),
        info("F"),
    ],
    "consumers that other servers source with": [
        stream("O"),
        *(pub(f"o.{number % 2}", b"%d" % number) for number in range(3)),
        sourcing("O", "X"),
        sourcing("O", "X", opt_start_seq=2, deliver_policy="by_start_sequence", filter_subject="o.1"),
        api("CONSUMER.CREATE.O.X.o.1", {"stream_name": "O", "config": {"name": "X", **SOURCING, "filter_subject": "o.1"}}),
        api("CONSUMER.CREATE.O", {"stream_name": "O", "config": {"deliver_subject": "d", "direct": True}}),
        api("CONSUMER.CREATE.O", {"stream_name": "O", "config": {"direct": True}}),
        api("CONSUMER.CREATE.O.Y", {"stream_name": "O", "config": {"name": "Y", "deliver_subject": "d", "direct": True}}),
        api("CONSUMER.CREATE.O.Y", {"stream_name": "O", "config": {"name": "Y", "deliver_subject": "d", "direct": True,
            "durable_name": "Y"}}),
        api("CONSUMER.INFO.O.Y"),
        api("CONSUMER.NAMES.O"),
        api("CONSUMER.LIST.O"),
        info("O"),
        api("INFO"),
        api("CONSUMER.CREATE.O", {"stream_name": "O", "config": {"name": "X", **SOURCING}},
            headers=(("Nats-Required-Api-Level", "5"), ("Nats-Stream-Identity", "other"))),
        api("CONSUMER.CREATE.O", {"stream_name": "O", "config": {"name": "X", **SOURCING}},
            headers=(("Nats-Required-Api-Level", "6"),)),
        api("CONSUMER.DELETE.O.Y"),
        api("CONSUMER.DELETE.O.NOPE"),
    ],
    "consumers that other servers source a work queue with": [
        stream("W", retention="workqueue", max_consumers=1),
        pub("w.1"),
        pub("w.2"),
        sourcing("W", "X"),
        sourcing("W", "X", deliver_subject="d.y", opt_start_seq=7, deliver_policy="by_start_sequence"),
        sourcing("W", "X", filter_subject="w.1"),
        api("CONSUMER.NAMES.W"),
        api("CONSUMER.LIST.W"),
        api("CONSUMER.INFO.W.X"),
        info("W"),
        api("CONSUMER.CREATE.W.C", {"stream_name": "W", "config": {"durable_name": "C", "ack_policy": "explicit"}}),
        api("CONSUMER.RESET.W.X"),
        api("CONSUMER.DELETE.W.X"),
        stream("I", retention="interest"),
        sourcing("I", "X"),
        pub("i.1"),
        info("I"),
        api("CONSUMER.DELETE.I.X"),
        info("I"),
    ],
}  # fmt: skip


class Talk(Conversation):
    """Waits for messages to arrive, and takes no notice of what is made up or counts time."""

    def _step(self, step: Step) -> list[str]:
        if step.subject.startswith("HAS "):
            _, name, messages = step.subject.split()
            self._wait(name, int(messages))
            return [step.subject]
        title, *found = super()._step(step)
        return [title, *map(normal, found)]

    def _wait(self, name: str, messages: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.wire.send(f"PUB $JS.API.STREAM.INFO.{name} _I.has 0\r\n\r\n".encode())
            head = self.wire.expect(rb"(PING\r\n)*MSG [^\r]*\r\n").split()
            state = json.loads(self.wire.expect(rb".{%d}\r\n" % int(head[-1])))["state"]
            if state["messages"] == messages:
                return
            assert time.monotonic() < deadline, state
            time.sleep(0.02)


def normal(text: str) -> str:
    text = IDENTITY.sub(r"\1<identity>", text)
    head, brace, body = text.partition("{")
    if not brace:
        return text
    return head + json.dumps(_normal(json.loads(brace + body)))


def _normal(value: Any) -> Any:
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {key: _normal(item) for key, item in value.items()}
    if known.get("active") == -1:  # nats-server tells the filter of a mirror when it has asked for it
        known.pop("filter_subject", None)
    elif "active" in known:
        known["active"] = "<active>"
    known.pop("bytes", None)  # with headers it counts 4 more than we do
    if "sources" in known:
        known["sources"] = sorted(known["sources"], key=lambda source: str(source["name"]))
    if "hdrs" in known:
        known["hdrs"] = re.sub(r" \w{8}\r\n", " <identity>\r\n", base64.b64decode(known["hdrs"]).decode())
    for key in ("name", "durable_name"):
        if isinstance(known.get(key), str):
            known[key] = re.sub(r"^X-\w{8}$", "X-<made up>", known[key])
    return known


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    both = Servers(tmp_path_factory.mktemp("servers"), len(CONVERSATIONS))
    yield both
    both.close()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_nats_server(name: str, servers: Servers) -> None:
    held = []
    for number, server in enumerate((servers.edge, servers.nats), 1):
        talk = Talk(server, f"u{2 * list(CONVERSATIONS).index(name) + number}")
        held.append(talk.hold(CONVERSATIONS[name]))
        talk.wire.close()
    for mine, real in zip(*held, strict=True):
        assert mine == real
