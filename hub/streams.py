"""The streams every hub has, and how they fare."""

from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError

from hub.errors import HubError
from hub.fleet import Replica, Stream

TELEMETRY = "TELEMETRY"

STREAMS = (
    StreamConfig(
        name=TELEMETRY,
        subjects=["telemetry.>"],
        num_replicas=3,
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
    ),
)


async def ensure_streams(client: Client) -> list[str]:
    """Create what is missing; what is there stays as its operator has made it.  Answers the names created."""
    js = client.jetstream()
    created = []
    for config in STREAMS:
        assert config.name is not None
        try:
            try:
                await js.stream_info(config.name)
            except NotFoundError:
                await js.add_stream(config)
                created.append(config.name)
        except (TimeoutError, APIError, Error) as exc:
            raise HubError(f"stream {config.name}: cannot be created: {exc}") from exc
    return created


async def stream_states(client: Client) -> list[Stream]:
    """Every stream of the edges' account."""
    try:
        infos = await client.jetstream().streams_info()
    except (TimeoutError, APIError, Error) as exc:
        raise HubError(f"the hub does not answer for its streams (no quorum?): {exc}") from exc
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
