"""One stream out of a running server into a file, and back: as any client does it, over the API.

The file is the archive as it comes (docs/jetstream.md), and nothing else is needed to bring it back.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from edge.jetstream.archive import ArchiveError, ArchiveReader, EndPart, StreamPart
from edge.store.files import sync_folder
from edge.tools.errors import ToolError

PIECE = 128 << 10
WINDOW = 4 << 20
SECONDS = 10.0  # without an answer
LAST_SECONDS = 3600.0  # the last answer of a restore, which follows all of it


class Server(NamedTuple):
    """``url`` may hold user and password; ``creds`` is a file."""

    url: str
    creds: str
    domain: str

    @property
    def api(self) -> str:
        return f"$JS.{self.domain}.API" if self.domain else "$JS.API"


# ---- out


def take_out(server: Server, stream: str, target: str) -> EndPart:
    """``target`` is there whole or not at all.  ToolError."""
    if os.path.exists(target):
        raise ToolError(f"{target} is there already; a backup overwrites nothing")
    beside = f"{target}.new"
    try:
        end = asyncio.run(_take_out(server, stream, beside))
        os.replace(beside, target)
        sync_folder(os.path.dirname(os.path.abspath(target)))
    except OSError as exc:
        raise ToolError(f"no backup in {target}: {exc}") from exc
    finally:
        with contextlib.suppress(OSError):
            os.unlink(beside)
    return end


async def _take_out(server: Server, stream: str, path: str) -> EndPart:
    async with _connected(server) as client:
        chunks: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = client.new_inbox()
        await client.subscribe(inbox, cb=chunks.put)
        await _ask(client, f"{server.api}.STREAM.SNAPSHOT.{stream}", {"deliver_subject": inbox, "window_size": WINDOW})
        reader = ArchiveReader()
        with open(path, "wb") as file:
            while chunk := await _next(chunks):
                file.write(chunk.data)
                reader.feed(chunk.data)
                with _named(stream):
                    for _ in reader.parts():
                        pass
                if chunk.reply:
                    await client.publish(chunk.reply)
            with _named(stream):
                reader.finish()
            file.flush()
            os.fsync(file.fileno())
    return EndPart(reader.messages)


async def _next(chunks: "asyncio.Queue[Msg]") -> Msg | None:
    """None behind the last."""
    try:
        chunk = await asyncio.wait_for(chunks.get(), SECONDS)
    except TimeoutError as exc:
        raise ToolError("the server sends no more of the stream") from exc
    headers = chunk.headers or {}
    if headers.get("Status", "204") != "204":
        raise ToolError(f"the server ends the backup: {headers.get('Description', headers['Status'])}")
    return chunk if chunk.data else None


# ---- back


def bring_back(server: Server, path: str, name: str) -> tuple[str, int]:
    """``name``: of the stream, empty for the one it had.  Its name and messages; ToolError."""
    head = check(path)
    config = head.config | {"name": name or head.config["name"]}
    return config["name"], asyncio.run(_bring_back(server, path, config))


def check(path: str) -> StreamPart:
    """All of it is looked at before any of it is sent."""
    reader = ArchiveReader()
    try:
        with open(path, "rb") as file, _named(path):
            while piece := file.read(PIECE):
                reader.feed(piece)
                for _ in reader.parts():
                    pass
            reader.finish()
    except OSError as exc:
        raise ToolError(f"{path} cannot be read: {exc.strerror}") from exc
    assert reader.state is not None
    return reader.state


async def _bring_back(server: Server, path: str, config: dict[str, Any]) -> int:
    async with _connected(server) as client:
        call = f"{server.api}.STREAM.RESTORE.{config['name']}"
        deliver = (await _ask(client, call, {"config": config, "state": {}}))["deliver_subject"]
        with open(path, "rb") as file:
            while piece := file.read(PIECE):
                _answered(await client.request(deliver, piece, timeout=SECONDS))
        done = _answered(await client.request(deliver, b"", timeout=LAST_SECONDS))
        return int(done["state"]["messages"])


# ---- the server


@contextlib.asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[Client]:
    options: dict[str, Any] = _credentials(server.creds) if server.creds else {}
    problems: list[Exception] = []

    async def note(problem: Exception) -> None:
        """Whatever ends the connection later is said by who waits for an answer."""
        problems.append(problem)

    try:
        client = await nats.connect(
            server.url, allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0.1, error_cb=note,
            **options,
        )  # fmt: skip
    except (NatsError, OSError, ValueError) as exc:
        why = problems[-1] if problems else exc
        raise ToolError(f"no connection to {_shown(server.url)}: {why or type(why).__name__}") from exc
    try:
        yield client
    except nats.errors.NoRespondersError as exc:
        raise ToolError(f"{_shown(server.url)} has no JetStream here, or gave up the restore") from exc
    except nats.errors.TimeoutError as exc:
        raise ToolError(f"{_shown(server.url)} does not answer") from exc
    except NatsError as exc:
        raise ToolError(f"{_shown(server.url)}: {exc}") from exc
    finally:
        await client.close()


def _credentials(path: str) -> dict[str, Any]:
    from edge.core.leaf_login import read_creds
    from edge.core.nkeys import KeyPair

    try:
        with open(path, encoding="utf-8") as file:
            jwt, seed = read_creds(file.read())
        pair = KeyPair.from_seed(seed)
    except (OSError, ValueError) as exc:
        raise ToolError(f"{path} holds no credentials: {exc}") from exc
    return {"user_jwt_cb": lambda: bytearray(jwt.encode()), "signature_cb": lambda nonce: _signed(pair, nonce)}


def _signed(pair: Any, nonce: str) -> bytes:
    from base64 import b64encode

    return b64encode(pair.sign(nonce.encode()))


async def _ask(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    return _answered(await client.request(subject, json.dumps(body).encode(), timeout=SECONDS))


def _answered(answer: Msg) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(answer.data) if answer.data else {}
    if "error" in fields:
        raise ToolError(fields["error"]["description"])
    return fields


@contextlib.contextmanager
def _named(what: str) -> Any:
    try:
        yield
    except ArchiveError as exc:
        raise ToolError(f"{what}: {exc}") from exc


def _shown(url: str) -> str:
    """Without a password."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]
