"""``/metrics``: the figures of this server in Prometheus' text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.  Names follow its conventions: base
units, ``_total`` on counters alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from edge.core.account import Traffic
from edge.monitor.figures import (
    AccountFigures,
    ConsumerFigures,
    Figures,
    LinkFigures,
    MqttFigures,
    StoreFigures,
    StreamFigures,
)
from edge.version import VERSION

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
GAUGE, COUNTER = "gauge", "counter"
UPLINK_STATES = ("down", "resuming", "live", "blocked", "paused", "closed", "spent", "stopped")
WAYS = {"received": ("in_msgs", "in_bytes"), "sent": ("out_msgs", "out_bytes")}

Labels = Mapping[str, str]
Sample = tuple[Labels, float]  # an int stays one: it may be larger than a float is exact


class Family(NamedTuple):
    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def exposition(figures: Figures) -> bytes:
    lines: list[str] = []
    for family in families(figures):
        if family.samples:
            lines += [f"# HELP {family.name} {_help(family.help)}", f"# TYPE {family.name} {family.kind}"]
            lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def families(figures: Figures) -> Iterator[Family]:
    yield from _server(figures)
    yield from _traffic(figures)
    yield from _rows(ACCOUNTS, figures.accounts, lambda each: {"account": each.name})
    yield from _rows(LINKS, _numbered(figures.links), lambda each: each[0])
    if figures.uplinks:
        yield from _rows(UPLINKS, list(figures.uplinks.items()), lambda each: {"uplink": each[0]})
        yield _uplink_states(figures)
    if figures.commands is not None:
        yield _commands("commands", GAUGE, "Durable commands that have not ended, by state.", figures.commands["open"])
        yield _commands("commands_ended_total", COUNTER, "Durable commands that have ended since the start, by state.",
                        figures.commands["ended"])  # fmt: skip
    yield from _rows(MQTT, [figures.mqtt] if figures.mqtt else [], lambda each: {})
    if figures.store is not None:
        yield from _store(figures.store)
    yield from _rows(STREAMS, figures.streams, lambda each: {"account": each.account, "stream": each.name})
    yield from _rows(
        CONSUMERS, figures.consumers,
        lambda each: {"account": each.account, "stream": each.stream, "consumer": each.name},
    )  # fmt: skip


# ---- tables: a name without its prefix, a kind, a help, and where the value is found


class Metric(NamedTuple):
    name: str
    kind: str
    help: str
    value: Callable[[Any], float | None]  # None: not known now


def _account(name: str, kind: str, help: str, value: Callable[[AccountFigures], float]) -> Metric:
    return Metric(f"account_{name}", kind, help, value)


def _link(name: str, kind: str, help: str, value: Callable[[LinkFigures], float | None]) -> Metric:
    return Metric(f"leaf_{name}", kind, help, lambda each: value(each[1]))


def _uplink(name: str, kind: str, help: str, value: Callable[[Mapping[str, Any]], float | None]) -> Metric:
    return Metric(f"uplink_{name}", kind, help, lambda each: value(each[1]))


def _mqtt(name: str, kind: str, help: str, value: Callable[[MqttFigures], float]) -> Metric:
    return Metric(f"mqtt_{name}", kind, help, value)


def _stream(name: str, kind: str, help: str, value: Callable[[StreamFigures], float | None]) -> Metric:
    return Metric(f"stream_{name}", kind, help, value)


def _consumer(name: str, kind: str, help: str, value: Callable[[ConsumerFigures], float]) -> Metric:
    return Metric(f"consumer_{name}", kind, help, value)


ACCOUNTS = (
    _account("connections", GAUGE, "Clients that are logged in.", lambda each: each.clients),
    _account("leafs", GAUGE, "Links to hubs and to leafs that are up.", lambda each: each.leafs),
    _account("subscriptions", GAUGE, "Subscriptions, those of the server itself among them.",
             lambda each: each.subscriptions),
    _account("slow_consumers_total", COUNTER, "Clients that were closed because they did not keep up.",
             lambda each: each.slow_consumers),
)  # fmt: skip
LINKS = (
    _link("up", GAUGE, "Is the link to the hub up?", lambda each: each.up),
    _link("rtt_seconds", GAUGE, "Round trip to the hub.", lambda each: each.rtt_ns / 1e9 if each.rtt_ns else None),
    _link("connects_total", COUNTER, "How often the link came up.", lambda each: each.connects),
    _link("pending_bytes", GAUGE, "Written and not acknowledged by the hub's TCP.", lambda each: each.pending),
    _link("dropped_messages_total", COUNTER, "Messages without a stream that a slow link did not take.",
          lambda each: each.dropped),
)  # fmt: skip
UPLINKS = (
    _uplink("backlog_messages", GAUGE, "Messages that the hub has not confirmed.",
            lambda each: each["backlog_messages"]),
    _uplink("backlog_bytes", GAUGE, "Their subjects, headers and payloads.", lambda each: each["backlog_bytes"]),
    _uplink("oldest_seconds", GAUGE, "Age of the oldest message of the backlog; 0 when there is none.",
            lambda each: each["oldest_age_s"] or 0),
    _uplink("in_flight_messages", GAUGE, "Sent, and not confirmed yet.", lambda each: each["in_flight"]),
    _uplink("acked_sequence", GAUGE, "The local sequence up to which all is confirmed.",
            lambda each: each["acked_seq"]),
    _uplink("hub_sequence", GAUGE, "The hub's sequence of the last confirmed message.", lambda each: each["hub_seq"]),
    _uplink("lost_messages_total", COUNTER, "Messages that limits took before they were sent.",
            lambda each: each["lost"]),
    _uplink("stalled", GAUGE, "1: nothing has gone for a minute though something waits.",
            lambda each: each.get("stalled")),
    _uplink("sent_messages_per_second", GAUGE, "Messages that left the backlog lately.",
            lambda each: each.get("messages_per_s")),
    _uplink("sent_bytes_per_second", GAUGE, "Bytes that went over the line with them.",
            lambda each: each.get("bytes_per_s")),
    _uplink("seconds_to_full", GAUGE, "Until the backlog is full, as it goes now; none when it will not be.",
            lambda each: each.get("time_to_full_s")),
    _uplink("seconds_to_drained", GAUGE, "Until the backlog is empty, as it goes now; none when it will not be.",
            lambda each: each.get("time_to_drained_s")),
    _uplink("receipts_waiting", GAUGE, "Losses that the hub has not been told of yet.",
            lambda each: each.get("receipts_waiting")),
    _uplink("dead_messages_total", COUNTER, "Messages that the hub will never take: kept as dead letters.",
            lambda each: each["dead"]),
)  # fmt: skip
MQTT = (
    _mqtt("connections", GAUGE, "MQTT connections.", lambda each: each.connections),
    _mqtt("connections_total", COUNTER, "MQTT connections since the start.", lambda each: each.total),
    _mqtt("sessions", GAUGE, "MQTT sessions, those of clients that are away among them.", lambda each: each.sessions),
    _mqtt("retained_messages", GAUGE, "Retained messages.", lambda each: each.retained),
)  # fmt: skip
STREAMS = (
    _stream("messages", GAUGE, "Messages in the stream.", lambda each: each.messages),
    _stream("bytes", GAUGE, "Their bytes, as limits count them.", lambda each: each.bytes),
    _stream("first_sequence", GAUGE, "Sequence of the first message.", lambda each: each.first_seq),
    _stream("last_sequence", GAUGE, "Sequence of the last message.", lambda each: each.last_seq),
    _stream("last_message_timestamp_seconds", GAUGE, "When the last message came, since 1970.",
            lambda each: each.last_ns / 1e9 if each.last_ns else None),
    _stream("consumers", GAUGE, "Consumers of the stream.", lambda each: each.consumers),
)  # fmt: skip
CONSUMERS = (
    _consumer("delivered_messages_total", COUNTER, "Deliveries, repeated ones among them.",
              lambda each: each.delivered),
    _consumer("ack_floor_sequence", GAUGE, "The delivery up to which all are acknowledged.",
              lambda each: each.ack_floor),
    _consumer("ack_pending_messages", GAUGE, "Delivered and not acknowledged.", lambda each: each.ack_pending),
    _consumer("redelivered_messages", GAUGE, "Of those, delivered more than once.", lambda each: each.redelivered),
    _consumer("waiting_requests", GAUGE, "Pull requests that wait for messages.", lambda each: each.waiting),
)  # fmt: skip


def _rows(metrics: Iterable[Metric], rows: Iterable[Any], labels: Callable[[Any], Labels]) -> Iterator[Family]:
    labelled = [(labels(row), row) for row in rows]
    for metric in metrics:
        values = [(found, metric.value(row)) for found, row in labelled]
        samples = [(found, value) for found, value in values if value is not None]
        yield Family(f"petiole_{metric.name}", metric.kind, metric.help, samples)


# ---- what is no table


def _one(name: str, kind: str, help: str, value: float, **labels: str) -> Family:
    return Family(f"petiole_{name}", kind, help, [(labels, value)])


def _server(figures: Figures) -> Iterator[Family]:
    process = figures.process
    yield _one("info", GAUGE, "Always 1: who this is.", 1, version=VERSION, server_name=figures.name,
               server_id=figures.id)  # fmt: skip
    yield _one("process_start_time_seconds", GAUGE, "When the server started, since 1970.", figures.started_ns / 1e9)
    yield _one("process_uptime_seconds", GAUGE, "Since the server started.",
               max(figures.now_ns - figures.started_ns, 0) / 1e9)  # fmt: skip
    yield _one("process_cpu_seconds_total", COUNTER, "Processor time, of user and system.", process.cpu_seconds)
    yield _one("process_resident_memory_bytes", GAUGE, "Memory.", process.resident)
    yield _one("process_open_fds", GAUGE, "Open files and sockets.", process.open_files)
    if process.written is not None:
        yield _one("process_written_bytes_total", COUNTER, "What the disk was made to write: the wear.",
                   process.written)  # fmt: skip
    yield Family(
        "petiole_connections", GAUGE, "Clients that are connected, by the listener they came to; MQTT has its own.",
        [({"kind": kind}, count) for kind, count in figures.connections.items()],
    )  # fmt: skip
    yield _one("connections_total", COUNTER, "Clients that came since the start.", figures.total_connections)
    yield _one("subscriptions", GAUGE, "Subscriptions of all accounts.",
               sum(account.subscriptions for account in figures.accounts))  # fmt: skip
    yield _one("slow_consumers_total", COUNTER, "Clients that were closed because they did not keep up.",
               figures.slow_consumers)  # fmt: skip


def _traffic(figures: Figures) -> Iterator[Family]:
    """Of each account, by who was at the other end: ``received`` is what this server was sent."""
    sources: list[tuple[Labels, Traffic]] = []
    for account in figures.accounts:
        sources.append(({"account": account.name, "peer": "client"}, account.of_clients))
        sources.append(({"account": account.name, "peer": "leaf"}, account.of_leafs))
    for way, fields in WAYS.items():
        for field, unit in zip(fields, ("messages", "bytes"), strict=True):
            samples: list[Sample] = [(labels, getattr(traffic, field)) for labels, traffic in sources]
            what = "Messages" if unit == "messages" else "Bytes of headers and payloads"
            yield Family(f"petiole_{way}_{unit}_total", COUNTER, f"{what} {way}, by account and peer.", samples)


def _numbered(links: list[LinkFigures]) -> list[tuple[Labels, LinkFigures]]:
    """A link keeps its labels while it moves from address to address of its hub: its place is what names it."""
    return [({"account": link.account, "link": str(i), "hub": link.hub}, link) for i, link in enumerate(links, 1)]


def _uplink_states(figures: Figures) -> Family:
    samples: list[Sample] = [
        ({"uplink": name, "state": state}, uplink["state"] == state)
        for name, uplink in figures.uplinks.items()
        for state in UPLINK_STATES
    ]
    return Family("petiole_uplink_state", GAUGE, "1 for the state that the uplink is in.", samples)


def _commands(name: str, kind: str, help: str, counts: Mapping[str, int]) -> Family:
    return Family(f"petiole_{name}", kind, help, [({"state": state}, count) for state, count in counts.items()])


def _store(store: StoreFigures) -> Iterator[Family]:
    files: list[Sample] = [({"file": name}, size) for name, size in store.files.items()]
    yield Family("petiole_store_file_bytes", GAUGE, "Bytes of the store's files.", files)
    yield _one("store_commits_total", COUNTER, "Commits since the start, each a sync of the disk.", store.commits)
    yield _one("store_full", GAUGE, "Are messages refused because the disk is full?", store.is_full)
    yield _one("store_failing", GAUGE, "Did the last commit fail?", bool(store.error))
    yield _one("store_damaged", GAUGE, "What is known to be damaged on the disk.", store.damage)
    yield _one("store_disk_free_bytes", GAUGE, "Free on the store's disk.", store.disk_free)
    yield _one("store_disk_size_bytes", GAUGE, "Size of the store's disk.", store.disk_size)
    wear = store.wear
    if wear is not None and wear.used:
        yield _one("store_disk_life_used_ratio", GAUGE, "Part of its life that the disk says is used, at most.",
                   wear.used / 10, disk=wear.disk)  # fmt: skip
    if wear is not None and wear.written is not None:
        yield _one("store_disk_written_bytes_total", COUNTER, "Written to the disk since the machine started.",
                   wear.written, disk=wear.disk)  # fmt: skip


# ---- text


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
