from collections.abc import Callable

import pytest

from edge.config.options import Config, Uplink, UplinkBudget
from edge.config.units import SECOND

HUB = "jetstream: on\nleafnodes { remotes [{url: nats://h}] }\n"


def test_uplinks(load: Callable[..., Config]) -> None:
    text = """uplink {
      TELEMETRY: { subjects: ["telemetry.>"], hub_domain: hub, hub_stream: ALL, max_bytes: 2GB, max_age: "24h",
                   discard: new, window: 512 }
      NIGHT: { subjects: n, lane: bulk, schedule: ["22:00-06:00", "12:00-12:30"], time_zone: UTC }
      budget: { rate: "64KB/s", daily: 50MB, reserve_for: urgent, reserve: "10%", time_zone: UTC }
      ALARMS: { subjects: ["alarm.>"], lane: urgent, weight: 9, order: strict, receipts: alarm.lost }
    }"""
    config = load(HUB + text)
    assert config.warnings == ()
    assert config.uplink_budget == UplinkBudget(64 << 10, 50 << 20, "urgent", 10, "UTC")
    assert config.uplinks == (
        Uplink("TELEMETRY", ("telemetry.>",), "ALL", "hub", 2 << 30, 24 * 3600 * SECOND, "new", 512, gather_ns=SECOND // 10),
        Uplink("NIGHT", ("n",), "NIGHT", lane="bulk", gather_ns=SECOND, hours=((1320, 360), (720, 750)), time_zone="UTC"),
        Uplink("ALARMS", ("alarm.>",), "ALARMS", lane="urgent", weight=9, order="strict", receipts="alarm.lost"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A {}", "3:10: uplink A: expected subjects, such as"),
        ("A { subjects: [] }", "3:10: uplink A: expected subjects, such as"),
        ("A { subjects: 'a b' }", "3:24: subjects: 'a b' is not a valid subject"),
        ("A { subjects: a, discard: thick }", "3:27: discard: expected one of old, new, thin, found 'thick'"),
        ("A { subjects: a, gather: 2s }", "3:27: gather: expected at most 1s"),
        ("A { subjects: a, lane: fast }", "3:27: lane: expected one of urgent, normal, bulk, found 'fast'"),
        ("A { subjects: a, order: any }", "3:27: order: expected one of live, strict, found 'any'"),
        ("A { subjects: a, on_hub_loss: cry }", "3:27: on_hub_loss: expected one of stop, continue, resend, found 'cry'"),
        ("A { subjects: a, remote: x }", "3:27: remote: no remote of leafnodes has the name 'x': give one a name"),
        ("A { subjects: a, compress: rar }", "3:27: compress: expected one of zlib, zstd, found 'rar'"),
        ("A { subjects: a, weight: 0 }", "3:35: weight: expected an integer from 1 to 1000"),
        ("A { subjects: a.*, receipts: b }", "3:29: receipts: expected a subject without wildcards under one of a.*"),
        ("A { subjects: a.*, receipts: a.* }", "3:29: receipts: expected a subject without wildcards"),
        ("A { subjects: a, window: 0 }", "3:35: window: expected an integer from 1 to 65536"),
        ("A { subjects: a, max_bytes: 0 }", "3:27: max_bytes: a backlog needs a bound"),
        ("A { subjects: a, max_bytes: -1 }", "3:27: max_bytes: a backlog needs a bound"),
        ("A { subjects: a, max_age: soon }", "3:27: max_age: a duration is a number with a unit"),
        ("'A.B' { subjects: a }", "3:10: 'A.B' cannot name a stream"),
        ("A { subjects: a, hub_stream: 'x y' }", "3:10: 'x y' cannot name a stream"),
        ("A { subjects: a.> }, B { subjects: [x, a.*] }", "3:31: uplink B: 'a.*' overlaps 'a.>' of uplink A"),
        ("A: on", "3:13: uplink A: expected a block { ... }, found true"),
        ("budget { rate: x }", "3:19: rate: expected bytes a second, such as"),
        ("budget { rate: '64K', dayly: 5 }", "3:32: unknown key 'dayly' in budget (did you mean 'daily'?)"),
        ("budget { reserve_for: urgent }", "3:17: budget: expected rate, such as"),
        ("budget { daily: 5MB, reserve_for: bulk }", "3:31: reserve_for: expected urgent, found 'bulk'"),
        ("budget { daily: 5MB, reserve: '120%' }", "3:31: reserve: expected a part of the day's bytes"),
        ("budget { daily: 5MB, time_zone: Mars }", "3:31: time_zone: 'Mars' is no time zone here"),
        ("A { subjects: a, schedule: '22-6', time_zone: UTC }", "3:27: schedule: '22' is no time of day such as 06:00"),
        ("A { subjects: a, schedule: '22:00-06:00' }", "3:27: schedule: whose clock? add time_zone"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(f"{HUB}uplink {{ {text} }}").startswith(problem)
