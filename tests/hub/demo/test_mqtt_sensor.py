"""The sensor and the edge's MQTT listener, the edge killed under its hands."""

import asyncio
import json
import sys

import nats
import pytest

from hub.demo.mqtt_sensor import MqttSensor
from hub.demo.process import Process
from hub.plan import free_ports


@pytest.fixture
def edge(tmp_path):
    """An edge that is not started yet, its client port and its MQTT port."""
    client, mqtt = free_ports("127.0.0.1", 2)
    config = tmp_path / "edge.conf"
    config.write_text(
        f"server_name: edge-1\nlisten: 127.0.0.1:{client}\n"
        f'jetstream {{ store_dir: "{tmp_path}/js" }}\nmqtt {{ listen: 127.0.0.1:{mqtt} }}\n'
    )
    words = [sys.executable, "-m", "edge", "run", "-c", str(config)]
    process = Process("edge", words, tmp_path / "edge.log")
    yield process, client, mqtt
    process.end()


async def until(condition, process):
    while not condition():
        assert process.fault() is None
        await asyncio.sleep(0.01)


async def connect(port, process):
    while True:
        assert process.fault() is None
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return await nats.connect(f"nats://127.0.0.1:{port}")


async def numbers_stored(port, process):
    client = await connect(port, process)
    js = client.jetstream()
    last = (await js.stream_info("T")).state.last_seq
    stored = [json.loads((await js.get_msg("T", n)).data)["seq"] for n in range(1, last + 1)]
    await client.close()
    return stored


def test_every_reading_is_stored_once_through_a_kill(edge):
    process, client_port, mqtt_port = edge

    async def main():
        process.start()
        client = await connect(client_port, process)
        await client.jetstream().add_stream(name="T", subjects=["telemetry.>"])
        await client.close()
        sensor = MqttSensor(mqtt_port, "sensor-1", "telemetry/edge-1/sensor-1/c")
        delivering = asyncio.create_task(sensor.deliver())
        producing = asyncio.create_task(sensor.produce(0.005))
        await until(lambda: sensor.acknowledged() > 50, process)
        process.kill()
        made = sensor.produced
        await until(lambda: sensor.produced > made + 50, process)
        assert sensor.unacknowledged() > 0 and not sensor.connected
        process.start()
        await until(lambda: sensor.acknowledged() > made + 100, process)
        producing.cancel()
        await until(lambda: sensor.unacknowledged() == 0, process)
        delivering.cancel()
        await asyncio.gather(producing, delivering, return_exceptions=True)
        return sensor.produced, await numbers_stored(client_port, process)

    produced, stored = asyncio.run(main())
    assert sorted(stored) == list(range(1, produced + 1))
