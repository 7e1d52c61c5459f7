"""What the running server says of itself: is it well, is it connected, does what it keeps leave?"""

from collections.abc import Iterator

from edge.config.options import Config
from edge.tools.doctor.finding import Finding, fail, ok, warn
from edge.tools.errors import ToolError
from edge.tools.figures import count, duration, plain
from edge.tools.monitoring import Doc, Monitoring, configured_url
from edge.tools.top import address

TIMEOUT_S = 3.0
LOG = "its log says why (journalctl -u petiole-edge)"


def check_health(config: Config) -> Iterator[Finding]:
    """Of a server that runs.  Nothing where it has no monitoring."""
    try:
        url = configured_url(config)
        if url:
            yield from _check(Monitoring(url, insecure=True, timeout=TIMEOUT_S), len(config.leafnodes.remotes))
    except ToolError as exc:
        yield fail("health", str(exc), "restart the server if it was started without http: in its configuration")


def _check(monitoring: Monitoring, remotes: int) -> Iterator[Finding]:
    health = monitoring.get("healthz")
    state = plain(health.get("error") or health.get("status") or "?")
    damage = [plain(line) for line in health.get("warnings") or []]
    if health.get("status") == "ok" and damage:
        more = f", and {len(damage) - 1} more" if len(damage) > 1 else ""
        yield warn("health", f"{damage[0]}{more}", "stop the server, and petiole-edge verify --repair")
    elif health.get("status") == "ok":
        yield ok("health", "the server says that it is well")
    else:
        yield fail("health", f"the server says: {state}", LOG)
    if remotes:
        yield from _links(monitoring, remotes)
    for name, uplink in ((monitoring.find("uplinkz") or {}).get("uplinks") or {}).items():
        yield from _uplink(plain(name), uplink)


def _links(monitoring: Monitoring, remotes: int) -> Iterator[Finding]:
    links = [each for each in monitoring.get("leafz").get("leafs") or [] if each.get("is_spoke")]
    for link in links:
        name, rtt = plain(link.get("name", "?")), plain(link.get("rtt") or "no round trip yet")
        yield ok("link", f"connected to {name}, {address(link)}, {rtt}")
    if len(links) < remotes:
        yield fail("link", f"{len(links)} of {remotes} remotes are connected", f"{LOG}: is the login right?")


def _uplink(name: str, uplink: Doc) -> Iterator[Finding]:
    waiting = uplink.get("backlog_messages", 0)
    oldest = uplink.get("oldest_age_s")
    what = f"{name} is {plain(uplink.get('state', '?'))}, {count(waiting)} messages wait"
    what += f", the oldest for {duration(oldest)}" if waiting and oldest is not None else ""
    gone = [f"{count(uplink[key])} {text}" for key, text in (("lost", "lost"), ("dead", "dead")) if uplink.get(key)]
    if uplink.get("stalled"):
        yield fail("uplink", f"{what}: nothing has gone for a minute: {plain(uplink.get('reason') or '?')}", LOG)
    elif gone:
        yield warn("uplink", f"{what}; {' and '.join(gone)}", "docs/uplink.md says what becomes of them")
    elif uplink.get("reason"):
        yield warn("uplink", f"{what}: {plain(uplink['reason'])}", "docs/uplink.md says what the hub must have")
    else:
        yield ok("uplink", what)
