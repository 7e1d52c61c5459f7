"""The bridge between a device on a pseudo-terminal and a live edge: killed, cut and disturbed, every reading once."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

CONFIG = 'listen: 127.0.0.1:{port}\njetstream {{ store_dir: "{store}" }}'
Start = Callable[..., Any]


class Processes:
    """Started here, ended here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log, (self.folder / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=log)
        self.running.append(process)
        return process

    def output(self, name: str) -> list[str]:
        return (self.folder / f"{name}.out").read_text().splitlines()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end_all(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    processes.end_all()


@pytest.fixture
def edge(start_edge: Start, free_port: Callable[[], int], tmp_path: Path) -> Any:
    server = start_edge(CONFIG.format(port=free_port(), store=tmp_path / "store"))
    asyncio.run(with_client(server.url, lambda nc: nc.jetstream().add_stream(name="T", subjects=["telemetry.>"])))
    return server


@pytest.fixture(params=["simulator", "c"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, int], list[str]]:
    """The command line of a device on a port that makes so many readings."""
    if request.param == "simulator":
        command = [sys.executable, "-m", "firmware_bridge.cli", "simulate", "--name", "pump", "--rate", "100"]
        return lambda port, count: [*command, "--port", port, "--count", str(count)]
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here: the C library is not tested")
    from firmware_bridge.device_build import build_host_device

    program = str(build_host_device(tmp_path))
    return lambda port, count: [program, port, "--name", "pump", "--rate", "100", "--count", str(count)]


async def with_client(url: str, work: Callable[[Any], Any]) -> Any:
    nc = await nats.connect(url)
    try:
        return await work(nc)
    finally:
        await nc.close()


def bridge(edge: Any, port: str, journal: str) -> list[str]:
    return [
        sys.executable, "-m", "firmware_bridge.cli", "run", "--port", port, "--edge", "barn", "--server", edge.url,
        "--journal", journal,
    ]  # fmt: skip


def wait_for(what: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def stored(edge: Any) -> list[int]:
    async def read(nc: Any) -> list[int]:
        js = nc.jetstream()
        state = (await js.stream_info("T")).state
        values = []
        for seq in range(1, state.last_seq + 1):
            message = await js.get_msg("T", seq)
            assert message.subject == "telemetry.barn.pump.counter"
            values.append(json.loads(message.data)["value"])
        return values

    return asyncio.run(with_client(edge.url, read))  # type: ignore[no-any-return]


def produced(processes: Processes) -> list[int]:
    return [int(line.split()[1]) for line in processes.output("device") if line.startswith("produced ")]


def test_every_reading_is_stored_once_and_in_order(
    edge: Any, cable: Any, journal: str, processes: Processes, device: Callable[[str, int], list[str]]
) -> None:
    processes.start("bridge", *bridge(edge, cable.a, journal))
    running = processes.start("device", *device(cable.b, 150))
    wait_for(lambda: len(produced(processes)) > 40)
    cable.disturb(b"\x00\xff garbage \x01\x02" * 20)
    wait_for(lambda: running.poll() is not None)
    assert running.returncode == 0 and stored(edge) == produced(processes) == list(range(1, 151))


def test_edge_and_bridge_are_killed(
    edge: Any, cable: Any, journal: str, processes: Processes, device: Callable[[str, int], list[str]]
) -> None:
    first = processes.start("bridge", *bridge(edge, cable.a, journal))
    running = processes.start("device", *device(cable.b, 400))
    wait_for(lambda: len(produced(processes)) > 60)
    edge.kill()
    wait_for(lambda: len(produced(processes)) > 90)
    edge.start()
    wait_for(lambda: len(produced(processes)) > 200)
    first.send_signal(signal.SIGKILL)
    first.wait()
    processes.start("bridge", *bridge(edge, cable.a, journal))
    wait_for(lambda: running.poll() is not None)
    assert running.returncode == 0 and stored(edge) == produced(processes) == list(range(1, 401))


def test_without_a_stream_the_device_keeps_its_readings(
    start_edge: Start, cable: Any, journal: str, processes: Processes, free_port: Callable[[], int], tmp_path: Path
) -> None:
    edge = start_edge(CONFIG.format(port=free_port(), store=tmp_path / "store"))
    processes.start("bridge", *bridge(edge, cable.a, journal))
    command = [sys.executable, "-m", "firmware_bridge.cli", "simulate", "--name", "pump", "--rate", "200"]
    running = processes.start("device", *command, "--port", cable.b, "--count", "90")
    wait_for(lambda: "no stream takes this subject" in processes.log("bridge"))
    asyncio.run(with_client(edge.url, lambda nc: nc.jetstream().add_stream(name="T", subjects=["telemetry.>"])))
    wait_for(lambda: running.poll() is not None)
    assert sorted(stored(edge)) == list(range(1, 91))


def test_commands_go_down_and_results_come_back(
    edge: Any, cable: Any, journal: str, processes: Processes, device: Callable[[str, int], list[str]]
) -> None:
    processes.start("bridge", *bridge(edge, cable.a, journal))
    processes.start("device", *device(cable.b, 0))
    wait_for(lambda: "device pump" in processes.log("bridge"))

    async def ask(nc: Any) -> list[Any]:
        answers = []
        for verb, body in (
            ("echo", b'{"a": [1, true, null, "x"]}'), ("set_led", b'{"on": true}'), ("set_led", b'"x"'), ("fly", b""),
            ("echo", b"{no json"), ("echo", json.dumps("y" * 300).encode()),
        ):  # fmt: skip
            message = await nc.request(f"commands.barn.pump.{verb}", body, timeout=10)
            answers.append(json.loads(message.data))
        return answers

    echo, led, bad, unknown, no_json, too_long = asyncio.run(with_client(edge.url, ask))
    assert echo == {"status": "ok", "value": {"a": [1, True, None, "x"]}}
    assert led["status"] == "ok" and led["value"] in (True, {"on": True})
    assert bad["status"] == "bad argument" and unknown["status"] == "unknown verb"
    assert no_json["status"] == "bad argument" and "JSON" in no_json["error"]
    assert too_long["status"] == "bad argument" and "fit" in too_long["error"]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "firmware_bridge.cli", "run", "--port", "/dev/null", "--edge"]
    for extra, text in (
        (["a b"], "cannot be a token"),
        (["barn", "--journal", str(tmp_path)], "cannot open the journal"),
    ):
        done = subprocess.run([*command, *extra], capture_output=True, text=True, timeout=30)
        assert done.returncode != 0 and text in done.stderr and "Traceback" not in done.stderr, done.stderr
