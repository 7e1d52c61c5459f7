"""``python -m bench.bad_links [case ...]``: an edge on bad lines and with hubs that will not, one case after another.

In each case sensors go on publishing, local clients are served at full speed beside an edge that has no link, and at
the end the line is good again: what was produced, and what of it the hub has stored, once, twice, or not.  Without
names all cases run, for about half an hour, and BAD_LINKS.md is written.
"""

import argparse
import contextlib
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import conditions
from bench.bad_line import GOOD, Quality, State
from bench.bad_sites import MAX_PAYLOAD, BadSite, Books, Hub, Producer, wait_until
from bench.load import BenchError, Load, build
from bench.servers import Contender, Cores, Server
from bench.streams import make_stream
from bench.wire_client import WireClient

RESULTS = Path(__file__).with_name("BAD_LINKS.md")
LOAD_S = 2.0
ROUNDS = 3  # of local loads in each case
PORTAL_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<p>Welcome to the hotel!</p>" * 10_000
LIVE = 'jetstream { store_dir: "$STORE", domain: alone }'

Torment = Callable[[BadSite, threading.Event], None]


@dataclass(frozen=True, slots=True)
class Case:
    """``quality`` and ``state`` of the line while it is bad, from the start of the edge on with ``from_start``;
    ``torment`` goes on in a thread meanwhile; ``relief`` is what makes the hub willing again.  ``backlog`` messages
    wait when it begins, and ``dead`` will never be taken."""

    name: str
    what: str
    quality: Quality = GOOD
    state: State = State.OPEN
    from_start: bool = False
    torment: Torment | None = None
    relief: Callable[[BadSite], None] | None = None
    scheme: str = "nats-leaf"
    user: str = "main"
    stream: dict[str, Any] = field(default_factory=dict)
    rate: float = 20.0
    backlog: int = 0
    dead: int = 0


# ---- what goes wrong


def flap(site: BadSite, over: threading.Event) -> None:
    rng = random.Random(1)
    while not over.wait(rng.uniform(1.0, 5.0)):
        site.modem.become(State.CUT)
        over.wait(rng.uniform(0.1, 2.0))
        site.modem.become(State.OPEN)


def forget(site: BadSite, over: threading.Event) -> None:
    site.modem.lose()


def drive(site: BadSite, over: threading.Event) -> None:
    """Holes in the coverage, and addresses that change."""
    rng = random.Random(1)
    while not over.wait(rng.uniform(5.0, 15.0)):
        if rng.random() < 0.5:
            site.modem.lose()
        else:
            site.modem.become(State.SILENT)
            over.wait(rng.uniform(3.0, 15.0))
            site.modem.become(State.OPEN)


def flood(site: BadSite, over: threading.Event) -> None:
    """Three times as much as the line takes of what no stream keeps, and somebody at the hub who wants it."""
    curious, publisher = site.hub.client(), WireClient(site.edge.port)
    curious.send(b"SUB plain.> 2\r\n")
    curious.round_trip()

    def listen() -> None:
        with contextlib.suppress(OSError, ValueError, BenchError):
            while True:
                curious.message()

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    rng = random.Random(1)
    while not over.wait(0.05):
        publisher.send(b"".join(b"PUB plain.x 200\r\n%b\r\n" % rng.randbytes(200) for _ in range(12)))
    publisher.close()
    curious.socket.shutdown(socket.SHUT_RDWR)
    listening.join()
    curious.close()


def never_taken(site: BadSite, over: threading.Event) -> None:
    """What the hub forbids, and what is too large for its stream, and for itself.  The producer has its own client."""
    client = site.observer
    for device, size in (("secret", 10), ("large", 30_000), ("enormous", MAX_PAYLOAD + 1)):
        number = next(site.numbers)
        body = b'{"n":%d,"p":"%b"}' % (number, b"x" * size)
        client.publish(f"telemetry.{site.name}.{device}", body)
        site.produced = max(site.produced, number)
    client.round_trip()


def widen(site: BadSite) -> None:
    config = site.hub_client.ask(f"$JS.API.STREAM.INFO.{site.stream}")["config"]
    site.hub.answered(f"$JS.API.STREAM.UPDATE.{site.stream}", config | {"max_msgs": -1})


def ballast(site: BadSite, over: threading.Event) -> None:
    """Somebody else of the hub's account takes all the room it has."""
    site.hub.answered("$JS.API.STREAM.CREATE.BALLAST", {"name": "BALLAST", "subjects": ["ballast"]}, site.user)
    client = site.hub.client(site.user)
    while "error" not in client.ask("ballast", "0" * 10_000):
        pass
    client.close()


def drop_ballast(site: BadSite) -> None:
    site.hub.answered("$JS.API.STREAM.DELETE.BALLAST", user=site.user)


CASES = (
    Case("good", "a good line, to compare with"),
    Case("far", "2 s each way, from the start", Quality(latency_s=2.0), from_start=True, rate=2),
    Case("lossy", "10 % loss, 50 ms each way", Quality(latency_s=0.05, loss=0.1)),
    Case("slow", "64 kbit/s, 100 ms each way, a backlog of 20,000", Quality(0.1, 8000), rate=5, backlog=20_000),
    Case("flood", "128 kbit/s, 50 ms each way, and 48 kB/s of messages that no stream keeps",
         Quality(0.05, 16_000), torment=flood, rate=5, from_start=True),
    Case("lte", "64 kbit/s, 300 ms each way, 20 % loss, holes of 3 to 15 s, addresses that change",
         Quality(0.3, 8000, 0.2), torment=drive, rate=2),
    Case("half-open", "the hub is gone, and nobody is told; new connections would do", torment=forget),
    Case("deaf", "what goes up arrives, no answer comes", state=State.DEAF),
    Case("flapping", "cut every 1 to 5 s, for up to 2 s", torment=flap),
    Case("mute", "connections are accepted and never answered", state=State.MUTE, from_start=True),
    Case("portal", "a captive portal answers the leaf's TCP", state=State.PORTAL, from_start=True),
    Case("portal-web", "and a leaf's WebSocket", state=State.PORTAL, from_start=True, scheme="ws"),
    Case("full", "the hub's stream is full, with discard: new", relief=widen,
         stream={"max_msgs": 50, "discard": "new"}),
    Case("quota", "the hub's account is at its limit of storage", torment=ballast, relief=drop_ballast, user="small"),
    Case("never", "not permitted; larger than max_msg_size; larger than max_payload", torment=never_taken,
         user="narrow", stream={"max_msg_size": 20_000}, dead=3),
)  # fmt: skip


# ---- local clients


@dataclass
class Local:
    """An edge, and how many messages its stream has from the load."""

    server: Server
    load: Load
    published: int = 0

    def rates(self) -> tuple[float, float]:
        """Deliveries a second from one publisher to one subscriber; acks a second of a stream.  BenchError when
        anything is lost, altered, out of order or refused."""
        delivered = self.load.run(self.server.port, "deliver")
        stored = self.load.run(self.server.port, "publish", after=self.published)
        self.published += stored.received
        return delivered.rate, stored.rate


class Result:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.ratios: list[tuple[float, float]] = []
        self.rss = (0.0, 0.0)
        self.meanwhile = 0
        self.back_s = 0.0
        self.connections = 0
        self.books = Books(0, 0, 0, 0, 0)

    def is_right(self) -> bool:
        return self.books.balance() and self.books.dead == self.case.dead

    def line(self) -> str:
        books = self.books
        core, stored = (statistics.median(ratio[i] for ratio in self.ratios) for i in (0, 1))
        dead = str(books.dead) if books.dead == self.case.dead else f"**{books.dead}**"
        cells = [
            f"`{self.case.name}`", self.case.what, books.produced, books.stored, books.missing, books.duplicate,
            dead, self.meanwhile, f"{self.back_s:.1f}", self.connections, f"{core:.2f}", f"{stored:.2f}",
            f"{self.rss[0]:.0f} → {self.rss[1]:.0f}",
        ]  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = """\
| | the line, or the hub | produced | stored | missing | duplicate | dead letters | stored meanwhile | back after, s | \
connections | local deliveries | local acks | RSS, MB |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""


class Campaign:
    """``alone``: an edge without a link, for the local loads to compare with."""

    def __init__(self, folder: Path, cores: Cores, hub: Hub, alone: Local, seconds: float) -> None:
        self.folder = folder
        self.cores = cores
        self.hub = hub
        self.alone = alone
        self.seconds = seconds

    def run(self, case: Case) -> Result:
        result = Result(case)
        with BadSite(
            case.name, self.hub, self.folder / case.name, self.cores, user=case.user, scheme=case.scheme,
            stream=case.stream,
        ) as site:  # fmt: skip
            if case.from_start:
                site.start(case.state, case.quality, PORTAL_PAGE)
            else:
                site.start()
                site.await_live()
            local = Local(site.edge, self.alone.load)
            make_stream(site.edge.port)
            local.rates()  # what it takes once, it has then
            if case.backlog:
                site.modem.become(State.CUT)
                site.fill(case.backlog)
            before, stored = site.edge.rss_mb(), site.stored()
            self._torment(case, site, local, result)
            result.meanwhile = site.stored() - stored
            result.rss = before, site.edge.rss_mb()
            self._relieve(case, site, result)
        return result

    def _torment(self, case: Case, site: BadSite, local: Local, result: Result) -> None:
        """The bad time."""
        end = time.monotonic() + self.seconds
        over = threading.Event()
        site.modem.become(case.state, case.quality)
        if case.torment in (never_taken, ballast):
            case.torment(site, over)
        producer = Producer(site, case.rate)
        tormentor = threading.Thread(target=case.torment or _nothing, args=(site, over))
        if case.torment not in (never_taken, ballast):
            tormentor.start()
        try:
            for _ in range(ROUNDS):
                alone, beside = self.alone.rates(), local.rates()
                result.ratios.append((beside[0] / alone[0], beside[1] / alone[1]))
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            over.set()
            producer.stop()
            if tormentor.ident is not None:
                tormentor.join()

    def _relieve(self, case: Case, site: BadSite, result: Result) -> None:
        """All is well again, and everything goes up."""
        before = site.stored()
        site.modem.become(State.OPEN, GOOD)
        if case.relief is not None:
            case.relief(site)
        begin = time.monotonic()
        if site.waiting():
            wait_until(lambda: site.stored() > before or site.waiting() == 0, f"{case.name}: it goes on")
            result.back_s = time.monotonic() - begin
        result.books = site.books()
        result.connections = site.modem.accepted


def _nothing(site: BadSite, over: threading.Event) -> None:
    """The line alone is bad enough."""


def main() -> int:
    names = [*(case.name for case in CASES), "backlog"]
    parser = argparse.ArgumentParser(prog="python -m bench.bad_links", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"default: all; {', '.join(names)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="that each line is bad (%(default)g)")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of the backlog (%(default)d)")
    parser.add_argument("--minutes", type=float, default=5.0, help="that the backlog is watched (%(default)g)")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="a folder of the disk to use (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.case) - set(names):
        parser.error(f"there is no case {', '.join(sorted(unknown))}: {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with tempfile.TemporaryDirectory(prefix="petiole-links-", dir=options.dir) as folder:
            page, balanced = measure(Path(folder), options.case or names, options)
    except BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(page)
    if not options.case:
        RESULTS.write_text(page)
    return 0 if balanced else 1


def measure(folder: Path, names: Sequence[str], options: argparse.Namespace) -> tuple[str, bool]:
    """The page, and whether all books balance."""
    from bench.bad_backlog import watch

    cores = Cores.of_this_machine()
    os.sched_setaffinity(0, {cores.load})
    load = Load(build(folder), LOAD_S)
    parts = ["# Bad links", "Made by `python -m bench.bad_links`.", conditions.describe(folder, cores, 1, LOAD_S)]
    balanced = True
    hub = Hub(folder / "hub", cores)
    with hub.server, Server(Contender("alone", True, LIVE), folder / "alone", cores.server) as alone:
        make_stream(alone.port)
        local = Local(alone, load)
        campaign = Campaign(folder, cores, hub, local, options.seconds)
        rows = []
        for case in CASES:
            if case.name in names:
                result = campaign.run(case)
                rows.append(result.line())
                balanced &= result.is_right()
                print(rows[-1], file=sys.stderr)
        if rows:
            parts.append("\n".join([HEAD, *rows]))
            parts.append(LEGEND % {"seconds": options.seconds, "rounds": ROUNDS, "load": LOAD_S})
        if "backlog" in names:
            text, is_whole = watch(folder / "backlog", cores, hub, local, options.messages, options.minutes)
            parts.append(text)
            balanced &= is_whole
    return "\n\n".join(parts) + "\n", balanced


LEGEND = """\
The line is bad for %(seconds)g s; 20 readings/s are published to the edge meanwhile (2 in `far` and `lte`, 5 in `slow`
and `flood`), each until it is on disk there, under its own number. "Stored meanwhile" are at the hub when the bad time
ends, "back after" is from then until the next is there; "connections": how often the edge has dialled in all; dead
letters are those that no hub would ever take, kept at the edge, and bold where there should be none. "Local": median of
%(rounds)d loads of %(load)g s, one publisher and one subscriber at full speed, and 4,000 messages to a stream without
their ack, as a part of what an edge without a link does right before; anything lost, altered, out of order or refused
there ends the campaign. RSS is of the edge's process, before the bad time and at its end. Links are compressed as
nats-server's are by default."""


if __name__ == "__main__":
    sys.exit(main())
