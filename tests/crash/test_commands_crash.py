"""SIGKILL at random moments while commands are run: each has one result, and only what is idempotent is done twice.

Rounds are 5 by default; a longer campaign: ``PETIOLE_CRASH_ROUNDS=200 tests/run tests/crash/test_commands_crash.py``.
"""

import asyncio
import json
import os
import random
from collections import Counter
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.js.api import StreamConfig

ROUNDS = int(os.environ.get("PETIOLE_CRASH_ROUNDS", "5"))
EACH = 12  # commands in a round
PATIENCE = 60.0

HUB = """
listen: 127.0.0.1:-1
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub, sync_interval: always }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
"""
EDGE = """
listen: 127.0.0.1:{port}
server_name: e1
jetstream {{ store_dir: "{folder}/e1", domain: e1 }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://127.0.0.1:{leaf}" }} ] }}
uplink {{ RESULTS: {{ subjects: ["results.e1.>"], hub_domain: hub, hub_stream: RESULTS }} }}
commands {{ hub_domain: hub, parallel: 2, keep: 5 }}
"""


async def ignore(error: Exception) -> None:
    """The server is gone: that is the test."""


class Devices:
    """What was carried out.  They are on the edge's side of the power, but their works are not."""

    def __init__(self, port: int) -> None:
        self.url = f"nats://127.0.0.1:{port}"
        self.carried_out: Counter[str] = Counter()

    async def serve(self) -> Any:
        client = await nats.connect(self.url, allow_reconnect=False, error_cb=ignore, connect_timeout=PATIENCE)
        await client.subscribe("commands.e1.*.*", cb=self._on_command)
        await client.flush()
        return client

    async def _on_command(self, message: Any) -> None:
        self.carried_out[message.headers["Petiole-Command"]] += 1
        await asyncio.sleep(random.random() * 0.02)
        try:
            await message.respond(b'{"status":"ok"}')
        except NatsError:
            pass


async def results(hub: Any, count: int) -> dict[str, str]:
    js = hub.jetstream(timeout=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while (stored := (await js.stream_info("RESULTS")).state.messages) < count:
            await asyncio.sleep(0.1)
    subscription = await js.subscribe("results.>", ordered_consumer=True)
    found = [json.loads((await subscription.next_msg(timeout=60)).data) for _ in range(stored)]
    states = {one["command"]: one["state"] for one in found}
    assert len(states) == len(found), "a result came twice"
    return states


def test_killed_at_any_moment(start_edge, start_nats, free_port, tmp_path):
    leaf, port = free_port(), free_port()
    hub_server = start_nats(HUB.format(folder=tmp_path, leaf=leaf), "hub")
    edge = start_edge(EDGE.format(folder=tmp_path, leaf=leaf, port=port), "e1")

    async def main() -> None:
        hub = await nats.connect(hub_server.url, connect_timeout=PATIENCE)
        js = hub.jetstream(timeout=PATIENCE)
        await js.add_stream(StreamConfig(name="COMMANDS", subjects=["queued.commands.>"]))
        await js.add_stream(StreamConfig(name="RESULTS", subjects=["results.>"]))
        devices = Devices(port)
        sent = 0
        for _ in range(ROUNDS):
            client = await devices.serve()
            for _ in range(EACH):
                sent += 1
                headers = {"Nats-Msg-Id": str(sent)} | ({"Petiole-Idempotent": "true"} if sent % 3 == 0 else {})
                await js.publish(f"queued.commands.e1.d{sent % 4}.go", b"{}", headers=headers)
            await asyncio.sleep(random.random() * 0.4)
            edge.kill()
            await client._close(client.CLOSED, do_cbs=False)
            edge.start()
        client = await devices.serve()
        states = await results(hub, sent)
        assert len(states) == sent
        for id, state in states.items():
            times = devices.carried_out[id]
            if int(id) % 3 == 0:
                assert (state, times >= 1) == ("done", True), (id, state, times)
            elif state == "done":
                assert times == 1, (id, times)
            else:
                assert (state, times <= 1) == ("interrupted", True), (id, state, times)
        await client.close()
        await hub.close()

    asyncio.run(main())
