"""An MQTT sensor: numbered readings at a steady pace, each kept until the edge has acknowledged it."""

import asyncio
import json
import math
from contextlib import suppress

from hub.demo.mqtt_publisher import MqttError, MqttPublisher

KEEP_ALIVE_S = 10
RETRY_S = 0.2


class MqttSensor:
    """Publishes `{"seq": n, "value": x}` on `topic`, n = 1, 2, ... without a gap."""

    def __init__(self, port: int, client_id: str, topic: str) -> None:
        self._port = port
        self._topic = topic
        self._publisher = MqttPublisher(client_id, KEEP_ALIVE_S)
        self._more = asyncio.Event()
        self.produced = 0
        self.connected = False

    def acknowledged(self) -> int:
        return self._publisher.acknowledged

    def unacknowledged(self) -> int:
        return self._publisher.unacknowledged()

    async def produce(self, interval_s: float) -> None:
        """Make readings until cancelled, connected or not: the world does not wait for the link."""
        while True:
            self.produced += 1
            value = round(20 + 5 * math.sin(self.produced / 30), 2)
            reading = json.dumps({"seq": self.produced, "value": value})
            self._publisher.publish(self._topic, reading.encode())
            self._more.set()
            await asyncio.sleep(interval_s)

    async def deliver(self) -> None:
        """Keep a connection to the edge and everything moving over it, until cancelled."""
        while True:
            with suppress(OSError, MqttError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    await self._converse(reader, writer)
                finally:
                    self.connected = False
                    writer.close()
            await asyncio.sleep(RETRY_S)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._publisher.connection_made()
        sending = asyncio.create_task(self._send(writer))
        try:
            while data := await reader.read(65536):
                self.connected = True
                self._publisher.receive_data(data)
                self._more.set()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(self._publisher.data_to_send())
            await writer.drain()
            try:
                async with asyncio.timeout(KEEP_ALIVE_S / 2):
                    await self._more.wait()
            except TimeoutError:
                self._publisher.ping()
            self._more.clear()
