"""Documents of what this server has none of: routes, gateways, Raft groups, profiles of a Go program.

Tools that ask every server of a fleet get an answer of the shape that they read.
"""

import sys

from edge.core.times import rfc3339
from edge.monitor.stamp import Fields, Stamp


def routez(stamp: Stamp) -> Fields:
    own = stamp.identity
    return {
        "server_id": own.id,
        "server_name": own.name,
        "now": rfc3339(stamp.wall()),
        "num_routes": 0,
        "routes": [],
    }


def gatewayz(stamp: Stamp) -> Fields:
    now = rfc3339(stamp.wall())
    return {"server_id": stamp.identity.id, "now": now, "outbound_gateways": {}, "inbound_gateways": {}}


def profilez(options: Fields) -> Fields:
    name = options.get("name", "")
    error = f'Profile "{name}" not found' if name else "Profile name not specified"
    return {"profile": None, "error": error}


def expvarz(rss: int) -> Fields:
    """``rss``: bytes that the process holds."""
    return {"memstats": {"Sys": rss}, "cmdline": sys.argv}
