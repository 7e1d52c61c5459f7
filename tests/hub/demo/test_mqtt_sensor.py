"""The sensor against nats-server's own MQTT listener, killed under its hands."""

import asyncio
import json
import socket

import nats
import pytest

from hub.demo.mqtt_sensor import MqttSensor
from hub.nats_server import find_nats_server
from hub.node_process import spawn
from hub.plan import free_ports


@pytest.fixture
def server(tmp_path):
    """A function that starts the server (again) and the ports it has."""
    client, mqtt = free_ports("127.0.0.1", 2)
    config = tmp_path / "server.conf"
    config.write_text(
        f"server_name: one\nlisten: 127.0.0.1:{client}\n"
        f"jetstream {{ store_dir: {tmp_path}/js, sync_interval: always }}\nmqtt {{ listen: 127.0.0.1:{mqtt} }}\n"
    )
    started = []

    def start():
        started.append(spawn(find_nats_server(None), "one", config, tmp_path / "server.log"))
        return started[-1]

    yield start, f"nats://127.0.0.1:{client}", mqtt
    for process in started:
        process.kill()


async def connect(url):
    while True:
        try:
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
                return await nats.connect(url)
        except OSError:
            await asyncio.sleep(0.02)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def test_every_reading_arrives_through_a_kill(server):
    start, url, port = server

    async def main():
        process = start()
        client = await connect(url)
        await client.jetstream().add_stream(name="T", subjects=["telemetry.>"])
        await client.close()
        sensor = MqttSensor(port, "sensor-1", "telemetry/edge-1/sensor-1/c")
        delivering = asyncio.create_task(sensor.deliver())
        producing = asyncio.create_task(sensor.produce(0.005))
        await until(lambda: sensor.acknowledged() > 50)
        process.kill()
        lost_at = sensor.produced
        await until(lambda: sensor.produced > lost_at + 50)
        assert sensor.unacknowledged() > 0 and not sensor.connected
        start()
        await until(lambda: sensor.acknowledged() > lost_at + 100)
        producing.cancel()
        await until(lambda: sensor.unacknowledged() == 0)
        delivering.cancel()

        client = await connect(url)
        js = client.jetstream()
        info = await js.stream_info("T")
        stored = [json.loads((await js.get_msg("T", n)).data)["seq"] for n in range(1, info.state.last_seq + 1)]
        await client.close()
        return sensor.produced, stored

    produced, stored = asyncio.run(main())
    assert set(stored) == set(range(1, produced + 1))
