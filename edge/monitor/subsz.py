"""SUBSZ: subscriptions, counted or one by one (source: nats-server's monitor.go)."""

from collections.abc import Iterable, Iterator

from edge.core.account import Account
from edge.core.client import Client
from edge.core.peer import PeerKind, Subscription
from edge.monitor.conn import Sub, held_by, sub_of
from edge.monitor.connz import subscription
from edge.monitor.requests import DocumentError
from edge.monitor.stamp import Fields
from edge.monitor.state import Page, State
from edge.subjects import matches

# What the router looks up is counted nowhere: that would be on the way of every message.
UNCOUNTED = {"num_matches": 0, "cache_hit_rate": 0}


def subsz(state: State, options: Fields) -> Fields:
    """DocumentError for a ``test`` that nobody could publish to."""
    test = options.get("test", "")
    if test and any(token in ("", "*", ">") for token in test.split(".")):
        raise DocumentError(f"invalid test subject, must be valid publish subject: {test}")
    accounts = state.chosen(options.get("account", ""))
    page = Page.of(options)
    fields = state.head() | sublist_stats(accounts)
    if not options.get("subscriptions"):
        return fields | page.fields(0)
    every = [pair for account in accounts for pair in _local(account)]
    found = [(account, sub) for account, sub in every if not test or matches(sub.subject, test)]
    fields |= page.fields(len(found))
    shown = list(_details(state, page.cut(found)))
    return fields | ({"subscriptions_list": shown} if shown else {})


def sublist_stats(accounts: Iterable[Account]) -> Fields:
    """Fan-out as far as results are kept: what has been published lately."""
    count = inserts = kept = fanout = widest = 0
    for account in accounts:
        sublist = account.sublist
        count += len(sublist)
        inserts += sublist.inserts
        for match in sublist.cache.values():
            wide = len(match.plain) + len(match.queues)
            kept += 1
            fanout += wide
            widest = max(widest, wide)
    return {
        "num_subscriptions": count,
        "num_cache": kept,
        "num_inserts": inserts,
        "num_removes": inserts - count,
        **UNCOUNTED,
        "max_fanout": widest,
        "avg_fanout": fanout / kept if fanout else 0,
    }


def _local(account: Account) -> Iterator[tuple[Account, Subscription]]:
    """Not those of hubs."""
    return ((account, sub) for sub in account.subscriptions() if sub.peer.kind is not PeerKind.LEAF)


def _details(state: State, found: Iterable[tuple[Account, Subscription]]) -> Iterator[Fields]:
    """``cid`` 0: of the server itself, or of an MQTT session whose client is away."""
    guests: dict[Account, dict[Subscription, tuple[int, Sub]]] = {}
    for account, sub in found:
        if account not in guests:
            guests[account] = _of_mqtt(account)
        cid, shown = guests[account].get(sub) or (0, sub_of(sub))
        if isinstance(sub.peer, Client):
            cid = sub.peer.cid
        yield {"account": account.name, "account_tag": state.tag(account.name), **subscription(shown, cid)}


def _of_mqtt(account: Account) -> dict[Subscription, tuple[int, Sub]]:
    """Whose a subscription is that the router sees as a session's."""
    return {
        sub: (client.shell.number, shown)
        for client in account.mqtt_clients
        for sub, shown in held_by(client)
    }
