"""Object stores as their users write them, with nats-py and nats.js unmodified: the same program on our server and on
the real one notes the same lines.  And objects that are larger than the memory a server may take.
"""

import asyncio
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import ObjectMeta, ObjectMetaOptions, ObjectStoreConfig, StorageType
from nats.js.errors import ObjectNotFoundError

from tests.e2e.diary import Diary, Pair, Program, end

PATIENCE = 60
MB = 1 << 20
LARGE = 200 * MB
CHUNK = 128 << 10


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    servers = Pair(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


class Noise(io.RawIOBase):
    """So many bytes, no two chunks the same, and none of them kept."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.count = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        size = min(len(into), self.left)
        self.count += 1
        data = (hashlib.sha256(b"%d" % self.count).digest() * (size // 32 + 1))[:size]
        into[:size] = data
        self.digest.update(data)
        self.left -= size
        return size


class Sink(io.RawIOBase):
    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.size += len(data)
        self.digest.update(data)
        return len(data)


def show(info: Any) -> str:
    if info is None:
        return "end"
    options = info.options and (info.options.link, info.options.max_chunk_size)
    return (
        f"{info.name} {info.description} {info.size} {info.chunks} {info.digest} {info.deleted} {info.headers} {options}"
    )


def content(found: Any) -> str:
    return f"{found.data} of {show(found.info)}"


# ---- nats-py


async def objects(js: Any, diary: Diary) -> None:
    store = await js.create_object_store("B", config=ObjectStoreConfig(description="a store"))
    await diary.attempt("nothing there", store.get("a"), content)
    await diary.attempt("list of nothing", store.list())
    meta = ObjectMeta(name="a", description="first", headers={"Kind": "a test"})
    await diary.attempt("put", store.put("a", b"one", meta), show)
    await diary.attempt("get", store.get("a"), content)
    await diary.attempt("info", store.get_info("a"), show)
    await diary.attempt("put again", store.put("a", "two"), show)
    await diary.attempt("get what was put again", store.get("a"), content)
    await diary.attempt("put empty", store.put("empty", b""), show)
    await diary.attempt("get empty", store.get("empty"), content)
    large = Noise(700_001)
    await diary.attempt("put large", store.put("/l a r g e/ü", large), show)
    sink = Sink()
    await diary.attempt("get large", store.get("/l a r g e/ü", writeinto=sink), lambda found: show(found.info))
    diary.note("the same", sink.size, sink.digest.digest() == large.digest.digest())
    small = ObjectMeta(name="small", options=ObjectMetaOptions(max_chunk_size=1000))
    await diary.attempt("put in small chunks", store.put("small", b"0123456789" * 550, small), show)
    await diary.attempt("get small chunks", store.get("small"), lambda found: len(found.data))
    await diary.attempt("list", store.list(), lambda infos: "; ".join(map(show, infos)))
    await diary.attempt("delete", store.delete("small"))
    await diary.attempt("get deleted", store.get("small"), content)
    await diary.attempt("info of deleted", store.get_info("small", show_deleted=True), show)
    await diary.attempt("delete nothing", store.delete("nothing"))
    await diary.attempt("list without deleted", store.list(ignore_deletes=True), lambda infos: "; ".join(map(show, infos)))
    await diary.attempt("rename", store.update_meta("a", ObjectMeta(name="b", description="another")))
    state = (await js.stream_info("OBJ_B")).state
    diary.note("state", state.messages, state.first_seq, state.last_seq, state.num_deleted)
    status = await store.status()
    diary.note("status", status.bucket, status.description, status.sealed, status.storage_type, status.replicas, status.ttl)
    await diary.attempt("seal", store.seal())
    await diary.attempt("put into a sealed store", store.put("x", b"x"), show)
    await diary.attempt("get from a sealed store", store.get("/l a r g e/ü"), lambda found: len(found.data))
    await diary.attempt("delete the store", js.delete_object_store("B"))
    await diary.attempt("get from a deleted store", store.get("a"), content)
    await diary.attempt("open a deleted store", js.object_store("B"))


async def watching(js: Any, diary: Diary) -> None:
    store = await js.create_object_store("W", config=ObjectStoreConfig(storage=StorageType.MEMORY))
    watcher = await store.watch()
    diary.note("nothing yet", show(await watcher.updates(PATIENCE)))
    for name, data in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        await store.put(name, data)
        diary.note("put", show(await watcher.updates(PATIENCE)))
    await store.delete("b")
    diary.note("deleted", show(await watcher.updates(PATIENCE)))
    await watcher.stop()
    for what, count, options in (
        ("all", 3, {}),
        ("no deletes", 1, {"ignore_deletes": True}),
        ("history", 3, {"include_history": True}),
        ("only updates", 0, {"updates_only": True}),
    ):
        watcher = await store.watch(**options)
        for _ in range(count):
            diary.note(what, show(await watcher.updates(PATIENCE)))
        await store.put("a", what)
        diary.note(f"{what}, then", show(await watcher.updates(PATIENCE)))
        await watcher.stop()


@pytest.mark.parametrize("program", [objects, watching], ids=lambda program: program.__name__)
def test_nats_py(program: Program, pair: Pair) -> None:
    pair.compare(program)


@pytest.mark.parametrize("program", ["objects", "watching", "limits"])
def test_nats_js(program: str, pair: Pair) -> None:
    pair.compare_node("obj.mjs", program)


# ---- ours alone


@pytest.fixture
def server(start_edge: Callable[..., Any], tmp_path: Path) -> Any:
    return start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}')


def peak_memory(server: Any) -> int:
    """Bytes, the most that the process has ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) << 10


def test_a_large_object_passes_through(server: Any) -> None:
    """Put, got, replaced and deleted; the server has no more than some of it in memory at any time."""

    async def main() -> None:
        nc = await nats.connect(server.url)
        store = await nc.jetstream().create_object_store("B")
        await store.put("small", Noise(10 * CHUNK))
        before = peak_memory(server)
        source, sink = Noise(LARGE), Sink()
        info = await store.put("large", source)
        assert info.size == LARGE and info.chunks == LARGE // CHUNK
        assert (await store.get("large", writeinto=sink)).info.digest == info.digest
        assert sink.size == LARGE and sink.digest.digest() == source.digest.digest()
        await store.put("large", b"little")
        assert (await store.status()).stream_info.state.messages == 10 + 1 + 1 + 1
        await store.delete("large")
        assert (await store.get("small")).info.size == 10 * CHUNK
        grown = peak_memory(server) - before
        assert grown < 24 * MB, f"{grown / MB:.1f} MB more"
        await nc.close()

    asyncio.run(main())


def test_publishers_faster_than_the_disk_are_read_no_faster(server: Any) -> None:
    """Nobody waits for an ack, and yet nothing is lost and memory stays what it was."""

    async def main() -> None:
        nc = await nats.connect(server.url, pending_size=LARGE)
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s"])
        before = peak_memory(server)
        for _ in range(LARGE // MB):
            await nc.publish("s", b"x" * (MB - 100))
        await nc.flush(timeout=60)
        await js.publish("s", b"the last one", timeout=60)
        assert (await js.stream_info("S")).state.messages == LARGE // MB + 1
        grown = peak_memory(server) - before
        assert grown < 80 * MB, f"{grown / MB:.1f} MB more"
        await nc.close()

    asyncio.run(main())


def test_half_an_object_is_none(server: Any) -> None:
    """The server is killed while one is put: what was there before is there, and the chunks can be found and purged."""

    async def before() -> str:
        nc = await nats.connect(server.url, allow_reconnect=False)
        store = await nc.jetstream().create_object_store("B")
        whole = await store.put("whole", Noise(20 * CHUNK))
        writers = [asyncio.create_task(store.put(name, Noise(LARGE))) for name in ("whole", "half")]
        while (await store.status()).stream_info.state.messages < 60:
            await asyncio.sleep(0.01)
        server.kill()
        await end(writers)
        await nc.close()
        return str(whole.digest)

    async def after(digest: str) -> None:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        store = await js.object_store("B")
        sink = Sink()
        assert (await store.get("whole", writeinto=sink)).info.digest == digest and sink.size == 20 * CHUNK
        with pytest.raises(ObjectNotFoundError):
            await store.get("half")
        assert [info.name for info in await store.list()] == ["whole"]
        known = (await store.get_info("whole")).nuid
        found = (await js.stream_info("OBJ_B", subjects_filter="$O.B.C.>")).state.subjects
        assert found[f"$O.B.C.{known}"] == 20 and sum(found.values()) >= 59
        for subject in found:
            if not subject.endswith(known):
                await js.purge_stream("OBJ_B", subject=subject)
        assert (await store.status()).stream_info.state.messages == 21
        await store.put("half", Noise(3 * CHUNK))
        assert (await store.get("half")).info.size == 3 * CHUNK
        await nc.close()

    digest = asyncio.run(before())
    server.start()
    asyncio.run(after(digest))
