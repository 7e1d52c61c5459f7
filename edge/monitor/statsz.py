"""How the server is, in few numbers, sent every ten seconds to those who listen (reference: core.md section 5)."""

from collections.abc import Mapping
from typing import Any

from edge.monitor.stamp import Fields

SAME = ("start", "mem", "cores", "cpu", "connections", "total_connections")
PRESENT = ("slow_consumer_stats", "stale_connections", "stale_connection_stats", "stalled_clients")


def statsz(varz: Mapping[str, Any], active_accounts: int) -> Fields:
    """``varz`` said shorter."""
    fields: Fields = {name: varz[name] for name in SAME}
    fields["active_accounts"] = active_accounts
    fields["subscriptions"] = varz["subscriptions"]
    fields["sent"] = _pair(varz, "out")
    fields["sent_to_clients"] = _pair(varz, "out_client")
    fields["received"] = _pair(varz, "in")
    fields["received_from_clients"] = _pair(varz, "in_client")
    fields["slow_consumers"] = varz["slow_consumers"]
    for name in PRESENT:
        value = varz.get(name)
        if any(value.values()) if isinstance(value, dict) else value:
            fields[name] = value
    fields["active_servers"] = 1
    if varz.get("jetstream"):
        jetstream = varz["jetstream"]
        config = {name: value for name, value in jetstream["config"].items() if name != "store_dir"}
        fields["jetstream"] = {**jetstream, "config": config}
    return fields | {"gomaxprocs": varz["gomaxprocs"]}


def _pair(varz: Mapping[str, Any], prefix: str) -> Fields:
    return {"msgs": varz[f"{prefix}_msgs"], "bytes": varz[f"{prefix}_bytes"]}
