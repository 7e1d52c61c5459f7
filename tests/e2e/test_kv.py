"""Key-value buckets as their users write them, with nats-py and nats.js unmodified: the same program on our server and
on the real one notes the same lines.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import KeyValueConfig, RePublish, StorageType

from tests.e2e.diary import Diary, Pair, Program, end

PATIENCE = 60


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    servers = Pair(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


def entry(found: Any) -> str:
    return "end" if found is None else f"{found.key} {found.value} {found.revision} {found.delta} {found.operation}"


def entries(found: Any) -> str:
    return "; ".join(map(entry, found))


# ---- nats-py


async def values(js: Any, diary: Diary) -> None:
    kv = await js.create_key_value(KeyValueConfig(bucket="B", history=3, description="a bucket"))
    await diary.attempt("get nothing", kv.get("a"), entry)
    await diary.attempt("create", kv.create("a", b"1"))
    await diary.attempt("create again", kv.create("a", b"2"))
    await diary.attempt("put", kv.put("a", b"3"))
    await diary.attempt("put another", kv.put("b.c", b"4"))
    await diary.attempt("put empty", kv.put("e", b""))
    await diary.attempt("get", kv.get("a"), entry)
    await diary.attempt("get empty", kv.get("e"), entry)
    await diary.attempt("get a revision", kv.get("a", revision=1), entry)
    await diary.attempt("get a revision of another", kv.get("a", revision=3), entry)
    await diary.attempt("get a revision that is not", kv.get("a", revision=99), entry)
    await diary.attempt("update", kv.update("a", b"5", last=2))
    await diary.attempt("update with the wrong revision", kv.update("a", b"6", last=2))
    await diary.attempt("update what is not", kv.update("new", b"7", last=0))
    await diary.attempt("update what is", kv.update("new", b"7", last=0))
    await diary.attempt("keys", kv.keys(), sorted)
    await diary.attempt("history", kv.history("a"), entries)
    await diary.attempt("history of nothing", kv.history("nope"), entries)
    await kv.put("a", b"8")
    await diary.attempt("history is cut", kv.history("a"), entries)
    await diary.attempt("delete with the wrong revision", kv.delete("a", last=2))
    await diary.attempt("delete", kv.delete("a"))
    await diary.attempt("get deleted", kv.get("a"), entry)
    await diary.attempt("history with a delete", kv.history("a"), entries)
    await diary.attempt("create after a delete", kv.create("a", b"9"))
    await diary.attempt("purge", kv.purge("a"))
    await diary.attempt("get purged", kv.get("a"), entry)
    await diary.attempt("history of what is purged", kv.history("a"), entries)
    await diary.attempt("keys", kv.keys(), sorted)
    await diary.attempt("create after a purge", kv.create("a", b"10"))
    await kv.delete("e")
    await diary.attempt("purge deletes", kv.purge_deletes(olderthan=-1))
    await diary.attempt("history of all", kv.history(">"), entries)
    await diary.attempt("an invalid key", kv.put(".a", b""))
    status = await kv.status()
    diary.note("status", status.bucket, status.values, status.history, status.ttl)
    await diary.attempt("delete the bucket", js.delete_key_value("B"))
    await diary.attempt("get in a deleted bucket", kv.get("a"), entry)
    await diary.attempt("open a deleted bucket", js.key_value("B"))


async def limits(js: Any, diary: Diary) -> None:
    small = await js.create_key_value(KeyValueConfig(bucket="SMALL", max_value_size=10, storage=StorageType.MEMORY))
    await diary.attempt("a value of the greatest size", small.put("a", b"0123456789"))
    await diary.attempt("a value that is too large", small.put("a", b"0123456789x"))
    full = await js.create_key_value(KeyValueConfig(bucket="FULL", max_bytes=1000, direct=True))
    for i in range(8):
        await diary.attempt("fill", full.put(f"k{i}", b"x" * 200))
    await diary.attempt("replace in a full bucket", full.put("k0", b"y" * 200))
    await diary.attempt("delete in a full bucket", full.delete("k0"))
    await diary.attempt("keys of a full bucket", full.keys(), sorted)
    await diary.attempt("get directly", full.get("k1"), entry)
    await diary.attempt("get nothing directly", full.get("k9"), entry)
    await diary.attempt("get a revision directly", full.get("k1", revision=2), entry)
    await diary.attempt("too much history", js.create_key_value(bucket="H", history=65))
    many = await js.create_key_value(bucket="MANY", history=64)
    for i in range(70):
        await many.put("k", b"%d" % i)
    await diary.attempt("as much history as there is", many.history("k"), entries)
    config = KeyValueConfig(bucket="R", republish=RePublish(src=">", dest="told.>"))
    inbox = await js._nc.subscribe("told.>")
    told = await js.create_key_value(config)
    for key, value in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        await told.put(key, value)
        message = await inbox.next_msg(PATIENCE)
        headers = {name: value for name, value in message.headers.items() if name != "Nats-Time-Stamp"}
        diary.note("republished", message.subject, message.data, headers)


async def watching(js: Any, diary: Diary) -> None:
    kv = await js.create_key_value(bucket="W", history=5)

    async def see(what: str, watcher: Any, count: int = 1) -> None:
        """The client says that these were all as soon as it knows, which may be before it has shown them."""
        found = [entry(await watcher.updates(PATIENCE)) for _ in range(count)]
        for each in sorted(found, key=lambda each: each == "end"):
            diary.note(what, each)

    empty = await kv.watchall()
    await see("nothing yet", empty, 1)
    for key in ("a", "b.x", "b.y", "a", "c"):
        await kv.put(key, key.encode())
        await see("from the beginning", empty, 1)  # how many come behind it depends on when it is seen
    await kv.delete("c")
    await see("from the beginning", empty, 1)
    await empty.stop()
    for what, pattern, count, options in (
        ("last values", ">", 5, {}),
        ("one key", "a", 2, {}),
        ("some keys", "b.*", 3, {}),
        ("no key", "z", 1, {}),
        ("history", ">", 7, {"include_history": True}),
        ("no deletes", ">", 4, {"ignore_deletes": True}),
        ("no values", ">", 5, {"meta_only": True}),
        ("history of one", "a", 3, {"include_history": True, "meta_only": True}),
    ):
        watcher = await kv.watch(pattern, **options)
        await see(what, watcher, count)
        for key in ("b.x", "a"):
            await kv.put(key, what.encode())
            await see(f"{what}, then", watcher, pattern in (">", key) or (pattern, key) == ("b.*", "b.x"))
        await watcher.stop()
    await kv.purge("a")
    last = await kv.watchall()
    await see("after a purge", last, 5)
    await last.stop()


async def time_to_live(js: Any, diary: Diary) -> None:
    short = await js.create_key_value(KeyValueConfig(bucket="T", ttl=1))
    marked = await js.create_key_value(KeyValueConfig(bucket="M", history=4, limit_marker_ttl=1))
    await diary.attempt("status", marked.status(), lambda status: f"{status.ttl} {status.marker_ttl}")
    await short.put("a", b"1")
    watcher = await marked.watchall()
    diary.note("nothing yet", await watcher.updates(PATIENCE))
    await diary.attempt("create for a second", marked.create("k", b"1", msg_ttl=1))
    await diary.attempt("create for less than a second", marked.create("less", b"1", msg_ttl=0.5))
    diary.note("put", entry(await watcher.updates(PATIENCE)))
    diary.note("gone", entry(await watcher.updates(PATIENCE)))
    await diary.attempt("get what is gone", marked.get("k"), entry)
    await _gone(marked, 0)
    await diary.attempt("create once more", marked.create("k", b"2"))
    await diary.attempt("purge for a second", marked.purge("k", msg_ttl=1))
    await _gone(marked, 0)
    await diary.attempt("a purge leaves nothing", js.stream_info("KV_M"), lambda info: info.state.last_seq)
    await diary.attempt("a watch over nothing", marked.keys())
    await _gone(short, 0)
    await diary.attempt("get what was for a second", short.get("a"), entry)


async def _gone(kv: Any, left: int) -> None:
    """Until the bucket has no more than so many messages."""
    while (await kv.status()).values > left:
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("program", [values, limits, watching, time_to_live], ids=lambda program: program.__name__)
def test_nats_py(program: Program, pair: Pair) -> None:
    pair.compare(program)


@pytest.mark.parametrize("program", ["values", "limits", "watching", "mirrors", "time_to_live"])
def test_nats_js(program: str, pair: Pair) -> None:
    pair.compare_node("kv.mjs", program)


# ---- ours alone


def test_what_was_acknowledged_is_there_after_a_kill(start_edge: Callable[..., Any], tmp_path: Path) -> None:
    server = start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}')
    revisions: dict[str, int] = {}

    async def write() -> None:
        """Keys are put by several at once, until the server dies under them."""
        nc = await nats.connect(server.url, allow_reconnect=False)
        kv = await nc.jetstream().create_key_value(bucket="B", history=2)
        for key in ("deleted", "purged", "replaced"):
            await kv.put(key, b"old")
        await kv.delete("deleted")
        await kv.purge("purged")
        revisions["replaced"] = await kv.put("replaced", b"new")

        async def put(name: str) -> None:
            for i in range(10_000):
                key = f"{name}.{i % 50}"
                revisions[key] = await kv.put(key, str(i).encode())

        writers = [asyncio.create_task(put(f"w{i}")) for i in range(8)]
        while len(revisions) < 400:
            await asyncio.sleep(0.01)
        server.kill()
        await end(writers)
        await nc.close()

    async def read() -> None:
        nc = await nats.connect(server.url)
        kv = await nc.jetstream().key_value("B")
        found = {each.key: each for each in await kv.history(">")}
        assert {key for key in revisions} <= set(found)
        for key, revision in revisions.items():
            assert found[key].revision >= revision, key  # a put under way may have been kept
        assert found["deleted"].operation == "DEL" and found["purged"].operation == "PURGE"
        assert found["replaced"].value == b"new"
        assert len(await kv.history("purged")) == 1 and len(await kv.history("replaced")) == 2
        assert await kv.update("replaced", b"newer", last=revisions["replaced"]) > max(revisions.values())
        await nc.close()

    asyncio.run(write())
    server.start()
    asyncio.run(read())


def test_a_watcher_goes_on_after_a_kill(
    start_edge: Callable[..., Any], free_port: Callable[[], int], tmp_path: Path
) -> None:
    """At once: the consumer behind it is still there.  Of nats-server a client has to find out by silence."""
    server = start_edge(f'listen: 127.0.0.1:{free_port()}\njetstream {{ store_dir: "{tmp_path / "store"}" }}')

    async def main() -> None:
        back = asyncio.Event()

        async def reconnected() -> None:
            back.set()

        async def ignore(error: Exception) -> None:
            """The connection is lost."""

        nc = await nats.connect(
            server.url, reconnected_cb=reconnected, error_cb=ignore, reconnect_time_wait=0.1, max_reconnect_attempts=-1
        )
        kv = await nc.jetstream().create_key_value(bucket="B")
        await kv.put("a", b"1")
        watcher = await kv.watchall()
        assert [entry(await watcher.updates(PATIENCE)) for _ in range(2)] == ["a b'1' 1 0 None", "end"]
        server.kill()
        server.start()
        await asyncio.wait_for(back.wait(), PATIENCE)
        for revision, key in enumerate(("b", "a"), 2):
            await kv.put(key, b"new")
            found = await watcher.updates(5)  # less than the silence that a client gives up after
            assert (found.key, found.value, found.revision) == (key, b"new", revision)
        await nc.close()

    asyncio.run(main())


def test_ten_thousand_keys(start_edge: Callable[..., Any], tmp_path: Path) -> None:
    """Listed, watched and purged: nothing of it looks at the whole bucket for each key."""
    server = start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path / "store"}" }}')

    async def main() -> None:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        kv = await js.create_key_value(bucket="B")
        names = [f"a.{i}" for i in range(10_000)]
        for begin in range(0, len(names), 1000):
            await asyncio.gather(*(kv.put(name, name.encode()) for name in names[begin : begin + 1000]))
        assert sorted(await kv.keys()) == sorted(names)
        watcher = await kv.watchall()
        seen = [await watcher.updates(PATIENCE) for _ in names]
        assert [each.value.decode() for each in seen] == [each.key for each in seen] and await watcher.updates() is None
        await asyncio.gather(*(kv.purge(name) for name in names[::10]))
        gone = {(await watcher.updates(PATIENCE)).key for _ in names[::10]}
        assert gone == set(names[::10])
        await watcher.stop()
        assert len(await kv.keys()) == 9000
        await kv.purge_deletes(olderthan=-1)
        assert (await kv.status()).values == 9000
        await nc.close()

    asyncio.run(main())
