"""An edge behind a bad line, its hub, and the books: what was produced, and what of it the hub has stored."""

import base64
import calendar
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.bad_line import GOOD, Modem, Quality, State
from bench.load import BenchError
from bench.servers import Contender, Cores, Server
from bench.wire_client import WireClient

PATIENCE_S = 600.0
CHUNK = 2000  # messages of a backlog between two PINGs
BATCH = 5000  # messages for each request that reads a stream
MAX_PAYLOAD = 256 * 1024

HUB = f"""
server_name: hub
max_payload: {MAX_PAYLOAD}
jetstream {{ store_dir: "$STORE", domain: hub }}
leafnodes {{ listen: "127.0.0.1:-1", authorization {{ timeout: 10 }} }}
websocket {{ listen: "127.0.0.1:-1", no_tls: true }}
no_auth_user: main
accounts {{
  MAIN {{ jetstream: enabled, users: [
    {{ user: main, password: x }}
    {{ user: narrow, password: x, permissions: {{ publish: {{ deny: ["telemetry.*.secret"] }} }} }}
  ] }}
  SMALL {{ jetstream {{ max_file: 4MB }}, users: [ {{ user: small, password: x }} ] }}
  $SYS {{ users: [ {{ user: system, password: x }} ] }}
}}
"""
EDGE = """
server_name: %(name)s
jetstream { store_dir: "$STORE", domain: %(name)s }
leafnodes { reconnect: 1, remotes: [ {
  url: "%(scheme)s://%(user)s:x@127.0.0.1:%(port)d", ignore_discovered_servers: true
} ] }
uplink {
  READINGS: { subjects: ["telemetry.%(name)s.>"], hub_domain: hub, hub_stream: %(stream)s, max_bytes: 4GB }
  ALARMS: { subjects: ["alarm.%(name)s.>"], hub_domain: hub, hub_stream: %(stream)s_ALARMS, lane: urgent }
}
"""


@dataclass(frozen=True, slots=True)
class Books:
    produced: int
    stored: int
    missing: int
    duplicate: int
    dead: int  # dead letters at the edge, which are not missing

    def balance(self) -> bool:
        return not (self.missing or self.duplicate)


class Hub:
    """A nats-server for all of them."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        self.server = Server(Contender("hub", False, HUB), folder, cores.load)
        self.leaf_port = int(self.server.wait_for_log(r"Listening for leafnode connections on 127\.0\.0\.1:(\d+)"))
        self.web_port = int(self.server.wait_for_log(r"Listening for websocket clients on ws://127\.0\.0\.1:(\d+)"))

    def client(self, user: str = "main") -> WireClient:
        return WireClient(self.server.port, user)

    def answered(self, subject: str, body: object = "", user: str = "main") -> dict[str, Any]:
        client = self.client(user)
        answer = client.ask(subject, body)
        client.close()
        if not answer or "error" in answer:
            raise BenchError(f"{subject}: {answer or 'no answer'}")
        return answer


class BadSite:
    """``start`` begins; the edge's name is that of the case.  Readings are numbered 1, 2, 3 ... in ``n``."""

    def __init__(
        self, name: str, hub: Hub, folder: Path, cores: Cores, *, user: str = "main", scheme: str = "nats-leaf",
        stream: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.stream = name.upper().replace("-", "_")
        self.hub = hub
        self.folder = folder
        self.cores = cores
        self.user = user
        self.scheme = scheme
        self.stack = ExitStack()
        self.numbers = itertools.count(1)
        self.produced = 0
        self.slowest_s: list[float] = []  # what each local ack took
        for kind, subject, more in ((self.stream, "telemetry", stream or {}), (f"{self.stream}_ALARMS", "alarm", {})):
            config = {"name": kind, "subjects": [f"{subject}.{name}.>"], "storage": "file", "num_replicas": 1}
            hub.answered(f"$JS.API.STREAM.CREATE.{kind}", config | more, user)
        self.hub_client = hub.client(user)
        self.stack.callback(self.hub_client.close)
        target = hub.web_port if scheme == "ws" else hub.leaf_port
        self.modem = self.stack.enter_context(Modem([target]))

    def start(self, state: State = State.OPEN, quality: Quality = GOOD, page: bytes | None = None) -> None:
        self.modem.become(state, quality, page)
        config = EDGE % {
            "name": self.name, "stream": self.stream, "scheme": self.scheme, "user": self.user,
            "port": self.modem.ports[0],
        }  # fmt: skip
        self.edge = self.stack.enter_context(
            Server(Contender(f"edge {self.name}", True, config), self.folder, self.cores.server)
        )
        self.client = WireClient(self.edge.port)  # of the producer's thread, while there is one
        self.observer = WireClient(self.edge.port)
        self.stack.callback(self.client.close)
        self.stack.callback(self.observer.close)

    def __enter__(self) -> "BadSite":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    # ---- what is produced

    def publish(self, device: str = "", pad: str = "") -> None:
        """One reading, until it is on disk at the edge."""
        number = next(self.numbers)
        subject = f"telemetry.{self.name}.{device or f's{number % 100:02}'}"
        begin = time.monotonic()
        reading = {"n": number, "v": 20 + number % 700 / 100, "t": time.time_ns()}
        self._acked(subject, reading | {"p": pad} if pad else reading)
        self.slowest_s.append(time.monotonic() - begin)
        self.produced = number

    def alarm(self) -> None:
        self._acked(f"alarm.{self.name}.fire", {"t": time.time_ns()})

    def _acked(self, subject: str, body: object) -> None:
        answer = self.client.ask(subject, body)
        if "seq" not in answer:
            raise BenchError(f"{self.name}: the edge does not take what is published: {answer or 'no answer'}")

    def fill(self, count: int) -> None:
        """A backlog, as fast as the edge takes it; ends when all is on disk."""
        for first in range(0, count, CHUNK):
            lines = []
            for number in itertools.islice(self.numbers, min(CHUNK, count - first)):
                body = b'{"n":%d,"v":%.2f,"t":%d}' % (number, 20 + number % 700 / 100, time.time_ns())
                subject = f"telemetry.{self.name}.s{number % 100:02}".encode()
                lines.append(b"PUB %b %d\r\n%b\r\n" % (subject, len(body), body))
                self.produced = number
            self.client.send(b"".join(lines))
            self.client.round_trip()
        wait_until(lambda: self.waiting() >= count, f"{self.name}: {count} messages are kept", time_s=60)

    # ---- what became of it

    def status(self) -> dict[str, Any]:
        return self.observer.ask(f"petiole.{self.name}.status")

    def uplink(self) -> dict[str, Any]:
        status = self.status()
        return dict(status["uplinks"]["READINGS"]) if status else {}

    def waiting(self) -> int:
        return int(self.uplink().get("backlog_messages", -1))

    def stored(self) -> int:
        answer = self.hub_client.ask(f"$JS.API.STREAM.INFO.{self.stream}")
        return int(answer["state"]["messages"]) if "state" in answer else 0

    def await_live(self) -> None:
        wait_until(lambda: self.uplink().get("state") == "live", f"{self.name}: the uplink is live", time_s=120)

    def await_drained(self) -> None:
        wait_until(lambda: self.waiting() == 0, f"{self.name}: nothing waits at the edge: {self.uplink()}")

    def books(self) -> Books:
        """Once nothing waits here any more."""
        self.await_drained()
        seen = bytearray(self.produced + 1)
        stored = 0
        for number in self.numbers_stored():
            stored += 1
            seen[number] = min(seen[number] + 1, 255)
        dead = int(self.uplink()["dead"])
        missing = seen.count(0) - 1 - dead
        return Books(self.produced, stored, missing, sum(count - 1 for count in seen if count > 1), dead)

    def numbers_stored(self) -> Iterator[int]:
        reader = self.hub.client(self.user)
        for payload in read_stream(reader, self.stream):
            yield int(json.loads(payload)["n"])
        reader.close()

    def latencies(self, stream: str, subject: str) -> list[float]:
        """Of all on this subject: seconds from its publisher at the edge to the hub's disk; one clock for both."""
        found: list[float] = []
        seq = 1
        while True:
            answer = self.hub_client.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": seq, "next_by_subj": subject})
            message = answer.get("message")
            if message is None:
                return found
            seq = int(message["seq"]) + 1
            found.append(stored_after(message))


def stored_after(message: dict[str, Any]) -> float:
    """The hub's time is RFC 3339 with nanoseconds, in UTC."""
    seconds, _, rest = message["time"].partition(".")
    at = calendar.timegm(time.strptime(seconds.rstrip("Z"), "%Y-%m-%dT%H:%M:%S")) + float(f"0.{rest.rstrip('Z') or 0}")
    return at - int(json.loads(base64.b64decode(message["data"]))["t"]) / 1e9


def read_stream(client: WireClient, stream: str) -> Iterator[bytes]:
    """The payloads of everything that is in it now."""
    left = int(client.ask(f"$JS.API.STREAM.INFO.{stream}")["state"]["messages"])
    config = {"stream_name": stream, "config": {"durable_name": "R", "ack_policy": "none", "deliver_policy": "all"}}
    if "error" in (answer := client.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.R", config)):
        raise BenchError(f"stream {stream} cannot be read: {answer['error']}")
    while left > 0:
        batch = min(BATCH, left)
        body = b'{"batch":%d,"expires":20000000000}' % batch
        client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.R", body, b"next")
        for _ in range(batch):
            message = client.message()
            if message.headers.startswith(b"NATS/1.0 4"):
                raise BenchError(f"stream {stream} cannot be read: {message.headers!r}")
            yield message.payload
        left -= batch


class Producer:
    """So many readings a second, in a thread of its own, until ``stop``."""

    def __init__(self, site: BadSite, rate: float) -> None:
        self.site = site
        self.rate = rate
        self.over = threading.Event()
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        begin = time.monotonic()
        try:
            for count in itertools.count(1):
                if self.over.wait(max(0.0, begin + count / self.rate - time.monotonic())):
                    return
                self.site.publish()
        except (BenchError, OSError) as exc:
            self.fault = exc

    def stop(self) -> None:
        self.over.set()
        self.thread.join()
        if self.fault is not None:
            raise BenchError(f"{self.site.name}: {self.fault}")


def wait_until(condition: Callable[[], bool], what: str, time_s: float = PATIENCE_S) -> float:
    """The seconds that it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() > begin + time_s:
            raise BenchError(f"waited {time_s:g} s in vain until {what}")
        time.sleep(0.05)
    return time.monotonic() - begin
