"""Streams at hubs that do not know all that is asked for."""

import asyncio

import pytest
from nats.js.api import StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from hub.streams import STREAMS, ensure_streams


class Hub:
    """A client, and the JetStream that it leads to, in one: a server of 2.12."""

    def __init__(self, err_code: int) -> None:
        self.err_code = err_code
        self.streams: list[StreamConfig] = []

    def jetstream(self, timeout: float) -> "Hub":
        return self

    async def stream_info(self, name: str) -> StreamConfig:
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise NotFoundError

    async def add_stream(self, config: StreamConfig) -> None:
        if "allow_batched" in config.as_dict():
            raise BadRequestError(err_code=self.err_code, description='json: unknown field "allow_batched"')
        self.streams.append(config)


def test_a_hub_without_batches_gets_its_streams_too() -> None:
    hub = Hub(10025)
    assert asyncio.run(ensure_streams(hub)) == ["TELEMETRY"]
    assert hub.streams == [STREAMS[0].evolve(allow_batched=None)]
    assert asyncio.run(ensure_streams(hub)) == []


def test_what_is_refused_for_other_reasons_stays_refused() -> None:
    hub = Hub(10052)
    with pytest.raises(Exception, match="cannot be created"):
        asyncio.run(ensure_streams(hub, timeout_s=0))
    assert hub.streams == []
