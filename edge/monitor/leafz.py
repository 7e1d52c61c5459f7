"""LEAFZ: the links to hubs (source: nats-server's monitor.go)."""

from typing import TYPE_CHECKING

from edge.core.account import Account
from edge.monitor.conn import traffic_of
from edge.monitor.durations import round_trip
from edge.monitor.stamp import Fields
from edge.monitor.state import State

if TYPE_CHECKING:  # loaded when there is a hub
    from edge.core.leaf_link import LeafLink


def leafz(state: State, options: Fields) -> Fields:
    found = [
        _leaf(state, link, account, bool(options.get("subscriptions")))
        for account in state.chosen(options.get("account", ""))
        for link in account.links
        if link.up
    ]
    return state.head() | {"leafnodes": len(found), "leafs": found}


def _leaf(state: State, link: "LeafLink", account: Account, with_subscriptions: bool) -> Fields:
    """``is_spoke``: the other side is the hub."""
    since = state.ledger.links[link]
    traffic = traffic_of(link, since)
    fields: Fields = {
        "id": since.cid,
        "name": link.server_name,
        "is_spoke": not link.is_hub,
        **({"is_isolated": True} if link.is_isolated else {}),
        "account": account.name,
        "ip": since.ip,
        "port": since.port,
        "rtt": round_trip(link.rtt),
        "in_msgs": traffic.in_msgs,
        "out_msgs": traffic.out_msgs,
        "in_bytes": traffic.in_bytes,
        "out_bytes": traffic.out_bytes,
        "subscriptions": len(link.subs),
    }
    if with_subscriptions and link.subs:
        fields["subscriptions_list"] = [sub.subject for sub in link.subs.values()]
    return fields | ({"compression": link.compression} if link.compression else {})
