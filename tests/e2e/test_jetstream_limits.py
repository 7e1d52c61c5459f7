"""What accounts and the server let be stored and asked for, and how INFO tells of it: the same on the real server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from tests.conftest import Server
from tests.e2e.mint import Operator, creds
from tests.e2e.talk import SECOND, Servers, Step, ack, api, consumer, pub, pull, stream

FULL = b"x" * 200
Start = Callable[..., Server]

STREAMS = "max_streams: 2, max_consumers: 2"
BYTES = "max_mem: 1000, max_file: 2000"
OF_EACH = "max_bytes_required: true, mem_max_stream_bytes: 500, disk_max_stream_bytes: 1000, max_ack_pending: 50"
SERVER = "limits: { max_ack_pending: 60, max_request_batch: 7, duplicate_window: 30s }"
SERVER_BYTES = "max_mem: 3000, max_file: 3000"


class Given:
    """An account with limits, and what is asked of it."""

    def __init__(self, limits: str, *steps: Step) -> None:
        self.limits = limits
        self.steps = list(steps)


def memory(name: str, **fields: object) -> Step:
    return stream(name, storage="memory", **fields)


CONVERSATIONS: dict[str, Given] = {
    "so many streams and consumers": Given(
        STREAMS,
        api("INFO"),
        stream("S"),
        stream("T", max_consumers=3),
        stream("T", max_consumers=1),
        stream("U"),
        stream("S"),
        consumer("A"),
        consumer("B"),
        consumer("C"),
        consumer("A"),
        api("CONSUMER.CREATE.T.A", {"stream_name": "T", "config": {"durable_name": "A"}}),
        api("CONSUMER.CREATE.T.B", {"stream_name": "T", "config": {"durable_name": "B"}}),
        api("STREAM.UPDATE.T", {"name": "T", "subjects": ["t.>"], "max_consumers": 3}),
        api("STREAM.UPDATE.T", {"name": "T", "subjects": ["t.>"], "max_consumers": 2}),
        api("CONSUMER.CREATE.T.B", {"stream_name": "T", "config": {"durable_name": "B"}}),
        api("CONSUMER.DELETE.S.A"),
        consumer("C"),
        api("INFO"),
        api("STREAM.DELETE.T"),
        stream("U"),
        api("INFO"),
    ),
    "so many bytes": Given(
        BYTES,
        api("INFO"),
        stream("S"),
        *[pub("s.a", FULL)] * 9,
        pub("s.a", b"x" * 100),
        pub("s.a", b"x" * 10),
        api("INFO"),
        stream("T"),
        pub("t.a", FULL),
        memory("M"),
        *[pub("m.a", FULL)] * 5,
        api("INFO"),
        memory("N", max_bytes=1001),
        memory("N", max_bytes=1000),
        api("INFO"),
        memory("O", max_bytes=1),
        memory("O"),
        api("STREAM.UPDATE.N", {"name": "N", "subjects": ["n.>"], "storage": "memory", "max_bytes": 1001}),
        api("STREAM.UPDATE.N", {"name": "N", "subjects": ["n.>"], "storage": "memory", "max_bytes": 500}),
        memory("O", max_bytes=501),
        memory("O", max_bytes=500),
        stream("F", max_bytes=2001),
        stream("F", max_bytes=1500),
        stream("G", max_bytes=501),
        api("INFO"),
        api("STREAM.PURGE.S"),
        pub("s.a", FULL),
        api("STREAM.DELETE.M"),
        pub("n.a", FULL),
        api("INFO"),
    ),
    "so many of each": Given(
        OF_EACH,
        api("INFO"),
        stream("S"),
        stream("S", max_bytes=1001),
        stream("S", max_bytes=1000),
        memory("M", max_bytes=501),
        memory("M", max_bytes=0),
        memory("M", max_bytes=500),
        api("STREAM.UPDATE.M", {"name": "M", "subjects": ["m.>"], "storage": "memory"}),
        api("STREAM.UPDATE.M", {"name": "M", "subjects": ["m.>"], "storage": "memory", "max_bytes": 501}),
        consumer("A"),
        consumer("B", max_ack_pending=51),
        consumer("B", max_ack_pending=50),
        consumer("B", max_ack_pending=-1),
        consumer("N", ack_policy="none"),
        api("INFO"),
    ),
    "what the server allows": Given(
        "",
        api("INFO"),
        stream("S", duplicate_window=31 * SECOND),
        stream("S"),
        stream("D", max_age=20 * SECOND),
        consumer("A"),
        consumer("B", max_ack_pending=61),
        consumer("C", max_batch=8),
        consumer("C", max_batch=7),
        *[pub("s.a", b"%d" % i) for i in range(8)],
        pull("S.A", {"batch": 8}),
        pull("S.A", {"batch": 7, "no_wait": True}, answers=7),
        ack(0),
    ),
}  # fmt: skip
BYTES_OF_THE_SERVER = [
    api("INFO"),
    memory("M", max_bytes=3001),
    memory("M", max_bytes=2000),
    memory("N", max_bytes=1001),
    memory("N", max_bytes=1000),
    memory("O", max_bytes=1),
    memory("O"),
    api("INFO"),
    api("STREAM.UPDATE.N", {"name": "N", "subjects": ["n.>"], "storage": "memory", "max_bytes": 1001}),
    api("STREAM.UPDATE.N", {"name": "N", "subjects": ["n.>"], "storage": "memory", "max_bytes": 999}),
    memory("O"),
    api("STREAM.DELETE.N"),
    memory("O"),
    *[pub("o.a", FULL)] * 16,
    api("INFO"),
    stream("F", max_bytes=3001),
    stream("F", max_bytes=2999),
    stream("G", max_bytes=2),
    stream("H"),
    *[pub("h.a", FULL)] * 15,
    api("INFO"),
    *[api(f"STREAM.DELETE.{name}") for name in "MOFGH"],
]  # an account for each attempt, and all leave the server as they found it


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    limits = [given.limits for given in CONVERSATIONS.values()]
    both = Servers(tmp_path_factory.mktemp("servers"), len(limits), limits=limits, server=SERVER)
    yield both
    both.close()


def test_bytes_of_all_accounts_together(tmp_path: Path) -> None:
    both = Servers(tmp_path, 1, server=SERVER_BYTES)
    try:
        both.compare(BYTES_OF_THE_SERVER)
    finally:
        both.close()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_limits_are_those_of_nats_server(name: str, servers: Servers) -> None:
    servers.compare(CONVERSATIONS[name].steps, list(CONVERSATIONS).index(name))


@pytest.mark.parametrize(
    "limits",
    [
        {"tiered_limits": {"R1": {"mem_storage": 1000, "disk_storage": 2000, "streams": 2}, "R3": {"disk_storage": -1}}},
        {"mem_storage": 1000, "disk_storage": -1, "streams": 2, "consumer": -1, "max_ack_pending": 5},
    ],
    ids=["by replicas", "plain"],
)
def test_limits_in_a_jwt(limits: dict[str, Any], start_edge: Start, start_nats: Start, tmp_path: Path) -> None:
    operator = Operator()
    account = operator.account("A")
    account.claims["limits"] |= limits
    user = creds(tmp_path, account.user(1), 1)
    config = operator.config("MEMORY", f'jetstream {{ store_dir: "{tmp_path}/STORE" }}')

    async def told(server: Server) -> list[Any]:
        client = await nats.connect(server.url, user_credentials=user)
        found = []
        for call, body in (
            ("INFO", {}),
            ("STREAM.CREATE.S", {"name": "S", "subjects": ["s"], "max_bytes": 1500}),
            ("STREAM.CREATE.M", {"name": "M", "subjects": ["m"], "storage": "memory"}),
            ("STREAM.CREATE.T", {"name": "T", "subjects": ["t"]}),
            ("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {"durable_name": "C"}}),
            ("INFO", {}),
        ):
            answer = json.loads((await client.request(f"$JS.API.{call}", json.dumps(body).encode())).data)
            found.append(answer if call == "INFO" else answer.get("error"))
        await client.close()
        return found

    ours = asyncio.run(told(start_edge(config.replace("STORE", "edge-store"))))
    theirs = asyncio.run(told(start_nats(config.replace("STORE", "nats-store"))))
    assert ours == theirs
