"""VARZ: the server itself, how it is configured and what it has done (source: nats-server's monitor.go)."""

import os

from edge.core.times import SECOND, rfc3339
from edge.monitor.account_statz import leafs, total_traffic
from edge.monitor.durations import uptime
from edge.monitor.process import resident_bytes
from edge.monitor.stamp import FEATURE_FLAGS, Fields
from edge.monitor.state import State

NO_WAITS = {"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0}  # of Go's threads for the disk


class Processor:
    """How much of a processor this process takes, in percent, since the last look that is a second ago or more."""

    def __init__(self, began: int) -> None:
        """``began``: monotonic ns, when the process had used nothing yet."""
        self.at = began
        self.used = 0
        self.percent = 0.0

    def read(self, monotonic: int, used: int) -> float:
        """``used``: nanoseconds of all its threads since its start."""
        past = monotonic - self.at
        if past >= SECOND:
            self.percent = round(100 * (used - self.used) / past, 1)
            self.at, self.used = monotonic, used
        return self.percent


def varz(state: State, processor: Processor, asked: dict[str, int]) -> Fields:
    """``asked``: requests over HTTP, by path."""
    identity, info = state.stamp.identity, state.clients.info
    settings = state.settings()
    return {
        "server_id": identity.id,
        "server_name": identity.name,
        "version": identity.version,
        **{name: value for name, value in info.fields(0, "").items() if name in ("proto", "go", "host", "port")},
        **{name: True for name in ("tls_required", "tls_verify") if getattr(info, name)},
        **settings.varz,
        "jetstream": _jetstream(state, settings.jetstream),
        **_moment(state, processor),
        **_counts(state),
        **_traffic(state),
        **_troubles(state),
        "http_req_stats": dict(asked),
        "feature_flags": FEATURE_FLAGS,
        "disk_io_wait_stats": NO_WAITS,
    }


def _moment(state: State, processor: Processor) -> Fields:
    now = state.ledger.now()
    cores = os.cpu_count() or 1
    times = os.times()
    return {
        "start": rfc3339(state.stamp.started_ns),
        "now": rfc3339(now.wall),
        "uptime": uptime(now.monotonic - state.ledger.began),
        "mem": resident_bytes(),
        "cores": cores,
        "gomaxprocs": cores,
        "cpu": processor.read(now.monotonic, int((times.user + times.system) * SECOND)),
    }


def _counts(state: State) -> Fields:
    mqtt, accounts = state.mqtt(), state.router.accounts.values()
    return {
        "connections": len(state.clients.connections) + (len(mqtt.connections) if mqtt else 0),
        "total_connections": state.clients.total + (mqtt.total if mqtt else 0),
        "routes": 0,
        "remotes": 0,
        "leafnodes": sum(map(leafs, accounts)),
        "subscriptions": sum(len(account.sublist) for account in accounts),
    }


def _traffic(state: State) -> Fields:
    of_clients, of_leafs = total_traffic(state.router.accounts.values())
    every = of_clients.plus(of_leafs)
    return {
        "in_msgs": every.in_msgs,
        "in_bytes": every.in_bytes,
        "in_client_msgs": of_clients.in_msgs,
        "in_client_bytes": of_clients.in_bytes,
        "out_msgs": every.out_msgs,
        "out_bytes": every.out_bytes,
        "out_client_msgs": of_clients.out_msgs,
        "out_client_bytes": of_clients.out_bytes,
    }


def _troubles(state: State) -> Fields:
    ledger = state.ledger
    return {
        "slow_consumers": ledger.slow.clients + ledger.slow.leafs,
        "stale_connections": ledger.stale.clients + ledger.stale.leafs,
        "stalled_clients": state.clients.stalls,
        "slow_consumer_stats": _tally(ledger.slow.clients, ledger.slow.leafs),
        "stale_connection_stats": _tally(ledger.stale.clients, ledger.stale.leafs),
    }


def _tally(clients: int, leafs: int) -> Fields:
    return {"clients": clients, "routes": 0, "gateways": 0, "leafs": leafs}


def _jetstream(state: State, config: Fields) -> Fields:
    jetstream = state.jetstream()
    if jetstream is None:
        return {}
    from edge.monitor.jsz import usage

    return {"config": config, "stats": usage(jetstream), "limits": {}}
