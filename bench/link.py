"""``python -m bench.link``: what the way to the hub costs, and how fast a backlog goes up.

``wire``: bytes between edge and hub for each reading: 100 sensors, one reading of 20 bytes of JSON a second each, over
Petiole's uplink, over a nats-server leaf whose stream the hub sources, over a mosquitto bridge with QoS 1.  Counted by
TCP itself (TCP_INFO) at a relay in the middle; IP and TCP heads are 52 bytes a segment.

``drain``: a backlog of a million messages of 128 bytes, and from the first that the hub has to the last.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import conditions
from bench.link_sites import Site, mosquitto_site, petiole_site, sourced_site
from bench.load import BenchError
from bench.relay import Relay, Traffic
from bench.servers import Cores

RESULTS = Path(__file__).with_name("LINK.md")
SENSORS = 100
SETTLE_S = 5.0
PATIENCE_S = 300.0
HEADS = 52  # bytes of IPv4 and TCP with timestamps


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes for each reading: what is sent and received on the connection, and with the heads of its packets."""

    up: float
    down: float
    with_heads: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.link", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["wire", "drain"], help="default: both, and LINK.md is written")
    parser.add_argument("--seconds", type=float, default=60.0, help="of readings (%(default)g)")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of the backlog (%(default)d)")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="a folder of the disk to use (%(default)s)")
    options = parser.parse_args()
    what = options.what or ["wire", "drain"]
    cores = Cores.of_this_machine()
    try:
        with tempfile.TemporaryDirectory(prefix="petiole-link-", dir=options.dir) as directory:
            folder = Path(directory)
            parts = ["# The way to the hub", "Made by `python -m bench.link`."]
            parts.append(conditions.describe(folder, cores, 1, options.seconds))
            if "wire" in what:
                parts.append(wire_table(folder, cores, options.seconds))
            if "drain" in what:
                parts.append(drain_table(folder, cores, options.messages))
    except BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    page = "\n\n".join(parts) + "\n"
    print(page)
    if not options.what:
        RESULTS.write_text(page)
    return 0


# ---- bytes


def wire_table(folder: Path, cores: Cores, seconds: float) -> str:
    sites: list[tuple[str, Callable[[Path, Cores, Relay], Site]]] = [
        ("petiole: uplink", petiole_site),
        ('petiole: uplink, `gather: "1s"`', partial(petiole_site, uplink=', gather: "1s"')),
        ("petiole: uplink, `compression: off`", partial(petiole_site, remote=", compression: off")),
        ("nats-server leaf, sourced by the hub", sourced_site),
        ("the same, `compression: s2_fast` on both sides", partial(sourced_site, both=", compression: s2_fast")),
        ("mosquitto bridge, QoS 1", mosquitto_site),
    ]
    rows = ["| | up | down | with IP and TCP heads |", "|---|---|---|---|"]
    for number, (name, make) in enumerate(sites):
        cost = wire(folder / f"wire-{number}", cores, make, seconds)
        rows.append(f"| {name} | {cost.up:.0f} | {cost.down:.0f} | {cost.with_heads:.0f} |")
        print(rows[-1], file=sys.stderr)
    what = (
        f"Bytes for each reading of 20 bytes, {SENSORS} sensors at 1 Hz for {seconds:g} s; the hub's stream takes "
        "batches, and links compress as their servers have it where nothing is said"
    )
    return "\n".join([f"{what}:", "", *rows])


def wire(folder: Path, cores: Cores, make: Callable[[Path, Cores, Relay], Site], seconds: float) -> Cost:
    with opened(folder, cores, make) as (site, relay):
        count = publish_readings(site, SETTLE_S)
        wait_until(lambda: site.stored() >= count, f"{count} readings are at the hub")
        before = relay.traffic()
        count += publish_readings(site, seconds)
        wait_until(lambda: site.stored() >= count, f"{count} readings are at the hub")
        spent = relay.traffic() - before
        if site.stored() != count:
            raise BenchError(f"{site.stored()} readings are at the hub, and {count} were sent")
        return cost_of(spent, int(seconds * SENSORS))


def cost_of(spent: Traffic, readings: int) -> Cost:
    heads = HEADS * (spent.segments_up + spent.segments_down)
    return Cost(spent.up / readings, spent.down / readings, (spent.up + spent.down + heads) / readings)


def publish_readings(site: Site, seconds: float) -> int:
    """Evenly spread; the number of them."""
    count = int(seconds * SENSORS)
    begin = time.monotonic()
    for i in range(count):
        ahead = begin + i / SENSORS - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        site.publish(i % SENSORS, b'{"v":%05.2f,"n":%04d}' % (20 + i % 700 / 100, 1000 + i // SENSORS % 9000))
    return count


# ---- a backlog


def drain_table(folder: Path, cores: Cores, messages: int) -> str:
    ours = drain(folder / "drain-petiole", cores, petiole_site, messages)
    theirs = drain(folder / "drain-sourced", cores, sourced_site, messages)
    return (
        f"A backlog of {messages:,} messages of 128 bytes over loopback, messages/s: petiole's uplink {ours:,.0f}, "
        f"nats-server sourcing {theirs:,.0f}, ratio {ours / theirs:.2f} (asked: at least 0.7)."
    )


def drain(folder: Path, cores: Cores, make: Callable[[Path, Cores, Relay], Site], messages: int) -> float:
    """Messages a second, from the first that the hub has to the last."""
    with opened(folder, cores, make) as (site, relay):
        relay.shut()
        site.fill(messages, b"x" * 128)
        relay.open()
        wait_until(lambda: site.stored() > 0, "the backlog begins to arrive")
        first, begin = site.stored(), time.monotonic()
        wait_until(lambda: site.stored() >= messages, f"{messages} messages are at the hub")
        took = time.monotonic() - begin
        if (found := site.stored()) != messages:
            raise BenchError(f"{found} messages are at the hub, and {messages} were sent")
        return (messages - first) / took


@contextmanager
def opened(folder: Path, cores: Cores, make: Callable[[Path, Cores, Relay], Site]) -> Iterator[tuple[Site, Relay]]:
    folder.mkdir(parents=True)
    with Relay() as relay:
        site = make(folder, cores, relay)
        with site:
            yield site, relay


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"waited {PATIENCE_S:g} s in vain until {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
