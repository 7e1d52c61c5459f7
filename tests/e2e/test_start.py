"""Starting and stopping: what cannot start says why in one line, what stops leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
PATIENCE = 60


def run_edge(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """``petiole-edge run`` with these arguments, to its end."""
    command = [sys.executable, "-m", "edge", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)


def assert_one_line(done: "subprocess.CompletedProcess[str]", *texts: str) -> None:
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    for text in texts:
        assert text in last, last


def test_a_port_in_use(start_edge: Start) -> None:
    server = start_edge()
    assert_one_line(run_edge("-a", "127.0.0.1", "-p", str(server.port)), f"127.0.0.1:{server.port}", "in use")


def test_a_store_in_use(start_edge: Start, tmp_path: Path) -> None:
    store = tmp_path / "store"
    start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{store}" }}')
    assert_one_line(run_edge("-p", "-1", "-js", "-sd", str(store)), str(store), "in use by another petiole-edge")


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_line(run_edge("-p", "-1", "-js", "-sd", str(tmp_path / "file" / "x")), str(tmp_path / "file" / "x"))


def test_a_store_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "petiole.db").write_bytes(b"no database at all " * 1000)
    assert_one_line(run_edge("-p", "-1", "-js", "-sd", str(tmp_path)), "petiole.db")


def test_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "edge.conf"
    config.write_text("listen: 127.0.0.1:-1\njetstream {\n  stor_dir: x\n}\n")
    assert_one_line(run_edge("-c", str(config)), f"{config}:3:", "stor_dir", "store_dir")
    assert_one_line(run_edge("-t", "-c", str(config)), f"{config}:3:")


def test_an_uplink_without_a_hub(tmp_path: Path) -> None:
    config = tmp_path / "edge.conf"
    config.write_text(
        f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path}/s" }}\n'
        'uplink { T: { subjects: ["t.>"], hub_stream: T } }\n'
    )
    assert_one_line(run_edge("-c", str(config)), "uplink", "leafnodes")


def test_a_checked_configuration(tmp_path: Path) -> None:
    config = tmp_path / "edge.conf"
    config.write_text("listen: 127.0.0.1:-1\n")
    done = run_edge("-t", "-c", str(config))
    assert done.returncode == 0 and "is valid (sha256:" in done.stderr
    commands = [sys.executable, "-m", "edge"]
    assert subprocess.run([*commands, "check", "-c", str(config)], timeout=PATIENCE, capture_output=True).returncode == 0


@pytest.mark.parametrize("flag", ["-h", "--help", "-v", "--version"])
def test_help_and_version(flag: str) -> None:
    done = run_edge(flag)
    assert done.returncode == 0 and "petiole-edge" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_shutdown(start_edge: Start, tmp_path: Path, how: signal.Signals) -> None:
    server = start_edge(f'listen: 127.0.0.1:-1\npid_file: "{tmp_path}/pid"\njetstream {{ store_dir: "{tmp_path}/s" }}')
    assert int((tmp_path / "pid").read_text()) == server.process.pid
    wire = server.wire()
    wire.login()
    os.kill(server.process.pid, how)
    wire.expect_closed()
    assert server.process.wait(PATIENCE) == 0
    assert "Initiating Shutdown" in server.log.read_text() and "Traceback" not in server.log.read_text()


def test_the_ports_file(start_edge: Start, tmp_path: Path) -> None:
    server = start_edge(f'listen: 127.0.0.1:-1\nports_file_dir: "{tmp_path}/ports"\nmqtt {{ listen: "127.0.0.1:-1" }}\nserver_name: x\njetstream {{ store_dir: "{tmp_path}/s" }}')
    (file,) = (tmp_path / "ports").iterdir()
    ports = json.loads(file.read_text())
    assert ports["nats"] == [f"nats://127.0.0.1:{server.port}"] and ports["mqtt"][0].startswith("mqtt://127.0.0.1:")
    server.stop()
    assert not file.exists()


def test_no_openssl_where_nothing_is_encrypted(start_edge: Start, tmp_path: Path) -> None:
    server = start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path}/s" }}')
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libssl" not in maps and "libcrypto" not in maps


def test_a_full_store_refuses_messages_and_takes_acks(start_edge: Start, tmp_path: Path) -> None:
    import asyncio

    import nats

    server = start_edge(f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path}/s", max_file_store: 100000 }}')

    async def main() -> None:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s"])
        sub = await js.pull_subscribe("s", durable="D")
        with pytest.raises(nats.js.errors.APIError, match="insufficient resources") as caught:
            for _ in range(200):
                await js.publish("s", b"x" * 1000)
        assert caught.value.err_code == 10023
        for message in await sub.fetch(10):
            await message.ack_sync()
        await js.purge_stream("S")
        await js.publish("s", b"room again")
        await nc.close()

    asyncio.run(main())


def test_an_account_has_the_storage_its_block_gives_it(start_edge: Start, tmp_path: Path) -> None:
    import asyncio

    import nats

    server = start_edge(
        f'listen: 127.0.0.1:-1\njetstream {{ store_dir: "{tmp_path}/s" }}\n'
        "accounts { A { users: [ {user: a, password: a} ], jetstream: { max_file: 50000, max_mem: 1000 } } }"
    )

    async def main() -> None:
        nc = await nats.connect(server.url, user="a", password="a")
        js = nc.jetstream()
        assert (await js.account_info()).limits.max_storage == 50000
        await js.add_stream(name="S", subjects=["s"])
        with pytest.raises(nats.js.errors.APIError, match="resource limits exceeded for account"):
            for _ in range(100):
                await js.publish("s", b"x" * 1000)
        await nc.close()

    asyncio.run(main())
