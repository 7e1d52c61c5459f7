"""What an account has done so far: connections, subscriptions, traffic."""

from collections.abc import Iterable, Mapping

from edge.core.account import Account, Traffic
from edge.core.times import rfc3339
from edge.monitor.stamp import Fields, Stamp

NONE = {"msgs": 0, "bytes": 0}  # of routes and gateways: those are the hub's


def connections(account: Account) -> int:
    return clients(account) + leafs(account)


def clients(account: Account) -> int:
    return len(account.clients) + len(account.mqtt_clients)


def leafs(account: Account) -> int:
    return sum(link.up for link in account.links)


def account_stat(account: Account) -> Fields:
    of_clients, of_leafs = account.client_traffic, account.leaf_traffic
    every = of_clients.plus(of_leafs)
    return {
        "acc": account.name,
        "name": account.name,
        "conns": clients(account),
        "leafnodes": leafs(account),
        "total_conns": connections(account),
        "num_subscriptions": len(account.sublist),
        "sent": _both(every.out_msgs, every.out_bytes, of_leafs.out_msgs, of_leafs.out_bytes),
        "received": _both(every.in_msgs, every.in_bytes, of_leafs.in_msgs, of_leafs.in_bytes),
        "slow_consumers": account.slow_consumers,
    }


def account_stats(accounts: Iterable[Account], unused: bool) -> list[Fields]:
    """``unused``: those without connections as well."""
    return [account_stat(account) for account in accounts if unused or connections(account)]


def account_statz(stamp: Stamp, accounts: Mapping[str, Account], options: Fields) -> Fields:
    names = options.get("accounts") or ()
    chosen = [accounts[name] for name in names if name in accounts] if names else accounts.values()
    found = account_stats(chosen, bool(options.get("include_unused")))
    return {"server_id": stamp.identity.id, "now": rfc3339(stamp.wall()), "account_statz": found}


def total_traffic(accounts: Iterable[Account]) -> tuple[Traffic, Traffic]:
    """Of all clients, and of all leafs."""
    of_clients = of_leafs = Traffic()
    for account in accounts:
        of_clients = of_clients.plus(account.client_traffic)
        of_leafs = of_leafs.plus(account.leaf_traffic)
    return of_clients, of_leafs


def _both(msgs: int, size: int, leaf_msgs: int, leaf_size: int) -> Fields:
    return {
        "msgs": msgs,
        "bytes": size,
        "gateways": NONE,
        "routes": NONE,
        "leafs": {"msgs": leaf_msgs, "bytes": leaf_size},
    }
