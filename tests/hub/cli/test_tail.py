import asyncio
import re
import signal
import subprocess
import sys

import pytest

from hub.cli.tail import payload_text
from hub.nats_client import GO_ON_FOR_EVER, operator
from hub.nats_server import find_nats_server
from hub.system_account import wait_ready


@pytest.mark.parametrize(
    "payload, shown",
    [(b"21.5", "21.5"), ("é".encode(), "é"), (b"\xff\x00", "ff00"), (b"a\x1b[2J", "611b5b324a"), (b"", "")],
)
def test_payload_is_one_printable_line(payload, shown):
    assert payload_text(payload) == shown


@pytest.fixture
def tail(hub):
    """petiole-hub tail telemetry.> in a process of its own, listening."""
    words = ["tail", "telemetry.>", "--dir", str(hub.directory)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from hub.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline() == "listening on telemetry.>\n"
    yield process
    process.kill()
    process.communicate()


def test_prints_time_subject_payload(hub, tail):
    async def main():
        async with operator(hub.plan) as client:
            await client.publish("telemetry.edge-1.boiler.c", b"21.5")

    asyncio.run(main())
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  telemetry\.edge-1\.boiler\.c  21\.5\n", tail.stdout.readline()
    )
    tail.send_signal(signal.SIGINT)
    assert tail.wait() == 0
    assert tail.stderr.read() == ""


def test_survives_the_loss_of_its_node(hub, tail):
    """Every node is killed and started in turn, so the one that `tail` is connected to is among them."""

    async def restart(name):
        hub.kill(name)
        hub.start(name, find_nats_server(None))
        await wait_ready(hub.plan, lambda: None, 30)

    async def publish_until_seen(word):
        async with operator(hub.plan, GO_ON_FOR_EVER) as client:
            line = asyncio.create_task(asyncio.to_thread(tail.stdout.readline))
            while not line.done():
                await client.publish("telemetry.edge-1.boiler.c", word)
                await asyncio.wait([line], timeout=0.1)
            return await line

    async def main():
        for node in hub.plan.nodes:
            await restart(node.name)
            assert "telemetry.edge-1.boiler.c" in await publish_until_seen(node.name.encode())

    asyncio.run(main())


def test_bad_subject(hub, petiole_hub):
    result = petiole_hub("tail", "a..b", "--dir", hub.directory)
    assert (result.exit_code, "is no subject" in result.output) == (1, True)
