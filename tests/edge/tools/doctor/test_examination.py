"""The whole of it: on live servers, with what a person reads and what a program does."""

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import pytest

from edge.tools.doctor.examination import examine, has_failed, lines, summary
from edge.tools.doctor.finding import fail, ok, warn

Told = Callable[[Any], list[str]]


async def publish(url: str, count: int) -> None:
    client = await nats.connect(url)
    context = client.jetstream()
    await context.add_stream(name="S", subjects=["s"])
    for _ in range(count):
        await context.publish("s", b"payload")
    await client.close()


def findings(done: Any) -> list[str]:
    return [line for line in done.stdout.splitlines() if re.match(r"(OK|WARN|FAIL) ", line)]


def about(done: Any, check: str) -> list[str]:
    return [line for line in findings(done) if line.split()[1] == f"{check}:"]


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.name != "petiole.db-shm"}


def test_a_server_while_it_runs_and_after_it_was_killed(start_edge: Any, start_nats: Any, tool: Any, tmp_path: Path, free_port: Any) -> None:
    hub = start_nats("server_name: hub1\nlisten: 127.0.0.1:-1\nleafnodes { listen: 127.0.0.1:-1 }")
    folder = tmp_path / "store"
    edge = start_edge(
        f'server_name: barn\nlisten: 127.0.0.1:{free_port()}\npid_file: "{tmp_path}/pid"\n'
        f'jetstream {{ store_dir: "{folder}", domain: barn }}\n'
        f'leafnodes {{ remotes [ {{ url: "nats://127.0.0.1:{hub.ports["leafnode"]}" }} ] }}'
    )
    asyncio.run(publish(edge.url, 20))
    before = files(folder)
    done = tool("doctor", "-c", str(edge.config))
    assert done.returncode == 0, done.stdout
    assert files(folder) == before
    pid = edge.process.pid
    assert about(done, "config") == [f"OK    config: {edge.config} is valid"]
    assert about(done, "ports") == [f"OK    ports: clients 127.0.0.1:{edge.port}: held by petiole-edge, pid {pid}"]
    assert f"in use by pid {pid}" in about(done, "store")[0]
    assert "sound: 20 messages of 1 streams, everything looked at" in about(done, "store")[1]
    assert "hub1, nats-server 2.15.1" in about(done, "hub")[0] and about(done, "clock") and about(done, "files") and about(done, "memory")
    assert done.stderr == "" and "\x1b" not in done.stdout

    edge.kill()
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    done = tool("doctor", "-c", str(edge.config), "--json")
    assert done.returncode == 0 and {each.name: each.read_bytes() for each in folder.iterdir()} == before
    found = json.loads(done.stdout)
    assert found["ok"] is True and set(found["checks"][0]) == {"level", "check", "found", "remedy"}
    texts = [each["found"] for each in found["checks"]]
    assert f"clients 127.0.0.1:{edge.port}: free" in texts and any("sound: 20 messages of 1 streams" in text for text in texts)
    edge.start()

    edge.stop()
    database = folder / "petiole.db"
    data = bytearray(database.read_bytes())
    data[data.rindex(b"payload")] ^= 1
    database.write_bytes(data)
    hub.stop()
    done = tool("doctor", "-c", str(edge.config))
    assert done.returncode == 1
    assert any("damaged and passed over" in line for line in about(done, "store"))
    assert any(line.startswith("FAIL  hub: ") and "refused" in line for line in findings(done))
    assert done.stdout.splitlines()[-1].startswith("2 failed, ")


def test_a_store_directory_that_is_relative_is_the_servers(start_edge: Any, tool: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    edge = start_edge(f'listen: 127.0.0.1:-1\npid_file: "{tmp_path}/pid"\njetstream {{ store_dir: "here" }}')
    (tmp_path / "elsewhere").mkdir()
    root = str(Path(__file__).parents[4])
    done = tool("doctor", "-c", str(edge.config), cwd=tmp_path / "elsewhere", env={**os.environ, "PYTHONPATH": root})
    assert f"OK    store: {tmp_path}/here belongs to" in done.stdout


def test_a_configuration_with_a_mistake(tool: Any, tmp_path: Path) -> None:
    (tmp_path / "edge.conf").write_text("porrt: 4222")
    done = tool("doctor", "-c", str(tmp_path / "edge.conf"))
    assert done.returncode == 1 and findings(done)[0].startswith(f"FAIL  config: {tmp_path}/edge.conf:1:")
    assert tool("doctor", "-c", str(tmp_path / "none.conf")).returncode == 1


def test_warnings_of_the_configuration(model: Any, told: Told, tmp_path: Path) -> None:
    (tmp_path / "edge.conf").write_text("")
    assert told(examine(str(tmp_path / "edge.conf"), {}, model, False))[0].startswith("WARN config: ")


def test_no_file_is_the_units(model: Any, told: Told) -> None:
    assert told(examine("", {}, model, False))[0].startswith("WARN config: no file given, and no /etc/petiole/edge.conf")
    model.put("/etc/petiole/edge.conf", "jetstream { domain: barn }\nserver_name: barn")
    found = told(examine("", {}, model, False))
    assert found[0].endswith("etc/petiole/edge.conf is valid")
    assert any("var/lib/petiole/jetstream is not there yet" in text for text in found)


def test_what_is_printed() -> None:
    bad = fail("hub", "it \x1b[2J is gone", "call it")
    assert lines(bad, False) == ["FAIL  hub: it \ufffd[2J is gone", "      -> call it"]
    assert lines(ok("hub", "fine"), True) == ["\x1b[32mOK  \x1b[0m  hub: fine"]
    assert summary([bad, warn("a", "b", "c"), ok("d", "e")]) == "1 failed, 1 warned, 1 in order"
    assert summary([ok("d", "e")]) == "nothing wrong was found"
    assert has_failed([bad]) and not has_failed([warn("a", "b", "c")])


@pytest.mark.parametrize("name", ["pid", "ports"])
def test_a_server_that_is_gone_is_not_running(model: Any, told: Told, tmp_path: Path, name: str) -> None:
    (tmp_path / "pid").write_text("not a number" if name == "ports" else f"{2**22 + 1}\n")
    (tmp_path / "petiole-edge_x.ports").write_text("")
    (tmp_path / "edge.conf").write_text(f'pid_file: "{tmp_path}/pid"\nports_file_dir: "{tmp_path}"')
    assert any("petiole-edge does not run" in text for text in told(examine(str(tmp_path / "edge.conf"), {}, model, False)))
