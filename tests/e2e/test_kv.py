"""Key-value buckets as their users write them, with nats-py and nats.js unmodified: the same program on our server and
on the real one notes the same lines.
"""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import KeyValueConfig, RePublish, StorageType

JS = Path(__file__).parent / "js"
START = 'server_name: kv\nlisten: 127.0.0.1:-1\njetstream {{ store_dir: "{}" }}'
PATIENCE = 15


class Diary:
    """What a program saw, line by line; times and made-up names are left out by whoever notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, what: str, *seen: object) -> None:
        self.lines.append(f"{what}: {' '.join(map(str, seen))}")

    async def attempt(self, what: str, happens: Awaitable[Any], show: Callable[[Any], object] = str) -> None:
        try:
            self.note(what, show(await happens))
        except Exception as error:  # noqa: BLE001  every error that a client raises is to be the same on both
            self.note(what, type(error).__name__, error)


Program = Callable[[Any, Diary], Awaitable[None]]


async def _run(program: Program, url: str) -> list[str]:
    nc = await nats.connect(url)
    diary = Diary()
    try:
        await asyncio.wait_for(program(nc.jetstream(), diary), 4 * PATIENCE)
    finally:
        await nc.close()
    return diary.lines


async def _run_on_both(program: Program, servers: tuple[Any, Any]) -> list[list[str]]:
    return await asyncio.gather(*(_run(program, server.url) for server in servers))


@pytest.fixture
def both(start_edge: Callable[..., Any], start_nats: Callable[..., Any], tmp_path: Path) -> tuple[Any, Any]:
    """Ours and the real one."""
    return (start_edge(START.format(tmp_path / "edge-store")), start_nats(START.format(tmp_path / "nats-store")))


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

    async def see(what: str, watcher: Any, count: int) -> None:
        for _ in range(count):
            diary.note(what, entry(await watcher.updates(PATIENCE)))

    empty = await kv.watchall()
    await see("nothing yet", empty, 1)
    for key in ("a", "b.x", "b.y", "a", "c"):
        await kv.put(key, key.encode())
    await kv.delete("c")
    await see("from the beginning", empty, 6)
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
        await kv.put("b.x", what.encode())
        await kv.put("a", what.encode())
        await see(f"{what}, then", watcher, {"a": 1, "b.*": 1, "z": 0}.get(pattern, 2))
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
    await diary.attempt("a watch over nothing", marked.keys())
    await _gone(short, 0)
    await diary.attempt("get what was for a second", short.get("a"), entry)


async def _gone(kv: Any, left: int) -> None:
    """Until the bucket has no more than so many messages."""
    while (await kv.status()).values > left:
        await asyncio.sleep(0.05)


PROGRAMS = (values, limits, watching, time_to_live)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_nats_py(program: Program, both: tuple[Any, Any]) -> None:
    ours, theirs = asyncio.run(_run_on_both(program, both))
    for mine, real in zip(ours, theirs, strict=True):
        assert mine == real
