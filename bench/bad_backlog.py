"""A backlog of a million messages over 128 kbit/s, and what is measured now beside it."""

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.bad_line import GOOD, Quality, State
from bench.bad_sites import BadSite, Hub, wait_until
from bench.load import BenchError
from bench.servers import Cores

if TYPE_CHECKING:
    from bench.bad_links import Local

LINE = Quality(latency_s=0.05, bytes_per_s=16_000)
LIVE_LIMIT_S, ALARM_LIMIT_S = 2.0, 1.0
GRACE_S = 60.0  # in which what was published last still arrives
ROUNDS = 3


def watch(
    folder: Path, cores: Cores, hub: Hub, alone: "Local", messages: int, minutes: float
) -> tuple[str, bool]:
    """Markdown, and whether the books balance."""
    from bench.bad_links import Local
    from bench.streams import make_stream

    with BadSite("backlog", hub, folder, cores) as site:
        site.start()
        site.await_live()
        make_stream(site.edge.port)
        local = Local(site.edge, alone.load)
        local.rates()
        site.modem.become(State.CUT)
        begin = time.monotonic()
        empty = site.edge.rss_mb()
        site.fill(messages)
        filled = time.monotonic() - begin
        time.sleep(2)  # until nothing of it is fresh
        rss = site.edge.rss_mb()
        site.modem.become(State.OPEN, LINE)
        wait_until(lambda: site.stored() > 0, "the backlog begins to arrive", time_s=120)
        carried, stored, begin = site.modem.carried_up, site.stored(), time.monotonic()
        ratios: list[tuple[float, float]] = []
        live = publish_each_second(site, minutes * 60, lambda: ratios.append(_ratio(alone, local)))
        took = time.monotonic() - begin
        drained, used = site.stored() - stored - live, site.modem.carried_up - carried
        rss_after = site.edge.rss_mb()
        lives, alarms = arrived(site, live)
        whole = site.uplink()
        site.modem.become(State.OPEN, GOOD)
        begin = time.monotonic()
        books = site.books()
        good = time.monotonic() - begin
    rows = [
        "| | published | arrived | p50, s | p99, s | max, s | asked |",
        "|---|---|---|---|---|---|---|",
        _row("live values", live, lives, LIVE_LIMIT_S),
        _row("alarms (`lane: urgent`)", live, alarms, ALARM_LIMIT_S),
    ]
    rate, line_rate = drained / took, used / took
    speed = [statistics.median(ratio[i] for ratio in ratios) for i in (0, 1)]
    alone_s, among_s = site.slowest_s[: live // 2], site.slowest_s[live // 2 :]
    kbits, way = LINE.bytes_per_s * 8 / 1000, LINE.latency_s * 1000
    text = "\n".join([
        f"## A backlog of {messages:,} over {kbits:g} kbit/s",
        "",
        "Readings of about 50 bytes of JSON on 100 subjects, kept while the line was cut "
        f"({messages / filled:,.0f}/s); then {kbits:g} kbit/s and {way:g} ms each way for {took:.0f} s.",
        "One live value and one alarm a second; from the publisher to the hub's stream:",
        "",
        *rows,
        "",
        f"- Meanwhile {drained:,} of the backlog went up, {rate:.1f}/s; {line_rate:,.0f} bytes/s on the line upwards, "
        f"{line_rate / LINE.bytes_per_s:.0%} of what it carries. The uplink is {whole.get('state')} then, and will be "
        f"drained in {whole.get('time_to_drained_s')} s.",
        f"- What publishing a live value takes locally, until it is on disk: p50 {_ms(alone_s, 50)} ms, p99 "
        f"{_ms(alone_s, 99)} ms; beside local loads at full speed {_ms(among_s, 50)} and {_ms(among_s, 99)} ms.",
        "- Local clients, as a part of what an edge without a link does: "
        f"deliveries {speed[0]:.2f}, acks {speed[1]:.2f} (median of {ROUNDS}).",
        f"- RSS of the edge: {empty:.0f} MB before the backlog, {rss:.0f} with it, {rss_after:.0f} at the end.",
        f"- Then the line became good, and all went up in {good:.0f} s: produced {books.produced:,}, stored "
        f"{books.stored:,}, missing {books.missing}, duplicate {books.duplicate}, dead letters {books.dead}.",
    ])  # fmt: skip
    return text, books.balance()


def publish_each_second(site: BadSite, seconds: float, load: Callable[[], None]) -> int:
    """One live value and one alarm a second; the local loads in a thread of their own.  How many of each."""
    count = int(seconds)
    faults: list[BenchError] = []

    def loads() -> None:
        try:
            for _ in range(ROUNDS):
                load()
        except BenchError as exc:
            faults.append(exc)

    thread = threading.Thread(target=loads)
    begin = time.monotonic()
    for second in range(count):
        if second == count // 2:
            thread.start()
        site.publish("live")
        site.alarm()
        time.sleep(max(0.0, begin + second + 1 - time.monotonic()))
    thread.join()
    if faults:
        raise faults[0]
    return count


def arrived(site: BadSite, count: int) -> tuple[list[float], list[float]]:
    """Of live values and alarms: how long each took."""
    deadline = time.monotonic() + GRACE_S
    while True:
        lives = site.latencies(site.stream, f"telemetry.{site.name}.live")
        alarms = site.latencies(f"{site.stream}_ALARMS", f"alarm.{site.name}.fire")
        if min(len(lives), len(alarms)) >= count or time.monotonic() > deadline:
            return lives, alarms
        time.sleep(2)


def _ratio(alone: "Local", local: "Local") -> tuple[float, float]:
    theirs, ours = alone.rates(), local.rates()
    return ours[0] / theirs[0], ours[1] / theirs[1]


def _row(what: str, published: int, took: list[float], limit: float) -> str:
    if not took:
        return f"| {what} | {published} | 0 | | | | {limit:g} s **missed** |"
    is_met = len(took) == published and max(took) <= limit
    cells = [f"{_percentile(took, share):.2f}" for share in (50, 99)]
    verdict = f"within {limit:g} s: " + ("met" if is_met else "**missed**")
    return f"| {what} | {published} | {len(took)} | {cells[0]} | {cells[1]} | {max(took):.2f} | {verdict} |"


def _percentile(values: list[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) * share // 100, len(ordered) - 1)]


def _ms(values: list[float], share: int) -> str:
    return f"{_percentile(values, share) * 1000:.1f}"
