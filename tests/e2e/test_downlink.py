"""What comes down from a real hub: over cut lines, to killed edges, each command once."""

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import StreamConfig, SubjectTransform
from nats.js.errors import NotFoundError

PATIENCE = 120.0  # nothing is waited for that does not happen, so only what hangs needs it

HUB = """
listen: 127.0.0.1:{client}
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub, sync_interval: always }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
"""
EDGE = """
listen: 127.0.0.1:{client}
server_name: e1
jetstream {{ store_dir: "{folder}/e1", domain: e1 }}
leafnodes {{ reconnect: "0.1s", remotes: [ {{ url: "nats-leaf://127.0.0.1:{leaf}", ignore_discovered_servers: true }} ] }}
uplink {{ RESULTS: {{ subjects: ["results.e1.>"], hub_domain: hub, hub_stream: RESULTS }} }}
commands {{ hub_domain: hub, timeout: "20s" }}
desired {{ hub_domain: hub }}
reported {{ }}
files {{ hub_domain: hub, dir: "{folder}/files" }}
"""


class Site:
    """A hub, an edge, and the cable between them."""

    def __init__(
        self, start_edge: Any, start_nats: Any, make_proxy: Any, free_port: Callable[[], int], folder: Path,
        bare: bool = False,
    ):  # fmt: skip
        leaf, self.edge_port = free_port(), free_port()
        self.hub = start_nats(HUB.format(client=free_port(), folder=folder, leaf=leaf), "hub")
        self.proxy = make_proxy(leaf)
        self.folder = folder
        self.start_edge = start_edge
        if not bare:
            asyncio.run(self.make_streams())
        self.edge = start_edge(self.config(), "e1")

    def config(self) -> str:
        return EDGE.format(client=self.edge_port, folder=self.folder, leaf=self.proxy.port)

    async def make_streams(self) -> None:
        client = await nats.connect(self.hub.url, connect_timeout=PATIENCE)
        js = client.jetstream(timeout=PATIENCE)
        await js.add_stream(StreamConfig(name="COMMANDS", subjects=["queued.commands.>"]))
        await js.add_stream(StreamConfig(name="RESULTS", subjects=["results.>"]))
        await js.create_key_value(bucket="DESIRED", history=3)
        await js.create_object_store("FILES")
        as_keys = SubjectTransform(src="reported.>", dest="$KV.REPORTED.>")
        await js.add_stream(StreamConfig(
            name="KV_REPORTED", subjects=["reported.>"], subject_transform=as_keys, max_msgs_per_subject=1,
            allow_rollup_hdrs=True, allow_direct=True,
        ))  # fmt: skip
        await client.close()

    def restart(self) -> None:
        self.edge.kill()
        self.edge.start()


@pytest.fixture
def site(start_edge: Any, start_nats: Any, make_proxy: Any, free_port: Any, tmp_path: Path) -> Site:
    return Site(start_edge, start_nats, make_proxy, free_port, tmp_path)


@pytest.fixture
def bare_site(start_edge: Any, start_nats: Any, make_proxy: Any, free_port: Any, tmp_path: Path) -> Site:
    """Its hub has no streams yet."""
    return Site(start_edge, start_nats, make_proxy, free_port, tmp_path, bare=True)


async def send(hub: Any, id: str, verb: str, device: str = "pump", **headers: str) -> None:
    block = {"Nats-Msg-Id": id, **{name.replace("_", "-"): value for name, value in headers.items()}}
    await hub.jetstream(timeout=PATIENCE).publish(f"queued.commands.e1.{device}.{verb}", b'{"level":1}', headers=block)


async def results(hub: Any, count: int) -> dict[str, str]:
    """The states of all results that are there, once there are ``count``; none of them twice."""
    js = hub.jetstream(timeout=PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while (await js.stream_info("RESULTS")).state.messages < count:
            await asyncio.sleep(0.05)
    subscription = await js.subscribe("results.>", ordered_consumer=True)
    stored = (await js.stream_info("RESULTS")).state.messages
    found = [json.loads((await subscription.next_msg(timeout=PATIENCE)).data) for _ in range(stored)]
    assert len({one["command"] for one in found}) == len(found), found
    return {one["command"]: one["state"] for one in found}


async def listed(edge: Any, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """``petiole.e1.commands``, as soon as it is as it is wanted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = json.loads((await edge.request("petiole.e1.commands", b"", timeout=PATIENCE)).data)
            found = {one["command"]: one["state"] for one in answer["commands"]}
            if wanted(found):
                return found
            await asyncio.sleep(0.05)


async def value_of(js: Any, bucket: str, key: str, wanted: bytes | None) -> None:
    """Wait until it is that; None: until the key is gone."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                found = (await (await js.key_value(bucket)).get(key)).value
            except NotFoundError:
                found = None
            if found == wanted:
                return
            await asyncio.sleep(0.05)


async def files(edge: Any, wanted: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = json.loads((await edge.request("petiole.e1.files", b"", timeout=PATIENCE)).data)
            found = {one["file"]: one for one in answer["files"]}
            if wanted(found):
                return found
            await asyncio.sleep(0.01)


def rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_commands_are_run_once_in_order_and_reported(site):
    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        heard = []

        async def pump(message: Any) -> None:
            heard.append((message.subject, message.headers["Petiole-Command"], message.data))
            await message.respond(b'{"status":"failed","error":"stuck"}' if message.subject.endswith("jam") else b'{"ok":1}')

        await send(hub, "late", "start", Petiole_Deadline=rfc3339(-1))
        await send(hub, "a", "start", Petiole_Deadline=rfc3339(3600))
        await listed(edge, lambda found: found == {"late": "expired", "a": "received"})  # nobody is there
        site.proxy.cut()
        await send(hub, "b", "jam")
        await edge.subscribe("commands.e1.pump.*", cb=pump)
        await listed(edge, lambda found: found.get("a") == "done")
        site.proxy.restore()
        assert await results(hub, 3) == {"late": "expired", "a": "done", "b": "failed"}
        assert heard == [
            ("commands.e1.pump.start", "a", b'{"level":1}'), ("commands.e1.pump.jam", "b", b'{"level":1}')
        ]  # fmt: skip
        await edge.close()
        await hub.close()

    asyncio.run(main())


def spoil_note(folder: Path, seq: int) -> None:
    store = sqlite3.connect(next(folder.rglob("*.db")))
    with store:
        changed = store.execute("UPDATE value SET value = x'00' WHERE CAST(key AS TEXT) = ?", (f"command:{seq:020d}",))
    assert changed.rowcount == 1
    store.close()


def test_power_cut_in_the_middle(site):
    """``hangs`` is interrupted, ``again`` is run again, ``next`` waits for its turn, and nothing of it twice; of
    ``spoiled`` the note is damaged on the disk."""

    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        began = asyncio.Event()

        async def silent(message: Any) -> None:
            began.set()

        for device in ("pump", "fan", "valve"):
            await edge.subscribe(f"commands.e1.{device}.*", cb=silent)
        await send(hub, "hangs", "start")
        await send(hub, "next", "stop")
        await send(hub, "again", "start", device="fan", Petiole_Idempotent="true")
        await send(hub, "spoiled", "start", device="valve")
        await listed(
            edge, lambda found: found == {"hangs": "sent", "next": "received", "again": "sent", "spoiled": "sent"}
        )
        await began.wait()
        await edge.close()
        site.edge.kill()
        spoil_note(site.folder / "e1", 4)
        site.edge.start()
        site.edge.wait_for_log("command 4: what was noted of it is damaged")
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        heard = []

        async def answers(message: Any) -> None:
            heard.append(message.headers["Petiole-Command"])
            await message.respond(b"{}")

        await edge.subscribe("commands.e1.*.*", cb=answers)
        states = {"hangs": "interrupted", "next": "done", "again": "done", "spoiled": "interrupted"}
        assert await results(hub, 4) == states
        await edge.close()
        site.restart()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        await edge.subscribe("commands.e1.*.*", cb=answers)
        await send(hub, "last", "stop")
        assert len(await results(hub, 5)) == 5
        assert sorted(heard) == ["again", "last", "next"]
        await edge.close()
        await hub.close()

    asyncio.run(main())


def test_streams_that_the_hub_makes_later_and_makes_anew(bare_site):
    site = bare_site

    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        above, here = hub.jetstream(timeout=PATIENCE), edge.jetstream(timeout=PATIENCE)
        for name in ("COMMANDS", "KV_DESIRED"):
            site.edge.wait_for_log(f"stream {name}: from {name} at $JS.hub.API: stream not found")
        await (await here.key_value("REPORTED")).put("e1.pump.level", b"1")

        async def answers(message: Any) -> None:
            await message.respond(b"{}")

        await edge.subscribe("commands.e1.*.*", cb=answers)
        await edge.flush()
        await site.make_streams()
        for number in range(3):
            await send(hub, f"c{number}", "start")
        await above.publish("queued.commands.e1.nothing", b"\xff", headers={"Nats-Msg-Id": "bad"})
        states = {"c0": "done", "c1": "done", "c2": "done", "bad": "failed"}
        assert await results(hub, 4) == states
        desired = await above.key_value("DESIRED")
        for key in ("e1.pump.level", "e1.pump.speed"):
            await desired.put(key, b"1")
            await value_of(here, "DESIRED", key, b"1")
        await value_of(above, "REPORTED", "e1.pump.level", b"1")

        site.proxy.cut()
        await above.delete_stream("COMMANDS")
        await above.add_stream(StreamConfig(name="COMMANDS", subjects=["queued.commands.>"]))
        await above.delete_key_value("DESIRED")
        desired = await above.create_key_value(bucket="DESIRED", history=3)
        await send(hub, "anew", "start")
        await desired.put("e1.pump.level", b"2")
        site.proxy.restore()
        assert await results(hub, 5) == states | {"anew": "done"}
        await value_of(here, "DESIRED", "e1.pump.level", b"2")
        await value_of(here, "DESIRED", "e1.pump.speed", None)
        for name in ("COMMANDS", "KV_DESIRED"):
            line = f"stream {name}: from {name} at $JS.hub.API: that stream was made anew, and is taken from its beginning"
            site.edge.wait_for_log(line)
        await edge.close()
        site.restart()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        await edge.subscribe("commands.e1.*.*", cb=answers)
        await send(hub, "later", "start")
        assert (await results(hub, 6))["later"] == "done"
        await edge.close()
        await hub.close()

    asyncio.run(main())


def petiole_edge(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "edge", *map(str, words)], check=True, capture_output=True)


def test_edge_put_back_from_a_backup_or_wiped_repeats_nothing_and_loses_nothing(site):
    """What has a result at the hub is over; of the rest nobody knows, unless it may be done twice."""
    heard: list[str] = []

    async def answers(message: Any) -> None:
        id = message.headers["Petiole-Command"]
        heard.append(id)
        if id != "hangs":
            await message.respond(b"{}")

    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        await edge.subscribe("commands.e1.*.*", cb=answers)
        await edge.flush()
        await send(hub, "before", "start")
        await results(hub, 1)
        backup, store = site.folder / "backup.db", site.folder / "e1"
        petiole_edge("backup", "-s", store, backup)
        await send(hub, "ran", "start")
        await send(hub, "ran too", "start", Petiole_Idempotent="true")
        await results(hub, 3)
        await send(hub, "hangs", "start", device="fan")
        await listed(edge, lambda found: found.get("hangs") == "sent")
        await edge.close()
        site.edge.kill()
        await send(hub, "unseen", "start")
        await send(hub, "harmless", "start", Petiole_Idempotent="true")
        shutil.rmtree(store)
        petiole_edge("restore", backup, store)
        site.edge.start()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        await edge.subscribe("commands.e1.*.*", cb=answers)
        states = {"before": "done", "ran": "done", "ran too": "done", "hangs": "interrupted", "unseen": "interrupted",
                  "harmless": "done"}  # fmt: skip
        assert await results(hub, 6) == states
        await send(hub, "after", "start")
        assert await results(hub, 7) == states | {"after": "done"}
        await edge.close()
        site.edge.kill()
        shutil.rmtree(store)
        site.edge.start()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        await edge.subscribe("commands.e1.*.*", cb=answers)
        async with asyncio.timeout(PATIENCE):
            while json.loads((await edge.request("petiole.e1.commands", b"", timeout=PATIENCE)).data)["waits"]:
                await asyncio.sleep(0.05)
        await send(hub, "last", "start")
        assert await results(hub, 8) == states | {"after": "done", "last": "done"}
        assert heard == ["before", "ran", "ran too", "hangs", "harmless", "after", "last"]
        await edge.close()
        site.restart()
        assert "the hub is asked first" not in site.edge.log.read_text().rpartition("Starting")[2]
        await hub.close()

    asyncio.run(main())


def test_state_goes_down_and_up_and_is_there_offline(site):
    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        above, here = hub.jetstream(timeout=PATIENCE), edge.jetstream(timeout=PATIENCE)
        desired, reported = await above.key_value("DESIRED"), await here.key_value("REPORTED")
        for value in (b"1", b"2"):
            await desired.put("e1.pump.level", value)
            await desired.put("e2.pump.level", b"not ours")
        await value_of(here, "DESIRED", "e1.pump.level", b"2")
        assert await (await here.key_value("DESIRED")).keys() == ["e1.pump.level"]
        await reported.put("e1.pump.level", b"1")
        await reported.put("e1.pump.fault", b"hot")
        await value_of(above, "REPORTED", "e1.pump.fault", b"hot")
        site.proxy.cut()
        await desired.put("e1.pump.level", b"3")
        for level in range(2, 300):
            await reported.put("e1.pump.level", b"%d" % level)
        await reported.delete("e1.pump.fault")
        await edge.close()
        site.restart()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        await value_of(edge.jetstream(timeout=PATIENCE), "DESIRED", "e1.pump.level", b"2")
        site.proxy.restore()
        await value_of(edge.jetstream(timeout=PATIENCE), "DESIRED", "e1.pump.level", b"3")
        await value_of(above, "REPORTED", "e1.pump.level", b"299")
        await value_of(above, "REPORTED", "e1.pump.fault", None)
        seen = (await above.stream_info("KV_REPORTED")).state.last_seq
        assert seen < 50, "what was overtaken offline does not go up"
        await edge.close()
        await hub.close()

    asyncio.run(main())


def test_files_go_on_where_they_were_after_a_kill_and_a_lost_link(site):
    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        store = await hub.jetstream(timeout=PATIENCE).object_store("FILES")
        large = random.Random(5).randbytes(24 << 20)
        await store.put("e2/not-ours", b"x")
        await store.put("all/../../evil", b"x")
        await store.put("e1/conf/small", b"hello")
        await store.put("all/empty", b"")
        site.proxy.let(8 << 20)
        await store.put("e1/image", large)
        await files(edge, lambda found: found.get("e1/image", {}).get("bytes", 0) > 5 << 20)
        await edge.close()
        site.restart()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        found = await files(edge, lambda found: found["e1/image"]["bytes"] > 0)
        assert found["e1/image"]["bytes"] > 2 << 20, "it begins anew"
        site.proxy.let(4 << 20)
        before = found["e1/image"]["bytes"]
        await files(edge, lambda found: found["e1/image"]["bytes"] > before)
        site.proxy.cut()
        assert (await files(edge, lambda found: True))["e1/image"]["state"] == "fetching"
        passed = site.proxy.passed
        site.proxy.restore()
        found = await files(edge, lambda found: found["e1/image"]["state"] == "done")
        assert site.proxy.passed - passed < 22 << 20
        assert {name: one["state"] for name, one in found.items()} == {
            "all/../../evil": "failed", "e1/conf/small": "done", "all/empty": "done", "e1/image": "done"
        }  # fmt: skip
        folder = site.folder / "files"
        assert (folder / "image").read_bytes() == large
        assert ((folder / "conf/small").read_bytes(), (folder / "empty").read_bytes()) == (b"hello", b"")
        assert sorted(path.name for path in folder.rglob("*")) == [".petiole-parts", "conf", "empty", "image", "small"]
        await store.put("e1/conf/small", b"hello again")
        await asyncio.to_thread(_await_content, folder / "conf/small", b"hello again")
        async with asyncio.timeout(PATIENCE):
            while (await hub.jetstream(timeout=PATIENCE).stream_info("RESULTS")).state.messages < 5:
                await asyncio.sleep(0.05)
        await edge.jetstream(timeout=PATIENCE).publish("results.e1.probe", b"")  # what was noted before is on disk with it
        before = await files(edge, lambda found: True)
        await edge.close()
        site.restart()
        edge = await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        assert await files(edge, lambda found: True) == before, "nothing is fetched or told again"
        await edge.close()
        await hub.close()

    asyncio.run(main())


def test_objects_that_change_or_go_while_they_are_fetched(site):
    async def main():
        hub, edge = await nats.connect(site.hub.url, connect_timeout=PATIENCE), await nats.connect(site.edge.url, connect_timeout=PATIENCE)
        store = await hub.jetstream(timeout=PATIENCE).object_store("FILES")
        randomly = random.Random(7)
        old, new = randomly.randbytes(24 << 20), randomly.randbytes(3 << 20)
        site.proxy.let(4 << 20)
        await store.put("e1/image", old)
        await files(edge, lambda found: found.get("e1/image", {}).get("bytes", 0) > 1 << 20)
        await store.put("e1/image", new)
        site.proxy.restore()
        await files(edge, lambda found: (found["e1/image"]["size"], found["e1/image"]["state"]) == (len(new), "done"))
        assert (site.folder / "files/image").read_bytes() == new
        site.proxy.let(4 << 20)
        await store.put("e1/gone", old)
        await files(edge, lambda found: found.get("e1/gone", {}).get("bytes", 0) > 1 << 20)
        await store.delete("e1/gone")
        await store.put("e1/next", b"next")
        site.proxy.restore()
        found = await files(edge, lambda found: found.get("e1/next", {}).get("state") == "done")
        assert "e1/gone" not in found and not (site.folder / "files/gone").exists()
        await edge.close()
        await hub.close()

    asyncio.run(main())


def _await_content(path: Path, content: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    while path.read_bytes() != content:
        assert time.monotonic() < deadline
        time.sleep(0.05)
