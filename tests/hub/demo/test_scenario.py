"""Reading the hub's stream back; the acts themselves are tried by tests/hub/demo/test_run.py."""

import asyncio

import pytest

from hub.demo.scenario import reading, stored_readings
from hub.nats_client import operator


def test_reading_is_known_by_device_and_number():
    assert reading("telemetry.edge-1.meadow.temperature", b'{"seq": 7, "value": 21.5}') == ("meadow", 7)
    assert reading("telemetry.edge-1.boiler.counter", b'{"value": 9, "unit": "1"}') == ("boiler", 9)


@pytest.mark.parametrize("count", [0, 1, 1203])
def test_everything_stored_is_read_back(hub, count):
    async def main():
        async with operator(hub.plan) as client:
            js = client.jetstream()
            await js.purge_stream("TELEMETRY")
            for n in range(count):
                await js.publish_async("telemetry.edge-1.meadow.c", b'{"seq": %d}' % (n + 1))
            await js.publish_async_completed()
            return await stored_readings(client)

    assert sorted(asyncio.run(main())) == [("meadow", n + 1) for n in range(count)]
