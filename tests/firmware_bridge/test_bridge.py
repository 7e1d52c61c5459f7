"""The bridge between a device on a pseudo-terminal and a live edge: killed, cut and disturbed, every reading once."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest

CONFIG = 'listen: 127.0.0.1:{port}\njetstream {{ store_dir: "{store}" }}'
WINDOW_SECONDS = 0.1  # the stream forgets ids at once: what is in doubt has to be looked up
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
def bare_edge(either: Start, free_port: Callable[[], int], tmp_path: Path) -> Any:
    """Ours, and the real nats-server in its place; it has no stream yet."""
    return either(CONFIG.format(port=free_port(), store=tmp_path / "store"))


@pytest.fixture
def edge(bare_edge: Any) -> Any:
    add_stream(bare_edge)
    return bare_edge


def add_stream(edge: Any) -> None:
    stream = {"name": "T", "subjects": ["telemetry.>"], "duplicate_window": WINDOW_SECONDS}
    asyncio.run(with_client(edge.url, lambda nc: nc.jetstream().add_stream(**stream)))


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


async def command(nc: Any, verb: str, body: bytes) -> Any:
    """The answer; the bridge says that it has its device just before it subscribes to its commands."""
    while True:
        try:
            return json.loads((await nc.request(f"commands.barn.pump.{verb}", body, timeout=30)).data)
        except nats.errors.NoRespondersError:
            await asyncio.sleep(0.01)


def bridge(edge: Any, port: str, journal: str) -> list[str]:
    return [
        sys.executable, "-m", "firmware_bridge.cli", "run", "--port", port, "--edge", "barn", "--server", edge.url,
        "--journal", journal,
    ]  # fmt: skip


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
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

    return list(asyncio.run(with_client(edge.url, read)))


def produced(processes: Processes) -> list[int]:
    return [int(line.split()[1]) for line in processes.output("device") if line.startswith("produced ")]


def stands_still(processes: Processes) -> bool:
    before = len(produced(processes))
    time.sleep(0.5)
    return len(produced(processes)) == before


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
    wait_for(lambda: stands_still(processes))  # the device keeps what nobody has stored, as long as it has room
    edge.start()
    wait_for(lambda: len(produced(processes)) > 200)
    first.send_signal(signal.SIGKILL)
    first.wait()
    processes.start("bridge", *bridge(edge, cable.a, journal))
    wait_for(lambda: running.poll() is not None)
    assert running.returncode == 0 and stored(edge) == produced(processes) == list(range(1, 401))


def test_without_a_stream_the_device_keeps_its_readings(
    bare_edge: Any, cable: Any, journal: str, processes: Processes
) -> None:
    edge = bare_edge
    processes.start("bridge", *bridge(edge, cable.a, journal))
    command = [sys.executable, "-m", "firmware_bridge.cli", "simulate", "--name", "pump", "--rate", "200"]
    running = processes.start("device", *command, "--port", cable.b, "--count", "90")
    wait_for(lambda: "no stream takes this subject" in processes.log("bridge"))
    add_stream(edge)
    wait_for(lambda: running.poll() is not None)
    assert stored(edge) == list(range(1, 91))


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
            answers.append(await command(nc, verb, body))
        return answers

    echo, led, bad, unknown, no_json, too_long = asyncio.run(with_client(edge.url, ask))
    assert echo == {"status": "ok", "value": {"a": [1, True, None, "x"]}}
    assert led["status"] == "ok" and led["value"] in (True, {"on": True})
    assert bad["status"] == "bad argument" and unknown["status"] == "unknown verb"
    assert no_json["status"] == "bad argument" and "JSON" in no_json["error"]
    assert too_long["status"] == "bad argument" and "fit" in too_long["error"]


def test_a_bad_line(
    edge: Any, cable: Any, journal: str, processes: Processes, device: Callable[[str, int], list[str]]
) -> None:
    cable.fault_rate = 0.1
    processes.start("bridge", *bridge(edge, cable.a, journal))
    running = processes.start("device", *device(cable.b, 100))
    wait_for(lambda: running.poll() is not None, 120)
    assert running.returncode == 0 and stored(edge) == produced(processes) == list(range(1, 101))


def test_the_bridge_is_killed_again_and_again(
    edge: Any, cable: Any, journal: str, processes: Processes, device: Callable[[str, int], list[str]]
) -> None:
    """Between a PubAck and the journal's line too, by chance; the stream has forgotten the ids by then."""
    running = processes.start("device", *device(cable.b, 300))
    for goal in (40, 95, 150, 205):
        one = processes.start("bridge", *bridge(edge, cable.a, journal))
        wait_for(lambda goal=goal: len(produced(processes)) > goal)  # type: ignore[misc]
        one.kill()
        one.wait()
    processes.start("bridge", *bridge(edge, cable.a, journal))
    wait_for(lambda: running.poll() is not None)
    assert running.returncode == 0 and stored(edge) == produced(processes) == list(range(1, 301))


def test_a_slow_device_keeps_its_order_while_the_edge_is_away(
    edge: Any, cable: Any, journal: str, processes: Processes
) -> None:
    """Its window has room all the time: what is measured when the edge is back must not overtake."""
    processes.start("bridge", *bridge(edge, cable.a, journal))
    command = [sys.executable, "-m", "firmware_bridge.cli", "simulate", "--name", "pump", "--rate", "12"]
    running = processes.start("device", *command, "--port", cable.b, "--count", "40")
    for goal in (8, 20):
        wait_for(lambda goal=goal: len(produced(processes)) > goal)  # type: ignore[misc]
        edge.kill()
        wait_for(lambda goal=goal: len(produced(processes)) > goal + 5)  # type: ignore[misc]
        edge.start()
    wait_for(lambda: running.poll() is not None)
    assert stored(edge) == list(range(1, 41))


def test_the_time_of_a_reading_is_when_it_was_measured(
    edge: Any, cable: Any, journal: str, processes: Processes
) -> None:
    """It waits in the device while no bridge is there."""
    before = datetime.now(UTC)
    command = [sys.executable, "-m", "firmware_bridge.cli", "simulate", "--name", "pump", "--rate", "10"]
    running = processes.start("device", *command, "--port", cable.b, "--count", "12")
    wait_for(lambda: len(produced(processes)) == 12)
    after = datetime.now(UTC)
    time.sleep(1.5)
    processes.start("bridge", *bridge(edge, cable.a, journal))
    wait_for(lambda: running.poll() is not None)
    first = asyncio.run(with_client(edge.url, lambda nc: nc.jetstream().get_msg("T", 1)))
    last = asyncio.run(with_client(edge.url, lambda nc: nc.jetstream().get_msg("T", 12)))
    times = [datetime.fromisoformat(message.headers["Petiole-Origin-Time"]) for message in (first, last)]
    slack = timedelta(milliseconds=100)  # the device's HELLO on its way
    assert before - slack <= times[0] < times[1] <= after + slack


def test_an_edge_that_is_away_when_the_device_appears(
    edge: Any, cable: Any, journal: str, processes: Processes, device: Callable[[str, int], list[str]]
) -> None:
    """The bridge subscribes to the device's commands while it has no connection."""
    processes.start("bridge", *bridge(edge, cable.a, journal))
    wait_for(lambda: "Bridge is ready" in processes.log("bridge"))
    edge.kill()
    wait_for(lambda: "connection lost" in processes.log("bridge"))
    processes.start("device", *device(cable.b, 0))
    wait_for(lambda: "device pump" in processes.log("bridge"))
    edge.start()
    wait_for(lambda: "connected again" in processes.log("bridge"))

    assert asyncio.run(with_client(edge.url, lambda nc: command(nc, "echo", b"1"))) == {"status": "ok", "value": 1}
    wait_for(lambda: len(stored(edge)) > 3)


def test_a_bridge_that_is_told_to_stop(edge: Any, cable: Any, journal: str, processes: Processes) -> None:
    running = processes.start("bridge", *bridge(edge, cable.a, journal))
    wait_for(lambda: "Bridge is ready" in processes.log("bridge"))
    running.terminate()
    assert running.wait(60) == 0 and "Traceback" not in processes.log("bridge")
