"""The streams every hub has, and how they fare."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
    SubjectTransform,
)
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from hub.errors import HubError
from hub.fleet import Replica, Stream

TELEMETRY = "TELEMETRY"
READ_PATIENCE_S = 30.0
INVALID_JSON = 10025

STREAMS = (
    StreamConfig(
        name=TELEMETRY,
        subjects=["telemetry.>"],
        num_replicas=3,
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        allow_batched=True,  # edges then get one answer for many messages; servers before 2.14 know nothing of it
    ),
)

COMMANDS = "COMMANDS"
RESULTS = "RESULTS"
COMMAND_AGE_S = 90 * 24 * 3600
COMMAND_STREAMS = tuple(
    StreamConfig(
        name=name,
        subjects=[subject],
        num_replicas=3,
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        max_age=COMMAND_AGE_S,
        max_msgs_per_subject=each,  # the subject names the edge and its device: one edge takes no room of another's
        allow_direct=True,
        allow_batched=True,
    )
    for name, subject, each in ((COMMANDS, "queued.commands.>", 1000), (RESULTS, "results.>", 10_000))
)
DESIRED, REPORTED, FILES = "KV_DESIRED", "KV_REPORTED", "OBJ_FILES"
BUCKETS = tuple(  # as clients know buckets; what edges report comes under another subject (docs/downlink.md)
    StreamConfig(
        name=name,
        subjects=[subject],
        num_replicas=3,
        storage=StorageType.FILE,
        max_msgs_per_subject=history,
        discard=DiscardPolicy.NEW,
        deny_delete=True,
        allow_rollup_hdrs=True,
        allow_direct=True,
        subject_transform=transform,
    )
    for name, subject, history, transform in (
        (DESIRED, "$KV.DESIRED.>", 5, None),
        (REPORTED, "reported.>", 1, SubjectTransform(src="reported.>", dest="$KV.REPORTED.>")),
    )
)
DOWNLINK_STREAMS = (*COMMAND_STREAMS, *BUCKETS)
FILE_STREAMS = (
    StreamConfig(
        name=FILES,
        subjects=["$O.FILES.C.>", "$O.FILES.M.>"],
        num_replicas=3,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        allow_direct=True,
    ),
)


async def ensure_streams(
    client: Client, timeout_s: float = 30.0, streams: tuple[StreamConfig, ...] = STREAMS
) -> list[str]:
    """Create what is missing; what is there stays as its operator has made it.  Answers the names created.

    Returns when every stream answers: one whose replicas have just started is silent until they have a leader.
    """
    js = client.jetstream(timeout=1.0)
    made = await asyncio.gather(*(_insist(js, stream, timeout_s) for stream in streams))
    return [str(stream.name) for stream, is_new in zip(streams, made, strict=True) if is_new]


async def _insist(js: JetStreamContext, config: StreamConfig, timeout_s: float) -> bool:
    clock = asyncio.get_running_loop()
    deadline = clock.time() + timeout_s
    while True:
        try:
            return await _ensure(js, config)
        except (TimeoutError, APIError, Error) as exc:
            if clock.time() > deadline:
                raise HubError(f"stream {config.name}: cannot be created: {exc}") from exc
            if isinstance(exc, APIError):  # an answer, such as "no leader yet", came at once
                await asyncio.sleep(0.2)


async def _ensure(js: JetStreamContext, config: StreamConfig) -> bool:
    """True where the stream had to be created."""
    assert config.name is not None
    try:
        await js.stream_info(config.name)
        return False
    except NotFoundError:
        await _create(js, config)
        return True


async def _create(js: JetStreamContext, config: StreamConfig) -> None:
    """2.12 refuses what it does not know; 2.10 and 2.11 take no notice of it."""
    try:
        await js.add_stream(config)
    except APIError as exc:
        if exc.err_code != INVALID_JSON or config.allow_batched is None:
            raise
        await js.add_stream(config.evolve(allow_batched=None))


async def stored_messages(client: Client, stream: str) -> list[tuple[str, bytes]]:
    """Subject and payload of everything that is in a stream now, read by a consumer."""
    return [(message.subject, message.data) for message in await read_stream(client, stream)]


async def read_stream(client: Client, stream: str, subject: str = ">") -> list[Msg]:
    """Everything that is in a stream now under subjects like this one, read by a consumer."""
    js = client.jetstream()
    everything = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, inactive_threshold=30)
    if subject != ">":
        everything.filter_subject = subject
    consumer = await js.pull_subscribe("", stream=stream, config=everything)
    found: list[Msg] = []
    stored = await _count(js, stream, subject)
    clock = asyncio.get_running_loop()
    deadline = clock.time() + READ_PATIENCE_S
    while len(found) < stored:
        try:
            found += await consumer.fetch(500, timeout=5)
            deadline = clock.time() + READ_PATIENCE_S
        except (NatsTimeout, ServiceUnavailableError) as exc:  # this node may not have heard of the consumer yet
            if clock.time() > deadline:
                raise HubError(f"stream {stream}: the hub gave {len(found)} of {stored} stored messages") from exc
            await asyncio.sleep(0.1)
    return found


async def _count(js: JetStreamContext, stream: str, subject: str) -> int:
    if subject == ">":
        return (await js.stream_info(stream)).state.messages
    return sum(((await js.stream_info(stream, subjects_filter=subject)).state.subjects or {}).values())


async def stream_states(client: Client) -> list[Stream]:
    """Every stream of the edges' account."""
    try:
        infos = await client.jetstream().streams_info()
    except (TimeoutError, APIError, Error) as exc:
        raise HubError(f"no answer: an election is running, or too few nodes live ({exc})") from exc
    return sorted((_stream(info) for info in infos), key=lambda stream: stream.name)


def _stream(info: StreamInfo) -> Stream:
    cluster = info.cluster
    assert info.config.name is not None
    return Stream(
        name=info.config.name,
        subjects=tuple(info.config.subjects or ()),
        replicas=info.config.num_replicas or 1,
        messages=info.state.messages,
        size_bytes=info.state.bytes,
        leader=cluster.leader if cluster else None,
        followers=tuple(
            Replica(peer.name or "?", bool(peer.current) and not peer.offline, peer.lag or 0)
            for peer in (cluster.replicas if cluster else None) or ()
        ),
    )
