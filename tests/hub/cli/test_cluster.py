"""up, status, down as an operator types them, against real servers."""

import json
import re
import signal
import socket
import stat
from pathlib import Path

import pytest


@pytest.fixture
def state(tmp_path, petiole_hub):
    yield tmp_path / "hub"
    petiole_hub("down", "--dir", tmp_path / "hub")


def pids(state):
    return [row["pid"] for row in json.loads((state / "run.json").read_text()).values()]


def alive(pid):
    """A process whose memory is gone has ended, also while its parent has not asked for its status."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_up_status_down(state, petiole_hub):
    up = petiole_hub("up", "--dir", state, "--edge", "barn")
    assert up.exit_code == 0, up.output
    names = "TELEMETRY COMMANDS RESULTS KV_DESIRED KV_REPORTED".split()
    created = "".join(f"created stream {name}\n" for name in names)
    assert f"{created}started hub-1, hub-2, hub-3\n" in up.output
    assert "commands { hub_domain: hub }" in up.output and "files " not in up.output
    assert len(re.findall(r"nats://barn:[\w-]+@127\.0\.0\.1:\d+", up.output)) == 3
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in state.iterdir() if path.is_file())

    status = petiole_hub("status", "--dir", state)
    assert status.exit_code == 0, status.output
    assert len(re.findall(r"hub-\d  up, pid \d+", status.output)) == 3
    assert status.output.count("JetStream leader") == 1
    for line in ("COMMANDS  R3  queued.commands.>", "RESULTS  R3  results.>", "KV_DESIRED  R3  $KV.DESIRED.>"):
        assert line in status.output
    assert re.search(r"TELEMETRY  R3  telemetry\.>  0 messages, 0 B  \(hub-\d leader, ", status.output)
    assert "edges\n  none connected\n" in status.output

    servers = pids(state)
    down = petiole_hub("down", "--dir", state)
    assert (down.exit_code, down.output) == (0, "ended hub-1, hub-2, hub-3\n")
    assert not any(alive(pid) for pid in servers)

    again = petiole_hub("down", "--dir", state)
    assert (again.exit_code, again.output) == (0, "the hub was not running\n")


def test_second_up_says_so_and_keeps_the_servers(state, petiole_hub):
    first = petiole_hub("up", "--dir", state)
    servers = pids(state)
    second = petiole_hub("up", "--dir", state, "--files")
    assert second.output.startswith("the hub is already running\ncreated stream OBJ_FILES\n")
    assert "\nfiles    { hub_domain: hub" in petiole_hub("up", "--dir", state).output, "it is known to be wanted"
    assert pids(state) == servers
    addresses = [line for line in first.output.splitlines() if line.startswith(("clients", "leafs"))]
    assert addresses == [line for line in second.output.splitlines() if line.startswith(("clients", "leafs"))]


def test_status_names_the_dead_node_and_up_starts_it(state, petiole_hub):
    petiole_hub("up", "--dir", state)
    from hub.cli.state_dir import known_hub

    known_hub(state).kill("hub-2")
    status = petiole_hub("status", "--dir", state)
    assert status.exit_code == 0, status.output
    assert "hub-2  DOWN" in status.output
    assert "started hub-2\n" in petiole_hub("up", "--dir", state).output
    assert "DOWN" not in petiole_hub("status", "--dir", state).output


def test_edges_are_added_while_the_hub_is_down(state, petiole_hub):
    petiole_hub("up", "--dir", state, "--edge", "barn")
    refused = petiole_hub("up", "--dir", state, "--edge", "shed")
    assert refused.exit_code == 1
    assert "down before edges are added" in refused.output
    petiole_hub("down", "--dir", state)
    added = petiole_hub("up", "--dir", state, "--edge", "shed")
    assert "for the configuration of barn" in added.output and "for the configuration of shed" in added.output


def test_other_port_for_a_known_hub(state, petiole_hub):
    petiole_hub("up", "--dir", state)
    refused = petiole_hub("up", "--dir", state, "--base-port", "4222")
    assert refused.exit_code == 1
    assert "another --dir" in refused.output


def test_port_in_use_is_one_line_and_leaves_no_process(state, petiole_hub):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = petiole_hub("up", "--dir", state, "--base-port", min(port, 65527))
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: hub-\d has ended: .*address already in use.*\n", result.output)
    assert not any(alive(pid) for pid in pids(state))


@pytest.mark.parametrize(
    "words, said",
    [
        (("--edge", "a.b"), "edge name 'a.b'"),
        (("--nats-server", "/absent"), "/absent: cannot be run as nats-server"),
        (("--nats-server", "/bin/cat"), "/bin/cat: is not a nats-server"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--base-port", "70000"), "70000"),
    ],
)
def test_mistakes_are_one_clear_line(state, petiole_hub, words, said):
    result = petiole_hub("up", "--dir", state, *words)
    assert result.exit_code != 0
    assert said in result.output.splitlines()[-1]
    assert isinstance(result.exception, SystemExit)


def test_ctrl_c_while_starting_leaves_no_process(state):
    """The wait for readiness is cut by SIGINT at the moment the first pid is known."""
    import subprocess
    import sys

    program = "from hub.cli import main; main()"
    up = subprocess.Popen([sys.executable, "-c", program, "up", "--dir", state], stderr=subprocess.PIPE, text=True)
    while not (state / "run.json").exists():
        assert up.poll() is None
    up.send_signal(signal.SIGINT)
    up.communicate()
    assert up.returncode != 0
    assert not any(alive(pid) for pid in pids(state))
