"""Snapshots and restores over the API: the protocol is nats-server's, held against the real one by the same program on
both; the archive is our own, which each of them refuses of the other.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from edge.jetstream.archive import FOREIGN
from tests.e2e.diary import Diary, Pair
from tests.e2e.mint import JETSTREAM, Operator, creds
from tests.e2e.talk import TIME

Start = Callable[..., Any]
CONFIG = 'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{}" }}\n'
NAMES = re.compile(r"(\$JS\.SNAPSHOT\.\w+\.\w+\.)\w{22}")
UNLIKE = {"_nats.level", "_nats.ver", "id", "timestamp", "ts", "created", "rtt", "acc", "user", "bytes"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    both = Pair(tmp_path_factory.mktemp("servers"))
    yield both
    both.close()


def settled(value: Any) -> Any:
    """But for times, made-up names, and the bytes of archives."""
    if isinstance(value, dict):
        return {key: f"<{key}>" if key in UNLIKE else settled(item) for key, item in value.items()}
    if isinstance(value, str):
        return NAMES.sub(r"\1<id>", TIME.sub("<time>", value))
    return [settled(item) for item in value] if isinstance(value, list) else value


async def ask(js: Any, subject: str, body: object) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = (await js._nc.request(subject, data, timeout=30)).data
    return json.loads(answer) if answer else {}


async def snapshot(js: Any, diary: Diary | None = None, **fields: object) -> tuple[dict[str, Any], bytes]:
    """As the nats CLI does it: what it keeps to restore from."""
    nc = js._nc
    inbox, chunks = nc.new_inbox(), asyncio.Queue[Any]()
    sub = await nc.subscribe(inbox, cb=chunks.put)
    answer = await ask(js, "$JS.API.STREAM.SNAPSHOT.S", {"deliver_subject": inbox, **fields})
    assert "error" not in answer, answer
    data, index = b"", 0
    while (chunk := await asyncio.wait_for(chunks.get(), 15)).data:
        data += chunk.data
        if not chunk.reply:
            assert chunks.empty() or not chunks._queue[0].data, "only the last has no reply"
            continue
        index += 1
        *prefix, size, number = chunk.reply.split(".")
        assert (int(size), int(number)) == (len(chunk.data), index)
        if diary is not None and index == 1:
            diary.note("first chunk", size, settled(".".join(prefix) + "."))
        await nc.publish(chunk.reply)
    if diary is not None:
        diary.note("end", chunk.header, chunk.reply)
        diary.note("asked", settled(answer))
    await sub.unsubscribe()
    return answer["config"], data


async def restore(js: Any, config: dict[str, Any], data: bytes, piece: int = 65536) -> dict[str, Any]:
    answer = await ask(js, f"$JS.API.STREAM.RESTORE.{config['name']}", {"config": config, "state": {}})
    if "error" in answer:
        return answer
    for at in range(0, len(data), piece):
        if said := await ask(js, answer["deliver_subject"], data[at : at + piece]):
            return said  # the real one tells at the end only
    return await ask(js, answer["deliver_subject"], b"")


def noise(number: int, size: int) -> bytes:
    return b"".join(((number * 7919 + i * 104729) % 65521).to_bytes(2, "big") for i in range(size // 2))


async def fill(js: Any, messages: int = 60, size: int = 3000) -> None:
    await js.add_stream(name="S", subjects=["s.>"])
    for number in range(messages):
        await js.publish(f"s.{number % 3}", noise(number, size))
    await js.delete_msg("S", 5)
    sub = await js.pull_subscribe("s.>", "worker", stream="S")
    for message in (await sub.fetch(10))[:4]:
        await message.ack_sync()


async def seen(js: Any) -> list[Any]:
    info, consumer = await ask(js, "$JS.API.STREAM.INFO.S", b""), await ask(js, "$JS.API.CONSUMER.INFO.S.worker", b"")
    messages = [(await js.get_msg("S", seq)).data for seq in (1, 6, 60)]
    for place in (consumer["delivered"], consumer["ack_floor"]):
        place.pop("last_active", None)
    return [info["config"], info["state"], consumer["config"], consumer["delivered"], consumer["ack_floor"], consumer["num_ack_pending"], messages]


async def out_and_back(js: Any, diary: Diary) -> None:
    await fill(js)
    before = await seen(js)
    config, data = await snapshot(js, diary, chunk_size=4096, window_size=65536)
    diary.note("in use", await restore(js, config, data))
    await js.delete_stream("S")
    diary.note("restored", settled(await restore(js, config, data)))
    assert await seen(js) == before
    diary.note("next", (await js.publish("s.0", b"x")).seq)
    config, small = await snapshot(js, diary, no_consumers=True)
    await js.delete_stream("S")
    diary.note("without consumers", settled(await restore(js, config | {"max_msgs": 7, "subjects": ["q.>"]}, small)))


async def advisories(js: Any, diary: Diary) -> None:
    heard: list[Any] = []
    ends = asyncio.Queue[str]()

    async def note(message: Any) -> None:
        event = json.loads(message.data)
        heard.append((message.subject, settled(event)))
        if "COMPLETE" in message.subject:
            await ends.put(message.subject)

    await fill(js)
    await js._nc.subscribe("$JS.EVENT.ADVISORY.STREAM.>", cb=note)
    await js._nc.subscribe("$JS.EVENT.ADVISORY.CONSUMER.>", cb=note)
    config, data = await snapshot(js)
    await ends.get()
    await js.delete_stream("S")
    await restore(js, config, data)
    await ends.get()
    await restore(js, config | {"name": "T", "subjects": ["t"], "num_replicas": 3}, data)
    diary.note("told", sorted(json.dumps([subject, event | {"client": event.get("client") and sorted(event["client"])}]) for subject, event in heard if "T" not in subject.split(".")))


async def compression(js: Any, diary: Diary) -> None:
    """Switched on and off; what is read is what was published."""
    config: dict[str, Any] = {"name": "S", "subjects": ["s.>"]}
    for number, compressed in enumerate(("s2", "none", "s2", "bogus", None)):
        call = "UPDATE" if number else "CREATE"
        answer = await ask(js, f"$JS.API.STREAM.{call}.S", config | ({"compression": compressed} if compressed else {}))
        diary.note(f"{compressed}", error_of(answer))
        await js.publish("s.x", b"%d " % number * 1000)
    for seq in range(1, 6):
        diary.note(f"{seq}", len((await js.get_msg("S", seq)).data), (await js.get_msg("S", seq)).data[:4])
    diary.note("state", (await ask(js, "$JS.API.STREAM.INFO.S", b""))["state"]["bytes"])
    config, data = await snapshot(js)
    await js.delete_stream("S")
    diary.note("back", settled(await restore(js, config | {"compression": "s2"}, data)))
    diary.note("read", (await js.get_msg("S", 2)).data[:4])


SNAPSHOTS: list[object] = [
    b"", b"{}", b"{x", {"deliver_subject": ""}, {"deliver_subject": "a.*"}, {"deliver_subject": "a b"}, {"no_consumers": True},
    {"deliver_subject": "x", "bogus": 1},
]  # fmt: skip
RESTORES: list[object] = [
    b"", b"{}", b"{x", {"config": {"name": "X"}}, {"config": {"subjects": ["a b"]}}, {"bogus": 1}, {"config": {"bogus": 1}},
    {"config": {"name": "N", "subjects": [">"]}}, {"config": {}, "state": {"bogus": 1}}, {"config": {"max_age": -1}, "state": {}},
    {"config": {"retention": "bogus"}, "state": {}},
]  # fmt: skip


def error_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The words behind ``invalid JSON`` are the parser's own."""
    error = answer.get("error", {})
    if error.get("err_code") == 10025 and "unknown field" not in error["description"]:
        error["description"] = "<invalid JSON>"
    return settled(answer)


async def errors(js: Any, diary: Diary) -> None:
    await fill(js)
    for body in SNAPSHOTS:
        diary.note(f"snapshot {body!r}", error_of(await ask(js, "$JS.API.STREAM.SNAPSHOT.S", body)))
    diary.note("no stream", await ask(js, "$JS.API.STREAM.SNAPSHOT.NO", {"deliver_subject": "x"}))
    for body in RESTORES:
        diary.note(f"restore {body!r}", error_of(await ask(js, "$JS.API.STREAM.RESTORE.N", body)))
    diary.note("a separator", await ask(js, "$JS.API.STREAM.RESTORE.a/b", {"config": {"name": "a/b"}}))
    header = {"Nats-Required-Api-Level": "99"}
    for call in ("SNAPSHOT", "RESTORE"):
        answer = await js._nc.request(f"$JS.API.STREAM.{call}.S", b"{}", headers=header, timeout=30)
        diary.note(f"{call} of another level", answer.data)


async def failures(js: Any, diary: Diary) -> None:
    await fill(js)
    config, data = await snapshot(js)
    other = config | {"name": "N", "subjects": ["n"]}
    diary.note("overlap", await restore(js, other | {"subjects": ["s.1"]}, data))
    diary.note("replicas", await restore(js, other | {"num_replicas": 2}, data))
    for what, bad in (("garbage", b"garbage" * 99), ("nothing", b""), ("a part", data[:1000])):
        error = (await restore(js, other, bad))["error"]
        diary.note(what, error["code"], error["err_code"], error["description"].split(":")[0])
    diary.note("left", (await ask(js, "$JS.API.STREAM.NAMES", b""))["streams"])


@pytest.mark.parametrize("program", [out_and_back, advisories, errors, failures, compression], ids=lambda program: program.__name__)
def test_the_same_on_both(pair: Pair, program: Any) -> None:
    pair.compare(program)


def test_each_refuses_the_others_archive(pair: Pair) -> None:
    async def main() -> None:
        ours, theirs = [
            (await nats.connect(server.url, user="u15", password="p")).jetstream() for server in pair.servers
        ]
        for js in (ours, theirs):
            await fill(js)
        archives = [(await snapshot(js))[1] for js in (ours, theirs)]
        config = {"name": "N", "subjects": ["n"]}
        assert (await restore(ours, config, archives[1]))["error"]["description"] == f"restore failed: {FOREIGN}"
        # To its S2 reader it is a stream with nothing in it, and not a broken one.
        assert (await restore(theirs, config, archives[0]))["error"]["description"] == "restore failed: EOF"
        for js in (ours, theirs):
            await js._nc.close()

    asyncio.run(main())


# ---- the tools


def tool(*arguments: object, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "edge", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_stream_out_of_one_server_into_another(start_edge: Start, tmp_path: Path) -> None:
    one, other = (start_edge(CONFIG.format(tmp_path / name), name) for name in ("one", "other"))

    async def on(server: Any, work: Any) -> Any:
        client = await nats.connect(server.url)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    asyncio.run(on(one, fill))
    file = tmp_path / "s.stream"
    assert "59 messages" in tool("backup", "--server", one.url, "--stream", "S", file)
    assert "overwrites nothing" in tool("backup", "--server", one.url, "--stream", "S", file, code=1)
    assert tool("restore", "--server", other.url, file).startswith("S: 59 messages")
    assert asyncio.run(on(other, seen)) == asyncio.run(on(one, seen))
    assert "already in use" in tool("restore", "--server", other.url, file, code=1)
    assert "overlap" in tool("restore", "--server", other.url, "--stream", "T", file, code=1)
    assert "stream not found" in tool("backup", "--server", one.url, "--stream", "NO", tmp_path / "no", code=1)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "bad").write_bytes(damaged)
    assert "bad: the archive is damaged" in tool("restore", "--server", other.url, tmp_path / "bad", code=1)
    assert "restore it to a running server" in tool("restore", file, tmp_path / "new", code=1)
    assert "no connection to nats://127.0.0.1:1" in tool("backup", "--server", "nats://u:p@127.0.0.1:1", "--stream", "S", tmp_path / "x", code=1)
    tool("backup", "--stream", "S", tmp_path / "x", code=2)
    tool("restore", file, code=2)
    assert sorted(path.name for path in tmp_path.glob("[nx]*")) == []


def test_with_credentials_and_a_domain(start_edge: Start, tmp_path: Path) -> None:
    operator = Operator()
    account = operator.account("A")
    account.claims["limits"] = {**account.claims["limits"], **JETSTREAM}
    store = f'jetstream {{ store_dir: "{tmp_path / "store"}", domain: barn }}'
    server = start_edge(operator.config(more=f"listen: 127.0.0.1:-1\n{store}"))
    user = creds(tmp_path, account.user(1), 1)

    async def on(server: Any, work: Any) -> Any:
        client = await nats.connect(server.url, user_credentials=user)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    asyncio.run(on(server, fill))
    file = tmp_path / "s.stream"
    login = ("--server", server.url, "--creds", user)
    assert "59 messages" in tool("backup", *login, "--domain", "barn", "--stream", "S", file)
    asyncio.run(on(server, lambda js: js.delete_stream("S")))
    assert "S: 59 messages" in tool("restore", *login, "--domain", "barn", file)
    assert "has no JetStream here" in tool("backup", *login, "--domain", "other", "--stream", "S", tmp_path / "x", code=1)
    assert "no connection" in tool("backup", "--server", server.url, "--stream", "S", tmp_path / "x", code=1)
    assert "holds no credentials" in tool("restore", "--server", server.url, "--creds", tmp_path / "none", file, code=1)


def test_an_edge_backed_up_from_its_hub(start_edge: Start, start_nats: Start, tmp_path: Path) -> None:
    """Over the leaf connection, by the edge's domain: the hub is a real one."""
    hub = start_nats(
        f'server_name: hub\nlisten: 127.0.0.1:-1\nleafnodes {{ listen: "127.0.0.1:-1" }}\n'
        f'jetstream {{ store_dir: "{tmp_path / "hub-store"}", domain: hub }}\n'
    )
    remote = f"leafnodes {{ remotes [ {{ url: \"nats://127.0.0.1:{hub.ports['leafnode']}\" }} ] }}"
    edge = start_edge(
        f'server_name: barn\nlisten: 127.0.0.1:-1\n{remote}\njetstream {{ store_dir: "{tmp_path / "store"}", domain: barn }}\n'
    )

    async def until_there() -> None:
        client = await nats.connect(edge.url)
        await fill(client.jetstream())
        await client.close()
        client = await nats.connect(hub.url)
        for _ in range(1200):
            try:
                await client.request("$JS.barn.API.INFO", timeout=30)
                break
            except nats.errors.NoRespondersError:
                await asyncio.sleep(0.05)
        await client.close()

    asyncio.run(until_there())
    file, there = tmp_path / "s.stream", ("--server", hub.url, "--domain", "barn")
    assert "59 messages" in tool("backup", *there, "--stream", "S", file)
    assert "already in use" in tool("restore", *there, file, code=1)

    async def lose() -> None:
        client = await nats.connect(edge.url)
        await client.jetstream().delete_stream("S")
        await client.close()

    asyncio.run(lose())
    assert "S: 59 messages" in tool("restore", *there, file)
