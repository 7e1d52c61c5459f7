"""Documents of what this server has none of: routes, gateways, Raft groups, profiles of a Go program.

Tools that ask every server of a fleet get an answer of the shape that they read.
"""

import sys
from collections.abc import Sequence

from edge.core.times import rfc3339
from edge.monitor.stamp import Fields, Stamp

SECRETS = ("pass", "auth")  # flags
HIDDEN = "[REDACTED]"


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
    return {"cmdline": _without_secrets(sys.argv), "memstats": {"Sys": rss}}


def _without_secrets(arguments: Sequence[str]) -> list[str]:
    """nats-server shows them, on a port where nobody has to log in."""
    shown: list[str] = []
    for argument in arguments:
        name, equals, _ = argument.lstrip("-").partition("=")
        if shown and shown[-1].startswith("-") and shown[-1].lstrip("-") in SECRETS:
            shown.append(HIDDEN)
        elif argument.startswith("-") and name in SECRETS and equals:
            shown.append(f"{argument.partition('=')[0]}={HIDDEN}")
        else:
            shown.append(argument)
    return shown
