"""Flipped bits all over the database of a stopped server: what they hit is lost and named, and nothing else is.

``Rotten`` is one round: damage, start, look at everything, repair, look again.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from tests.conftest import Server, free_port
from tests.crash.hand import Hand, Refused, Stored

CONFIG = """
listen: 127.0.0.1:{port}
http: 127.0.0.1:{http}
server_name: rot
jetstream {{ store_dir: "{store}" }}
"""
FILE = "petiole.db"
PAGE = 4096
PAGE_ROWS = 60  # messages that one page holds, or leads to at most where it holds long ones
NAMED = re.compile(r"stream (\S+): (?:the )?messages? (?:in )?(\d+)(?:-(\d+)| from)? (?:is|are|on are)")
STREAMS = ("SMALL", "LONG", "HEADERS", "HOLES", "QUEUE")


class Sound(NamedTuple):
    """A store as it was before: its file, what is in it, and which pages are what."""

    image: bytes
    stored: dict[str, dict[int, Stored]]
    pages: dict[str, list[int]]


def build(folder: Path, dice: random.Random) -> Sound:
    server = Server([sys.executable, "-m", "edge", "run"], _config(folder, free_port()), folder, "edge").start()
    stored = asyncio.run(_fill(server.url, dice))
    assert server.stop() == 0
    path = folder / "store" / FILE
    return Sound(path.read_bytes(), stored, _pages(path))


def _config(folder: Path, http: int) -> str:
    return CONFIG.format(port=free_port(), http=http, store=folder / "store")


async def _fill(url: str, dice: random.Random) -> dict[str, dict[int, Stored]]:
    hand = await Hand.reach(url)
    for name in STREAMS:
        more = {"retention": "workqueue"} if name == "QUEUE" else {}
        await hand.ask(f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name.lower()}.>"]} | more)
        for worker in ("worker",) if name == "QUEUE" else ("one", "two", "three"):
            config = {"durable_name": worker, "ack_policy": "explicit"}
            await hand.ask(f"CONSUMER.DURABLE.CREATE.{name}.{worker}", {"stream_name": name, "config": config})
    for start in range(0, 2000, 50):
        await asyncio.gather(*(_publish(hand, name, start + i, dice) for i in range(50) for name in STREAMS))
    for seq in range(5, 2000, 3):
        await hand.ask("STREAM.MSG.DELETE.HOLES", {"seq": seq, "no_erase": True})
    await hand.ask("STREAM.PURGE.LONG", {"seq": 200})  # pages that are free
    for name, worker in (("SMALL", "one"), ("QUEUE", "worker")):
        sub = await hand.js.pull_subscribe_bind(worker, name)
        for message in await sub.fetch(300):
            await message.ack_sync()
    stored = {name: await _read(hand, name) for name in STREAMS}
    await hand.leave()
    return stored


async def _publish(hand: Hand, name: str, number: int, dice: random.Random) -> None:
    long = name == "LONG" and number % 10 == 0
    headers = {"Nats-Msg-Id": f"{name}-{number}", "X": "y" * 50} if name == "HEADERS" else None
    payload = b"%s %d " % (name.encode(), number) + dice.randbytes(9000 if long else 40)
    await hand.publish(f"{name.lower()}.{number % 7}", payload, headers)


async def _read(hand: Hand, name: str) -> dict[int, Stored]:
    if name == "QUEUE":  # whose only consumer is taken
        state, found = await hand.state(name), {}
        for seq in range(max(state["first_seq"], 1), state["last_seq"] + 1):
            try:
                message = await hand.js.get_msg(name, seq)
            except Exception as exc:
                assert "no message found" in str(exc), exc
                continue
            found[seq] = Stored(message.subject or "", dict(message.headers or {}), message.data or b"")
        return found
    return await hand.read(name)


def _pages(path: Path) -> dict[str, list[int]]:
    """By what they are for: table and kind of page, or ``free``."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found: dict[str, list[int]] = {}
    for name, kind, number in connection.execute("SELECT name, pagetype, pageno FROM dbstat"):
        found.setdefault(f"{name}/{kind}", []).append(number)
    known = {number for numbers in found.values() for number in numbers}
    connection.close()
    found["free"] = [number for number in range(1, path.stat().st_size // PAGE + 1) if number not in known]
    return found


class Rotten:
    """``kinds``: of the pages that are hit."""

    def __init__(self, folder: Path, sound: Sound, dice: random.Random, kinds: Sequence[str]) -> None:
        self.sound = sound
        self.store = folder / "store"
        for old in self.store.glob(f"{FILE}*"):
            if old.suffix != ".first":  # the first page's copy, which no other file rots with
                old.unlink()
        self.hit = [dice.choice(sound.pages[kind]) for kind in kinds]
        self.what = ", ".join(f"{kind} {number}" for kind, number in zip(kinds, self.hit, strict=True))
        (self.store / FILE).write_bytes(_damaged(sound.image, self.hit, dice))
        self.http = free_port()
        self.server = Server([sys.executable, "-m", "edge", "run"], _config(folder, self.http), folder, "edge")

    def prove(self) -> str:
        """What became of it.  AssertionError for what must not be."""
        begin = self.server.log.stat().st_size if self.server.log.exists() else 0
        before = _verify(self.store)
        self.server.start()
        try:
            lost = asyncio.run(self._look())
            if self._are_too_many(lost):  # an inner page hid them, which is mended when somebody misses what it leads to
                lost = asyncio.run(self._look())
            assert not self._are_too_many(lost), f"{lost} are lost, from {len(self.hit)} pages"
            self._check_named(lost, begin)
            if lost:
                self._check_health()
        finally:
            status = self.server.stop()
        assert status == 0, f"it ended with {status}"
        if lost:
            assert before.returncode == 1, f"verify found nothing of {lost}: {before.stdout}"
        repaired = _verify(self.store, "--repair")
        assert repaired.returncode == 0, f"not repaired: {repaired.stdout}{repaired.stderr}"
        again = _verify(self.store)
        assert again.returncode == 0 and "no faults" in again.stdout, f"after a repair: {again.stdout}"
        self.server.start()
        more = asyncio.run(self._look())
        assert self.server.stop() == 0
        assert all(set(seqs) <= set(lost.get(name, ())) for name, seqs in more.items()), f"a repair lost {more}, of {lost}"
        said = repaired.stdout.count("repaired:")
        return f"{sum(map(len, lost.values()))} messages lost, verify said {before.stdout.count(chr(10)) - 1}, repaired {said}"

    def _are_too_many(self, lost: dict[str, list[int]]) -> bool:
        return sum(map(len, lost.values())) > PAGE_ROWS * len(self.hit)

    async def _look(self) -> dict[str, list[int]]:
        """The sequences that are lost; what is there is right."""
        hand = await Hand.reach(self.server.url)
        try:
            return await self._look_at_all(hand)
        finally:
            await hand.leave()

    async def _look_at_all(self, hand: Hand) -> dict[str, list[int]]:
        lost: dict[str, list[int]] = {}
        for name in STREAMS:
            expected, found = self.sound.stored[name], await _read(hand, name)
            for seq, stored in found.items():
                if seq in expected:
                    assert stored == expected[seq], f"{name}: message {seq} is served wrong: {stored}"
                else:
                    assert stored.payload == b"new", f"{name}: message {seq} was never there: {stored}"
            if missing := sorted(expected.keys() - found.keys()):
                lost[name] = missing
            last = (await hand.state(name))["last_seq"]
            seq = await self._write(hand, name)
            assert seq > max(last, max(expected)), f"{name}: sequence {seq} is given twice"
        return lost

    def _check_named(self, lost: dict[str, list[int]], begin: int) -> None:
        for name, seqs in lost.items():
            unnamed = set(seqs) - self._named(name, begin)
            assert not unnamed, f"{name}: lost and not named: {sorted(unnamed)[:10]} of {len(seqs)}"

    async def _write(self, hand: Hand, name: str) -> int:
        """A write that meets the damage fails once, and then finds it mended."""
        for _ in range(2):
            try:
                return int((await hand.publish(f"{name.lower()}.new", b"new"))["seq"])
            except Refused as exc:
                assert "damaged" in str(exc), exc
        raise AssertionError(f"{name} takes no messages")

    def _named(self, name: str, begin: int) -> set[int]:
        named: set[int] = set()
        with self.server.log.open() as log:
            log.seek(begin)
            for stream, first, last in NAMED.findall(log.read()):
                if stream == name:
                    highest = max(self.sound.stored[name], default=0)
                    named.update(range(int(first), int(last or (first if last is not None else highest)) + 1))
        return named

    def _check_health(self) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/healthz", timeout=60) as answer:
            health = json.loads(answer.read())
        assert health["status"] == "ok" and health["warnings"], health


def _damaged(image: bytes, pages: list[int], dice: random.Random) -> bytes:
    """Each page with a few bits flipped, or with a sector that is something else."""
    content = bytearray(image)
    for number in pages:
        begin = (number - 1) * PAGE
        if dice.random() < 0.1:
            at = begin + dice.randrange(PAGE // 512) * 512
            content[at : at + 512] = dice.randbytes(512)
            continue
        for _ in range(dice.choice((1, 1, 1, 2, 8))):
            content[begin + dice.randrange(PAGE)] ^= 1 << dice.randrange(8)
    return bytes(content)


def _verify(store: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", "verify", "-s", str(store), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)
