"""A machine that starts in 1970: what is stored until the clock is set goes up with the time it really was."""

import asyncio
import json
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


COMMANDS = """
uplink {{ RESULTS: {{ subjects: ["results.e1.>"], hub_domain: hub, hub_stream: RESULTS }} }}
commands {{ hub_domain: hub }}
"""


def test_no_deadline_is_judged_before_the_clock_is_set(start_edge, start_nats, free_port, tmp_path, set_clock):
    """The hub's clock is right: it loads no library."""
    leaf, port = free_port(), free_port()
    hub = start_nats(HUB.format(folder=tmp_path, leaf=leaf), "hub")

    async def main() -> None:
        client = await nats.connect(hub.url, connect_timeout=PATIENCE)
        js = client.jetstream(timeout=PATIENCE)
        for name, subject in (("COMMANDS", "queued.commands.>"), ("RESULTS", "results.>")):
            await js.add_stream(StreamConfig(name=name, subjects=[subject]))
        set_clock(-int(time.time()))
        edge = start_edge((EDGE[: EDGE.index("uplink")] + COMMANDS).format(folder=tmp_path, leaf=leaf, port=port), "e1")
        device = await nats.connect(edge.url, connect_timeout=PATIENCE)
        heard = []

        async def answer(message: Any) -> None:
            heard.append(message.headers["Petiole-Command"])
            await message.respond(b"{}")

        await device.subscribe("commands.e1.pump.*", cb=answer)
        await device.flush()
        for id, deadline in (("late", "2026-01-01T00:00:00Z"), ("later", "2099-01-01T00:00:00Z"), ("free", "")):
            headers = {"Nats-Msg-Id": id} | ({"Petiole-Deadline": deadline} if deadline else {})
            await js.publish(f"queued.commands.e1.{'fan' if id == 'free' else 'pump'}.go", b"", headers=headers)
        await device.subscribe("commands.e1.fan.*", cb=answer)
        results = await js.subscribe("results.>", ordered_consumer=True)
        found = [json.loads((await results.next_msg(timeout=PATIENCE)).data) for _ in range(2)]
        assert {one["command"]: one["state"] for one in found} == {"late": "expired", "free": "done"}
        (waits,) = [one for one in await listed(device) if one["state"] == "received"]
        assert (waits["command"], waits["waits"]) == (
            "later", "the clock is not set: nobody knows whether its deadline has passed"
        )  # fmt: skip
        set_clock(0)
        found = json.loads((await results.next_msg(timeout=PATIENCE)).data)
        assert (found["command"], found["state"], heard) == ("later", "done", ["free", "later"])
        await device.close()
        await client.close()

    asyncio.run(main())


async def listed(client: Any) -> list[dict[str, Any]]:
    return json.loads((await client.request("petiole.e1.commands", b"", timeout=PATIENCE)).data)["commands"]  # type: ignore[no-any-return]


async def publish(url: str, subject: str) -> float:
    """When that was."""
    client = await nats.connect(url, connect_timeout=PATIENCE)
    await client.jetstream(timeout=PATIENCE).publish(subject, b"x")
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
        client = await nats.connect(hub.url, connect_timeout=PATIENCE)
        js = client.jetstream(timeout=PATIENCE)
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
