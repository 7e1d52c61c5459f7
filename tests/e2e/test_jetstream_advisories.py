"""What JetStream tells of itself under ``$JS.EVENT``: the same steps on our server and on the real one bring the same
advisories and metrics, but for times, made-up names and versions.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.talk import (
    NUMBERS,
    SECOND,
    TIME,
    Conversation,
    Servers,
    Step,
    ack,
    api,
    consumer,
    listen,
    normal,
    pub,
    pull,
    stream,
)  # fmt: skip

EVENTS = listen("$JS.EVENT.>")
METRICS_AND_MORE = [listen("$JS.EVENT.METRIC.>"), listen("$JS.EVENT.ADVISORY.CONSUMER.>")]
LIFE = [listen("$JS.EVENT.ADVISORY.STREAM.>"), listen("$JS.EVENT.ADVISORY.CONSUMER.>")]
SOURCE = re.compile(r"JS_SRC_[\w-]+")
LEFT = re.compile(r'("pause_remaining[\\"]+: )\d+')
PIN = re.compile(r"Nats-Pin-Id: \w{22}")
ACCOUNT = re.compile(r'("(?:acc|account|user)": "[Au])\d+')
MADE_UP = ("id", "timestamp", "rtt", "ack_time", "pinned_id")

CONVERSATIONS: dict[str, list[Step]] = {
    "everything that is asked of the api": [
        EVENTS,
        api("INFO", answers=2),
        stream("S")._replace(answers=3),
        stream("S")._replace(answers=2),
        stream("S", max_msgs=1)._replace(answers=2),
        api("STREAM.CREATE.S", b"{bad", answers=2),
        api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "max_msgs": 3}, answers=3),
        api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "storage": "memory"}, answers=2),
        api("STREAM.UPDATE.NOPE", {"name": "NOPE"}, answers=2),
        api("STREAM.NAMES", answers=2),
        api("STREAM.LIST", answers=2),
        api("STREAM.INFO.S", answers=2),
        api("STREAM.INFO.NOPE", answers=2),
        api("STREAM.INFO.S", answers=2, headers=(("Nats-Required-Api-Level", "99"),)),
        *NUMBERS,
        api("STREAM.MSG.GET.S", {"seq": 4}, answers=1),
        api("STREAM.MSG.GET.S", {"seq": 99}, answers=2),
        api("STREAM.MSG.DELETE.S", {"seq": 4}, answers=2),
        api("STREAM.PURGE.S", answers=2),
        api("DIRECT.GET.S", {"seq": 4}),
        consumer("C", answers=3),
        consumer("C", answers=2),
        consumer("C", answers=2, description="another"),
        consumer("C", answers=2, ack_policy="none"),
        api("CONSUMER.INFO.S.C", answers=2),
        api("CONSUMER.INFO.S.NOPE", answers=2),
        api("CONSUMER.NAMES.S", answers=2),
        api("CONSUMER.LIST.S", answers=2),
        pull("S.C", {"no_wait": True}),
        pull("S.NOPE"),
        api("CONSUMER.PAUSE.S.C", {"pause_until": "2100-01-01T00:00:00Z"}, answers=3),
        api("CONSUMER.PAUSE.S.C", answers=3),
        api("CONSUMER.RESET.S.C", answers=1),
        api("CONSUMER.DELETE.S.C", answers=3),
        api("CONSUMER.DELETE.S.C", answers=2),
        api("STREAM.DELETE.S", answers=3),
        api("STREAM.DELETE.S", answers=2),
        api("BOGUS.X", answers=0),
        Step("$JS.API.INFO", b"{}", (), 2),
    ],
    "streams and consumers come and go": [
        *LIFE,
        stream("S")._replace(answers=2),
        consumer("A", answers=2),
        consumer("B", answers=2),
        consumer("P", answers=3, pause_until="2100-01-01T00:00:00Z"),
        api("CONSUMER.CREATE.S.E", {"stream_name": "S", "config": {"name": "E", "inactive_threshold": SECOND // 5}}, 3),
        api("CONSUMER.PAUSE.S.A", {"pause_until": "2000-01-01T00:00:00Z"}, answers=2),
        stream("T", sources=[{"name": "S"}])._replace(answers=3),
        api("STREAM.DELETE.T", answers=2),
        api("STREAM.DELETE.S", answers=6),
    ],
    "what happens to messages": [
        *METRICS_AND_MORE,
        stream("S"),
        *NUMBERS,
        consumer("C", answers=2, sample_freq="100%", max_deliver=3),
        pull("S.C", {"batch": 6}, answers=6),
        ack(0, answers=2),
        ack(0, answers=1),
        ack(1, b"+ACK", answers=2),
        ack(2, b"-NAK", answers=2),
        ack(2, b'-NAK {"delay": 100000000000}', answers=2),
        ack(0, b"-NAK", answers=1),
        ack(3, b"+WPI", answers=1),
        ack(4, b"+TERM", answers=2),
        ack(4, b"+TERM again", answers=2),
        ack(5, b"+TERM of no use", answers=2),
        ack(3, b"+NXT", answers=1),
        consumer("D", answers=2, sample_freq="100", ack_policy="all"),
        pull("S.D", {"batch": 4}, answers=4),
        ack(8, answers=1),
        ack(6, b"-NAK", answers=1),
        consumer("N", answers=2, sample_freq="0"),
        pull("S.N", {"batch": 1}, answers=1),
        ack(10, answers=1),
        consumer("X", answers=1, sample_freq="bogus"),
    ],
    "delivered as often as it may be": [
        *METRICS_AND_MORE,
        listen("deliver"),
        stream("S"),
        pub("s.a"),
        consumer("C", answers=2, max_deliver=1, ack_wait=SECOND // 5),
        pull("S.C", {"batch": 2, "expires": SECOND}, answers=3),
        api("CONSUMER.INFO.S.C"),
        consumer("P", answers=5, max_deliver=2, backoff=[SECOND // 10, SECOND // 10], deliver_subject="deliver"),
        consumer("K", answers=2, max_deliver=1),
        pull("S.K", answers=1),
        ack(-1, b"-NAK", answers=1),
        pull("S.K", {"no_wait": True, "expires": SECOND // 5}, answers=2),
    ],
    "who is pinned": [
        *METRICS_AND_MORE,
        stream("S"),
        *NUMBERS,
        consumer(
            "C", answers=2, priority_policy="pinned_client", priority_groups=["g"], priority_timeout=SECOND // 2
        ),
        pull("S.C", {"batch": 1, "group": "g"}, answers=3),
        api("CONSUMER.UNPIN.S.C", {"group": "g"}, answers=2),
        pull("S.C", {"batch": 1, "group": "g"}, answers=2),
        api("CONSUMER.UNPIN.S.C", {"group": "g"}, answers=2),
        pull("S.C", {"batch": 1, "group": "g"}, answers=3),
    ],
}  # fmt: skip


class Listening(Conversation):
    """Several come for each step, in an order of their own."""

    def hold(self, steps: list[Step]) -> list[list[str]]:
        return [[title, *sorted(found)] for title, *found in super().hold(steps)]

    def _publish(self, step: Step, reply: str) -> None:
        if not step.subject:
            step = step._replace(ack_of=range(len(self.deliveries))[step.ack_of])
        super()._publish(step, reply)

    def _message(self) -> str:
        head = self.wire.expect(rb"(PING\r\n)*H?MSG [^\r]*\r\n").decode().replace("PING\r\n", "").split()
        if not head[1].startswith("$JS.EVENT."):
            self.wire.received = f"{' '.join(head)}\r\n".encode() + self.wire.received
            return _settled(super()._message())
        data = self.wire.expect(rb".{%d}\r\n" % int(head[-1]))
        return _settled(f"{head[1]} {json.dumps(_normal(json.loads(data)))}")


def _settled(message: str) -> str:
    message = ACCOUNT.sub(r"\1<n>", PIN.sub("Nats-Pin-Id: <id>", message))
    return LEFT.sub(r"\1<left>", SOURCE.sub("JS_SRC_<made up>", message))


def _normal(event: dict[str, Any]) -> dict[str, Any]:
    for key in MADE_UP:
        if key in event:
            assert event[key]
            event[key] = f"<{key}>"
    if "response" in event:
        event["response"] = normal(event["response"].encode(), True)
    if "client" in event:
        assert TIME.fullmatch(event["client"]["start"]) and event["client"]["rtt"] > 0 and event["client"]["id"] > 0
        event["client"] |= {"start": "<start>", "rtt": "<rtt>", "id": "<id>"}
    return event


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    both = Servers(tmp_path_factory.mktemp("servers"), len(CONVERSATIONS), Listening)
    yield both
    both.close()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_advisories_are_those_of_nats_server(name: str, servers: Servers) -> None:
    servers.compare(CONVERSATIONS[name])
