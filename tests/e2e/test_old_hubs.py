"""A hub that sources a work queue of the edge.  With 2.14 it acknowledges what it has; before, it would lose what is on
its way when the link goes, and is refused.  ``NATS_SERVER=…/nats-server`` runs this with an older one."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import nats
from nats.js.api import ExternalStream, StreamConfig, StreamSource

PATIENCE = 60.0

HUB = """
listen: 127.0.0.1:-1
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
"""
EDGE = """
listen: 127.0.0.1:-1
server_name: e1
jetstream {{ store_dir: "{folder}/edge", domain: e1 }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://127.0.0.1:{leaf}" }} ] }}
"""
OLD = {
    "stream_name": "WORK",
    "config": {
        "name": "JS_SRC_abcdefgh", "deliver_subject": "deliver.here", "deliver_policy": "all", "ack_policy": "none",
        "max_deliver": 1, "replay_policy": "instant", "flow_control": True, "idle_heartbeat": 1_000_000_000,
        "direct": True,
    },
}  # fmt: skip


def test_a_work_queue_is_for_hubs_that_acknowledge(
    start_nats: Any, start_edge: Any, free_port: Callable[[], int], tmp_path: Any
) -> None:
    leaf = free_port()
    hub = start_nats(HUB.format(folder=tmp_path, leaf=leaf), "hub")
    edge = start_edge(EDGE.format(folder=tmp_path, leaf=leaf), "e1")

    async def main() -> None:
        here, there = await nats.connect(edge.url), await nats.connect(hub.url)
        js = here.jetstream()
        await js.add_stream(StreamConfig(name="WORK", subjects=["work.>"], retention="workqueue"))
        await js.add_stream(StreamConfig(name="KEPT", subjects=["kept.>"]))
        for number in range(10):
            await js.publish(f"work.{number}", b"x")
        answer = json.loads((await here.request("$JS.API.CONSUMER.CREATE.WORK", json.dumps(OLD).encode())).data)
        assert "a server before 2.14 that sources it loses" in answer["error"]["description"]
        kept = OLD | {"stream_name": "KEPT"}
        answer = json.loads((await here.request("$JS.API.CONSUMER.CREATE.KEPT", json.dumps(kept).encode())).data)
        assert "error" not in answer
        edge.wait_for_log("connected to hub")
        source = StreamSource(name="WORK", external=ExternalStream(api="$JS.e1.API"))
        await there.jetstream(timeout=5).add_stream(StreamConfig(name="AGG", sources=[source]))
        version = there.connected_server_version.major, there.connected_server_version.minor
        deadline = time.monotonic() + PATIENCE
        while True:
            info = json.loads((await there.request("$JS.API.STREAM.INFO.AGG", b"", timeout=30)).data)
            left = (await js.stream_info("WORK")).state.messages
            refused = "before 2.14" in str(info["sources"][0].get("error"))
            if version < (2, 14) and refused:
                assert left == 10 and info["state"]["messages"] == 0
                break
            if version >= (2, 14) and info["state"]["messages"] == 10 and not left:
                break
            assert time.monotonic() < deadline, (info, left)
            await asyncio.sleep(0.1)
        await here.close()
        await there.close()

    asyncio.run(main())
