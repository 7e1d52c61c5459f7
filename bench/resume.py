"""``python -m bench.resume``: how soon streams that follow a hub's go on when the link is back.

A hub, and behind a line that is cut an edge and, in its place, a nats-server, each with a mirror and a source of the
hub's stream.  Told are the seconds from when the hub has the leaf again (from the start of the process, where that was
killed) until the last of ten messages that were published meanwhile is in both.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error

from bench.bad_line import BadLine, State
from hub.nats_server import find_nats_server
from hub.plan import free_ports

MESSAGES = 10
PATIENCE_S = 120.0
HUB = """
listen: 127.0.0.1:{client}
server_name: hub
jetstream {{ store_dir: "{folder}/hub", domain: hub }}
leafnodes {{ listen: 127.0.0.1:{leaf} }}
http: 127.0.0.1:{http}
"""
LEAF = """
listen: 127.0.0.1:{client}
server_name: edge
jetstream {{ store_dir: "{folder}/leaf", domain: edge }}
leafnodes {{ reconnect: "1s", remotes: [ {{ url: "nats-leaf://127.0.0.1:{leaf}", ignore_discovered_servers: true }} ] }}
"""
ORIGIN: dict[str, Any] = {"name": "ORIGIN", "external": {"api": "$JS.hub.API", "deliver": ""}}


class Program:
    def __init__(self, command: list[str], config: str, folder: Path, name: str, port: int) -> None:
        path = folder / f"{name}.conf"
        path.write_text(config)
        self.command = [*command, "-c", str(path)]
        self.log = folder / f"{name}.log"
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def connect(self) -> Client:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                url = f"nats://127.0.0.1:{self.port}"
                return await nats.connect(url, allow_reconnect=False, reconnect_time_wait=0.01, error_cb=_unmentioned)
            except (OSError, Error):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.01)


class Site:
    def __init__(self, command: list[str], folder: Path) -> None:
        client, leaf, self.http, here = free_ports("127.0.0.1", 4)
        self.line = BadLine([leaf], Random(1))
        config = HUB.format(client=client, leaf=leaf, http=self.http, folder=folder)
        self.hub = Program([str(find_nats_server(None))], config, folder, "hub", client)
        self.leaf = Program(command, "", folder, "leaf", here)
        self.folder = folder
        self.published = 0

    async def open(self) -> None:
        self.hub.start()
        await self.line.open()
        text = LEAF.format(client=self.leaf.port, folder=self.folder, leaf=self.line.ports[0])
        (self.folder / "leaf.conf").write_text(text)
        self.leaf.start()
        await self.ask(self.hub, "STREAM.CREATE.ORIGIN", {"name": "ORIGIN", "subjects": ["o"]})
        await self.has_link()
        await self.ask(self.leaf, "STREAM.CREATE.M", {"name": "M", "mirror": ORIGIN})
        await self.ask(self.leaf, "STREAM.CREATE.S", {"name": "S", "sources": [ORIGIN]})
        await self.publish()
        await self.follows()

    async def close(self) -> None:
        self.leaf.kill()
        self.hub.kill()
        await self.line.close()

    async def ask(self, program: Program, call: str, body: object = None) -> Any:
        client = await program.connect()
        try:
            answer = await client.request(f"$JS.API.{call}", json.dumps(body).encode() if body else b"", timeout=10)
            return json.loads(answer.data)
        finally:
            await client.close()

    async def publish(self) -> None:
        client = await self.hub.connect()
        for _ in range(MESSAGES):
            await client.request("o", b"x", timeout=10)
        await client.close()
        self.published += MESSAGES

    async def has_link(self) -> None:
        while not await self.links():
            await asyncio.sleep(0.005)

    async def links(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http)
        writer.write(b"GET /leafz HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        found = json.loads(answer.partition(b"\r\n\r\n")[2])
        return len(found.get("leafs") or ())

    async def follows(self) -> None:
        """Until mirror and source have all that was published."""
        client = await self.leaf.connect()
        deadline = time.monotonic() + PATIENCE_S
        for name in "MS":
            while True:
                answer = await client.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=10)
                if json.loads(answer.data)["state"]["messages"] >= self.published:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(name)
                await asyncio.sleep(0.005)
        await client.close()

    # ---- what comes between

    async def cut(self, seconds: float) -> float:
        self.line.become(State.CUT)
        await self.publish()
        await asyncio.sleep(seconds)
        self.line.become(State.OPEN)
        await self.has_link()
        return time.monotonic()

    async def kill_hub(self) -> float:
        """Its stream has ten more messages before the leaf is back."""
        self.line.become(State.CUT)
        self.hub.kill()
        self.hub.start()
        await self.publish()
        self.line.become(State.OPEN)
        await self.has_link()
        return time.monotonic()

    async def kill_leaf(self) -> float:
        self.leaf.kill()
        await self.publish()
        self.leaf.start()
        return time.monotonic()


ROWS: dict[str, Callable[[Site], Awaitable[float]]] = {
    "line cut for 3 s": lambda site: site.cut(3),
    "line cut for 15 s": lambda site: site.cut(15),
    "hub killed": Site.kill_hub,
    "itself killed": Site.kill_leaf,
}


async def measure(command: list[str], rounds: int) -> dict[str, list[float]]:
    folder = Path(tempfile.mkdtemp(prefix="petiole-resume-", dir="/var/tmp"))
    site = Site(command, folder)
    found: dict[str, list[float]] = {row: [] for row in ROWS}
    try:
        await site.open()
        for _ in range(rounds):
            for row, play in ROWS.items():
                begin = await play(site)
                await site.follows()
                found[row].append(time.monotonic() - begin)
    finally:
        await site.close()
        shutil.rmtree(folder)
    return found


async def _unmentioned(_: Exception) -> None:
    """Servers are killed on purpose."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.resume", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each row (%(default)s)")
    rounds = parser.parse_args().rounds
    with contextlib.suppress(KeyboardInterrupt):
        ours = asyncio.run(measure([sys.executable, "-m", "edge", "run"], rounds))
        theirs = asyncio.run(measure([str(find_nats_server(None))], rounds))
        print("| seconds until all is there | edge | nats-server |\n|---|---|---|")
        for row in ROWS:
            print(f"| {row} | {_range(ours[row])} | {_range(theirs[row])} |")
    return 0


def _range(found: list[float]) -> str:
    return f"{min(found):.2f} to {max(found):.2f}"


if __name__ == "__main__":
    sys.exit(main())
