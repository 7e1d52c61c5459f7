"""A leaf, here nats-server itself, joins with what `up` printed for it."""

import asyncio
import json
import socket

import nats
import pytest

from hub.commands import send_command
from hub.fleet import leafs
from hub.nats_client import operator, system
from hub.nats_conf import leaf_block
from hub.nats_server import find_nats_server
from hub.node_process import spawn
from hub.plan import free_ports
from hub.system_account import ask_servers


@pytest.fixture
def leaf_url(hub, tmp_path):
    """The client URL of a running leaf named edge-1."""
    (port,) = free_ports("127.0.0.1", 1)
    ours, _, _uplink = leaf_block(hub.plan, "edge-1").partition("uplink {")
    config = tmp_path / "edge.conf"
    config.write_text(f"{ours}\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {tmp_path}/js, domain: edge-1 }}\n")
    process = spawn(find_nats_server(None), "edge-1", config, tmp_path / "edge.log")
    yield f"nats://127.0.0.1:{port}"
    process.end(10)


async def connected(hub):
    """Wait until the leaf is there; answers how the hub sees it."""
    async with system(hub.plan) as client:
        while True:
            found = leafs(await ask_servers(client, "LEAFZ", 3))
            if found:
                return found


async def eventually(ask):
    """Interest needs a moment to reach the hub: ask again until somebody answers."""
    while True:
        try:
            return await ask()
        except Exception as exc:
            if "nobody answers" not in str(exc):
                raise


def test_leaf_is_seen_and_carries_a_command(hub, leaf_url, petiole_hub):
    async def main():
        (leaf,) = await connected(hub)
        assert leaf.name == "edge-1"
        edge = await nats.connect(leaf_url)

        async def pump(message):
            await message.respond(json.dumps({"speed": json.loads(message.data)["speed"]}).encode())

        await edge.subscribe("commands.edge-1.pump.*", cb=pump)
        await edge.flush()
        async with operator(hub.plan) as client:
            result = await eventually(lambda: send_command(client, "commands.edge-1.pump.run", b'{"speed": 3}', 5.0))
        assert result == {"speed": 3}
        await edge.close()

    asyncio.run(main())
    assert "\n  edge-1  on hub-" in petiole_hub("status", "--dir", hub.directory).output


def test_leaf_reaches_the_hubs_jetstream_by_its_domain(hub, leaf_url):
    async def main():
        await connected(hub)
        edge = await nats.connect(leaf_url)
        info = await edge.jetstream(domain="hub").stream_info("TELEMETRY")
        await edge.close()
        return info.config.num_replicas

    assert asyncio.run(main()) == 3


def test_leaf_user_is_no_client(hub):
    """The password on a stolen Pi does not open the operators' port."""
    node = hub.plan.nodes[0]
    login = json.dumps({"user": "edge-1", "pass": hub.plan.edges["edge-1"], "verbose": False})
    with socket.create_connection((hub.plan.host, node.client_port)) as client, client.makefile("rb") as lines:
        assert lines.readline().startswith(b"INFO ")
        client.sendall(f"CONNECT {login}\r\nPING\r\n".encode())
        assert lines.readline() == b"-ERR 'Authorization Violation'\r\n"
