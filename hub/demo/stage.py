"""Everything that plays in the demo, built in one directory and ended in every case."""

import asyncio
import dataclasses
import sys
from pathlib import Path

from hub.demo.leaf_link import LeafLink
from hub.demo.mqtt_sensor import MqttSensor
from hub.demo.process import Process
from hub.demo.serial_device import SerialDevice
from hub.errors import HubError
from hub.nats_conf import HubPlan, leaf_block
from hub.nats_server import HubCluster
from hub.plan import free_ports, new_plan, save_plan

EDGE = "edge-1"
MQTT_DEVICE = "meadow"
SERIAL_DEVICE = "boiler"


class Stage:
    """Owner of every process; nothing runs before open() and nothing after close()."""

    def __init__(self, directory: Path, binary: Path) -> None:
        plan, links, (client_port, mqtt_port) = _ports()
        self.directory = directory
        self.binary = binary
        self.hub = HubCluster(plan, directory)
        self.link = LeafLink(links)
        self.edge_url = f"nats://127.0.0.1:{client_port}"
        self.edge = Process("edge", _edge_words(plan, directory, client_port, mqtt_port), directory / "edge.log")
        self.sensor = MqttSensor(mqtt_port, MQTT_DEVICE, f"telemetry/{EDGE}/{MQTT_DEVICE}/temperature")
        self.serial = SerialDevice(directory, self.edge_url, EDGE, SERIAL_DEVICE)
        self._edge_ports = client_port, mqtt_port

    def start_hub(self) -> None:
        save_plan(self.hub.plan, self.directory)
        for name in self.hub.missing():
            self.hub.start(name, self.binary)

    async def start_edge(self) -> None:
        """Start it (again) and return when it listens."""
        self.edge.start()
        for port in self._edge_ports:
            await self._listening(port)

    def fault(self, hub: bool = False) -> str | None:
        """What has ended although nobody killed it."""
        if hub and (dead := self.hub.missing()):
            return f"{dead[0]} has ended: {self.hub.last_words(dead[0])}"
        return self.edge.fault() or self.serial.fault()

    def produced(self) -> dict[str, int]:
        return {MQTT_DEVICE: self.sensor.produced, SERIAL_DEVICE: self.serial.produced()}

    def close(self) -> None:
        """End every process, those first that would complain about the loss of the others."""
        self.serial.end()
        self.edge.end()
        self.hub.stop()

    async def _listening(self, port: int) -> None:
        while True:
            if (fault := self.edge.fault()) is not None:
                raise HubError(fault)
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def _ports() -> tuple[HubPlan, dict[int, int], tuple[int, int]]:
    """A plan whose leafs are told to come to the link's ports, those ports, and the edge's two."""
    plan = new_plan("127.0.0.1", None, (EDGE,))
    taken = {port for node in plan.nodes for port in (node.client_port, node.cluster_port, node.leaf_port)}
    while taken & set(ports := free_ports("127.0.0.1", len(plan.nodes) + 2)):
        continue
    client_port, mqtt_port, *link_ports = ports
    nodes = tuple(
        dataclasses.replace(node, leaf_advertise=f"127.0.0.1:{port}")
        for node, port in zip(plan.nodes, link_ports, strict=True)
    )
    links = {port: node.leaf_port for node, port in zip(nodes, link_ports, strict=True)}
    return dataclasses.replace(plan, nodes=nodes), links, (client_port, mqtt_port)


def _edge_words(plan: HubPlan, directory: Path, client_port: int, mqtt_port: int) -> list[str]:
    config = directory / "edge.conf"
    config.write_text(
        f"{leaf_block(plan, EDGE)}"
        f"listen: 127.0.0.1:{client_port}\n"
        f'jetstream {{ store_dir: "{directory / "edge"}", domain: {EDGE} }}\n'
        f"mqtt {{ listen: 127.0.0.1:{mqtt_port} }}\n"
    )
    config.chmod(0o600)
    return [sys.executable, "-m", "edge", "run", "-c", str(config)]
