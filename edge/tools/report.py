"""``petiole-edge report``: what a server's monitoring says, as tables for people or as JSON for programs."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from edge.tools import table
from edge.tools.figures import count, duration, plain, size, unix_time
from edge.tools.monitoring import Doc, Monitoring
from edge.tools.table import Column
from edge.tools.top import address

NONE = "-"


class Subject(NamedTuple):
    """What can be reported: ``fetch`` gives the entries as monitoring has them, ``row`` a line of the table.

    ``fetch`` answers None where the server has nothing of the kind to report.
    """

    title: str
    fetch: Callable[[Monitoring], list[Doc] | None]
    columns: Sequence[Column]
    row: Callable[[Doc], Sequence[object]]
    order: Callable[[Doc], object]


def report(monitoring: Monitoring, what: str) -> Iterator[str]:
    """Lines about one of SUBJECTS, or about ``all``.  ToolError when there is no answer."""
    varz = monitoring.get("varz")
    yield (
        f"{plain(varz.get('server_name', '?'))}  nats-server {plain(varz.get('version', '?'))}"
        f"  up {plain(varz.get('uptime', '?'))}  {monitoring.url}"
    )
    for name in SUBJECTS if what == "all" else (what,):
        subject = SUBJECTS[name]
        found = subject.fetch(monitoring)
        yield ""
        if found is None:
            yield f"{subject.title}: not on this server"
        elif not found:
            yield f"{subject.title}: none"
        else:
            rows = [subject.row(each) for each in sorted(found, key=subject.order)]  # type: ignore[arg-type]
            yield f"{subject.title}: {len(found)}"
            yield from (f"  {line}" for line in table.lines(subject.columns, rows))


def report_json(monitoring: Monitoring, what: str) -> str:
    """An object with a list for each subject, its entries as monitoring has them."""
    names = SUBJECTS if what == "all" else (what,)
    return json.dumps({name: SUBJECTS[name].fetch(monitoring) or [] for name in names}, indent=2)


# ---- connections


def _connections(monitoring: Monitoring) -> list[Doc]:
    return monitoring.connections(auth=1)


def _connection(entry: Doc) -> list[object]:
    kind = entry.get("type") or entry.get("kind") or NONE
    return [
        entry.get("cid", NONE), entry.get("name") or entry.get("mqtt_client") or NONE, kind, address(entry),
        entry.get("account") or entry.get("name_tag") or NONE, entry.get("authorized_user") or NONE,
        entry.get("subscriptions", 0), size(entry.get("pending_bytes", 0)), count(entry.get("out_msgs", 0)),
        count(entry.get("in_msgs", 0)), size(entry.get("out_bytes", 0)), size(entry.get("in_bytes", 0)),
        entry.get("rtt") or NONE, entry.get("uptime") or NONE, entry.get("idle") or NONE,
    ]  # fmt: skip


# ---- accounts


def _accounts(monitoring: Monitoring) -> list[Doc]:
    return monitoring.get("accstatz", unused=1).get("account_statz") or []


def _account(entry: Doc) -> list[object]:
    sent, received = entry.get("sent") or {}, entry.get("received") or {}
    return [
        entry.get("name") or entry.get("acc") or NONE, entry.get("conns", 0), entry.get("leafnodes", 0),
        entry.get("num_subscriptions", 0), count(sent.get("msgs", 0)), count(received.get("msgs", 0)),
        size(sent.get("bytes", 0)), size(received.get("bytes", 0)), entry.get("slow_consumers", 0),
    ]  # fmt: skip


# ---- streams


def _streams(monitoring: Monitoring) -> list[Doc]:
    """Each with the ``account`` it is in."""
    jsz = monitoring.get("jsz", accounts=1, streams=1, config=1, limit=PAGE_OF_ACCOUNTS)
    return [
        {"account": account.get("name", ""), **stream}
        for account in jsz.get("account_details") or []
        for stream in account.get("stream_detail") or []
    ]


def _stream(entry: Doc) -> list[object]:
    state, config = entry.get("state") or {}, entry.get("config") or {}
    last = unix_time(str(state.get("last_ts", ""))) if state.get("messages") else None
    return [
        entry["account"], entry.get("name", NONE), ", ".join(config.get("subjects") or []) or NONE,
        config.get("storage") or NONE, count(state.get("messages", 0)), size(state.get("bytes", 0)),
        state.get("first_seq", 0), state.get("last_seq", 0), state.get("consumer_count", 0),
        NONE if last is None else f"{duration(time.time() - last)} ago",
    ]  # fmt: skip


# ---- leafs


def _leafs(monitoring: Monitoring) -> list[Doc]:
    return monitoring.get("leafz").get("leafs") or []


def _leaf(entry: Doc) -> list[object]:
    return [
        entry.get("name") or entry.get("id") or NONE, entry.get("account") or NONE, address(entry),
        "out" if entry.get("is_spoke") else "in", entry.get("rtt") or NONE, entry.get("subscriptions", 0),
        count(entry.get("out_msgs", 0)), count(entry.get("in_msgs", 0)),
        size(entry.get("out_bytes", 0)), size(entry.get("in_bytes", 0)), entry.get("compression") or NONE,
    ]  # fmt: skip


# ---- uplinks


def _uplinks(monitoring: Monitoring) -> list[Doc] | None:
    """As ``petiole.<edge>.status`` has them, each with its ``name``.  A real nats-server has none."""
    status = monitoring.find("uplinkz")
    if status is None:
        return None
    return [{"name": name, **uplink} for name, uplink in (status.get("uplinks") or {}).items()]


def _uplink(entry: Doc) -> list[object]:
    oldest, acked = entry.get("oldest_age_s"), unix_time(str(entry.get("last_puback", "")))
    return [
        entry["name"], entry.get("state") or NONE, count(entry.get("backlog_messages", 0)),
        size(entry.get("backlog_bytes", 0)), NONE if oldest is None else duration(oldest), entry.get("in_flight", 0),
        entry.get("hub_seq", 0), NONE if acked is None else f"{duration(time.time() - acked)} ago",
        entry.get("dead", 0), entry.get("lost", 0), entry.get("reason") or NONE,
    ]  # fmt: skip


PAGE_OF_ACCOUNTS = 4096
TO_AND_FROM = (
    Column("MSGS_TO", True), Column("MSGS_FROM", True), Column("BYTES_TO", True), Column("BYTES_FROM", True)
)  # fmt: skip

SUBJECTS: dict[str, Subject] = {
    "connections": Subject(
        "Connections", _connections,
        (
            Column("CID", True), Column("NAME"), Column("KIND"), Column("HOST"), Column("ACCOUNT"), Column("USER"),
            Column("SUBS", True), Column("PENDING", True), *TO_AND_FROM,
            Column("RTT", True), Column("UPTIME", True), Column("IDLE", True),
        ),
        _connection, lambda entry: entry.get("cid", 0),
    ),
    "accounts": Subject(
        "Accounts", _accounts,
        (
            Column("ACCOUNT"), Column("CONNS", True), Column("LEAFS", True), Column("SUBS", True),
            *TO_AND_FROM, Column("SLOW", True),
        ),
        _account, lambda entry: str(entry.get("acc", "")),
    ),
    "streams": Subject(
        "Streams", _streams,
        (
            Column("ACCOUNT"), Column("STREAM"), Column("SUBJECTS"), Column("STORAGE"), Column("MESSAGES", True),
            Column("BYTES", True), Column("FIRST", True), Column("LAST", True), Column("CONSUMERS", True),
            Column("LAST MESSAGE", True),
        ),
        _stream, lambda entry: (entry["account"], str(entry.get("name", ""))),
    ),
    "leafs": Subject(
        "Leafs", _leafs,
        (
            Column("NAME"), Column("ACCOUNT"), Column("HOST"), Column("WAY"), Column("RTT", True), Column("SUBS", True),
            *TO_AND_FROM, Column("COMPRESSION"),
        ),
        _leaf, lambda entry: str(entry.get("name", "")),
    ),
    "uplinks": Subject(
        "Uplinks", _uplinks,
        (
            Column("NAME"), Column("STATE"), Column("BACKLOG", True), Column("BYTES", True), Column("OLDEST", True),
            Column("IN FLIGHT", True), Column("HUB SEQ", True), Column("LAST ACK", True), Column("DEAD", True),
            Column("LOST", True), Column("REASON"),
        ),
        _uplink, lambda entry: str(entry["name"]),
    ),
}  # fmt: skip
