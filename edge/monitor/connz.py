"""CONNZ: connections, those that are here and those that have ended (source: nats-server's monitor.go)."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.core.account import Account
from edge.core.auth import GLOBAL_ACCOUNT
from edge.core.times import rfc3339
from edge.monitor.conn import (
    Conn,
    Moment,
    Sub,
    conn_of_client,
    conn_of_link,
    conn_of_mqtt,
    subs_of_client,
    subs_of_link,
    subs_of_mqtt,
)
from edge.monitor.durations import round_trip, uptime
from edge.monitor.requests import DocumentError
from edge.monitor.stamp import Fields
from edge.monitor.state import Page, State
from edge.subjects import overlap

if TYPE_CHECKING:  # loaded where it is configured
    from edge.core.leaf_link import LeafLink
    from edge.net.tls import Secured

OPEN, CLOSED, ANY = 0, 1, 2  # states


class Entry(NamedTuple):
    """``subs`` are gathered when they are asked for."""

    conn: Conn
    subs: Callable[[], Iterable[Sub]]


class Sorting(NamedTuple):
    key: Callable[[Conn, int], Any]  # of a connection, at a time (wall ns)
    descending: bool = True


SORTINGS = {
    "cid": Sorting(lambda conn, now: conn.cid, False),
    "start": Sorting(lambda conn, now: conn.cid, False),
    "subs": Sorting(lambda conn, now: conn.subscriptions),
    "pending": Sorting(lambda conn, now: conn.pending),
    "msgs_to": Sorting(lambda conn, now: conn.traffic.out_msgs),
    "msgs_from": Sorting(lambda conn, now: conn.traffic.in_msgs),
    "bytes_to": Sorting(lambda conn, now: conn.traffic.out_bytes),
    "bytes_from": Sorting(lambda conn, now: conn.traffic.in_bytes),
    "last": Sorting(lambda conn, now: conn.last_ns),
    "idle": Sorting(lambda conn, now: now - conn.last_ns),
    "uptime": Sorting(lambda conn, now: (conn.stop_ns or now) - conn.start_ns, False),
    "stop": Sorting(lambda conn, now: conn.stop_ns),
    "reason": Sorting(lambda conn, now: conn.reason, False),
    "rtt": Sorting(lambda conn, now: conn.rtt_ns),
}


def connz(state: State, options: Fields) -> Fields:
    """DocumentError for options that do not go together."""
    sorting = _sorting(options)
    account, pattern = options.get("acc", ""), options.get("filter_subject", "")
    if pattern not in ("", ">") and not account:
        raise DocumentError("filter by subject only valid with account filtering")
    page, wanted = Page.of(options), options.get("state", OPEN)
    if options.get("cid"):
        page = page._replace(limit=1)
    if account and account not in state.router.accounts:
        return state.head() | {"num_connections": 0, **page.fields(0), "connections": []}
    now = state.ledger.now()
    here = list(_here(state, account, now)) if wanted in (OPEN, ANY) else []
    gone = list(_gone(state, account)) if wanted in (CLOSED, ANY) else []
    total = len(here) + len(gone)
    found = _filtered(here, gone, options, pattern)
    found.sort(key=lambda entry: sorting.key(entry.conn, now.wall), reverse=sorting.descending)
    shown = [_connection(state, entry, options, now.wall) for entry in page.cut(found)]
    return state.head() | {"num_connections": len(shown), **page.fields(total), "connections": shown}


def _sorting(options: Fields) -> Sorting:
    name = options.get("sort") or "cid"
    if name not in SORTINGS:
        raise DocumentError(f"invalid sorting option: {name}")
    if name in ("stop", "reason") and options.get("state", OPEN) != CLOSED:
        raise DocumentError(f"sort by {name} only valid on closed connections")
    return SORTINGS[name]


# ---- which


def _here(state: State, name: str, now: Moment) -> Iterator[Entry]:
    """Those who have not logged in belong to no account."""
    for connection in state.clients.connections.values():
        client = connection.client
        if not name or (client.admitted and client.account.name == name):
            yield Entry(conn_of_client(client, now), partial(subs_of_client, client))
    mqtt = state.mqtt()
    for mqtt_connection in mqtt.connections.values() if mqtt else ():
        guest = mqtt_connection.client
        if not name or (guest.sender is not None and guest.account.name == name):
            yield Entry(conn_of_mqtt(guest, now), partial(subs_of_mqtt, guest))
    for account in state.chosen(name):
        for link in account.links:
            if link.up:
                yield _link_entry(state, link, account, now)


def _link_entry(state: State, link: "LeafLink", account: Account, now: Moment) -> Entry:
    return Entry(conn_of_link(link, account, state.ledger.links[link], now), partial(subs_of_link, link))


def _gone(state: State, name: str) -> Iterator[Entry]:
    for ended in state.ledger.ended:
        if not name or ended.conn.account == name:
            yield Entry(ended.conn, partial(tuple, ended.subs))


def _filtered(here: list[Entry], gone: list[Entry], options: Fields, pattern: str) -> list[Entry]:
    """``cid`` alone decides where it is given; ``pattern`` is about those who are here."""
    cid = options.get("cid")
    if cid:
        return [entry for entry in (*here, *gone) if entry.conn.cid == cid][:1]
    if pattern not in ("", ">"):
        here = [entry for entry in here if any(overlap(sub.subject, pattern) for sub in entry.subs())]
    user, mqtt_client = options.get("user"), options.get("mqtt_client")
    return [
        entry for entry in (*here, *gone)
        if (not user or entry.conn.user == user) and (not mqtt_client or entry.conn.mqtt_client == mqtt_client)
    ]  # fmt: skip


# ---- how they are shown


def _connection(state: State, entry: Entry, options: Fields, now: int) -> Fields:
    conn = entry.conn
    fields = _beginning(conn, now)
    said = {"name": conn.name, "lang": conn.lang, "version": conn.version, "stalls": conn.stalls}
    fields |= {name: value for name, value in said.items() if value}
    if conn.secured is not None:
        fields |= _secured(conn.secured, bool(options.get("auth")))
    if options.get("auth"):
        fields |= _identity(state, conn)
    if conn.subscriptions and options.get("subscriptions_detail"):
        fields["subscriptions_list_detail"] = [_detail(state, conn, sub) for sub in entry.subs()]
    elif conn.subscriptions and options.get("subscriptions"):
        fields["subscriptions_list"] = [sub.subject for sub in entry.subs()]
    return fields | ({"mqtt_client": conn.mqtt_client} if conn.mqtt_client else {})


def _beginning(conn: Conn, now: int) -> Fields:
    end = conn.stop_ns or now
    fields: Fields = {"cid": conn.cid, "kind": conn.kind}
    if conn.type:
        fields["type"] = conn.type
    fields |= {"ip": conn.ip, "port": conn.port}
    fields |= {"start": rfc3339(conn.start_ns), "last_activity": rfc3339(conn.last_ns)}
    if conn.stop_ns:
        fields |= {"stop": rfc3339(conn.stop_ns), "reason": conn.reason}
    traffic = conn.traffic
    return fields | {
        "rtt": round_trip(conn.rtt_ns),
        "uptime": uptime(end - conn.start_ns),
        "idle": uptime(end - conn.last_ns),
        "pending_bytes": conn.pending,
        "in_msgs": traffic.in_msgs,
        "out_msgs": traffic.out_msgs,
        "in_bytes": traffic.in_bytes,
        "out_bytes": traffic.out_bytes,
        "subscriptions": conn.subscriptions,
    }


def _identity(state: State, conn: Conn) -> Fields:
    fields: Fields = {
        "authorized_user": conn.user,
        "account": conn.account if conn.account != GLOBAL_ACCOUNT else "",
        "jwt": _shown_jwt(conn.jwt),
        "issuer_key": conn.issuer_key,
        "name_tag": _tag(state, conn),
        "tags": list(conn.tags),
    }
    return {name: value for name, value in fields.items() if value}


def _tag(state: State, conn: Conn) -> str:
    """The global account's is not told of connections that have ended."""
    if conn.stop_ns and conn.account == GLOBAL_ACCOUNT:
        return ""
    return state.tag(conn.account) if conn.account else ""


def _shown_jwt(jwt: str) -> str:
    """Who has the JWT of a bearer needs nothing else to be that user."""
    if not jwt:
        return ""
    from edge.core.jwt import ClaimsError, get, payload

    try:
        return "" if get(get(payload(jwt), "nats", {}), "bearer_token", False) else jwt
    except ClaimsError:
        return jwt  # of one that was refused


def _secured(secured: "Secured", with_peer: bool) -> Fields:
    fields: Fields = {"tls_version": secured.version, "tls_cipher_suite": secured.cipher_suite}
    peer = secured.peer
    if with_peer and peer is not None:
        shown = {"subject": peer.subject, "spki_sha256": peer.public_key_sha256, "cert_sha256": peer.sha256}
        fields["tls_peer_certs"] = [shown]
    if secured.first:
        fields["tls_first"] = True
    return fields


def _detail(state: State, conn: Conn, sub: Sub) -> Fields:
    """Of those that have ended with their account, and without the end that they would have had."""
    if not conn.stop_ns:
        return subscription(sub, conn.cid)
    account: Fields = {"account": conn.account, "account_tag": state.tag(conn.account)}
    return account | subscription(sub._replace(max=0), conn.cid)


def subscription(sub: Sub, cid: int) -> Fields:
    fields: Fields = {"subject": sub.subject}
    if sub.queue:
        fields["qgroup"] = sub.queue
    fields |= {"sid": sub.sid, "msgs": sub.msgs}
    if sub.max:
        fields["max"] = sub.max
    return fields | {"cid": cid}
