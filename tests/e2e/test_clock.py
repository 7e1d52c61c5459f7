"""A machine that starts in 1970: what is stored until the clock is set goes up with the time it really was."""

import asyncio
import os
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import StreamConfig

PATIENCE = 60.0
SHIM = Path(__file__).with_name("wall_clock.c")

HUB = """
listen: 127.0.0.1:-1
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
"""
EDGE = """
listen: 127.0.0.1:{port}
server_name: e1
jetstream {{ store_dir: "{folder}/e1", domain: e1 }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://127.0.0.1:{leaf}" }} ] }}
uplink {{ T: {{ subjects: ["t.>"], hub_domain: hub, hub_stream: T, order: strict }} }}
"""
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: the clock cannot be set")


@pytest.fixture
def set_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``set_clock(seconds)``: by so much the clock is wrong, for servers that are started from now on."""
    shim = tmp_path / "wall_clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(SHIM), "-ldl"], check=True)
    offset = tmp_path / "offset"
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("WALL_OFFSET", str(offset))

    def put(seconds: int) -> None:
        beside = tmp_path / "offset.new"
        beside.write_text(str(seconds))
        os.rename(beside, offset)

    return put


async def publish(url: str, subject: str) -> float:
    """When that was."""
    client = await nats.connect(url)
    await client.jetstream().publish(subject, b"x")
    await client.close()
    return time.time()


def test_from_1970_over_a_restart(start_edge, start_nats, free_port, tmp_path, set_clock):
    leaf, port = free_port(), free_port()
    set_clock(-int(time.time()))
    edge = start_edge(EDGE.format(folder=tmp_path, leaf=leaf, port=port), "e1")

    async def main() -> None:
        first = await publish(edge.url, "t.first")
        edge.kill()
        edge.start()
        second = await publish(edge.url, "t.second")
        set_clock(0)
        edge.wait_for_log("the clock is set")
        third = await publish(edge.url, "t.third")
        hub = start_nats(HUB.format(folder=tmp_path, leaf=leaf), "hub")
        client = await nats.connect(hub.url)
        js = client.jetstream()
        await js.add_stream(StreamConfig(name="T", subjects=["t.>"]))
        subscription = await js.subscribe("t.>", ordered_consumer=True)
        found = [await subscription.next_msg(timeout=PATIENCE) for _ in range(3)]
        await client.close()
        assert [message.headers.get("Petiole-Time-Quality") for message in found] == ["corrected", "corrected", None]
        times = [datetime.fromisoformat(message.headers["Petiole-Time"]).timestamp() for message in found]
        assert [abs(told - known) < 1.5 for told, known in zip(times, (first, second, third), strict=True)] == [True] * 3
        assert times == sorted(times)

    asyncio.run(main())
    assert "(it says 1970-01-01" in edge.log.read_text()
