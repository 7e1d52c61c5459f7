"""The page at ``/``: how this edge is, for a technician with a phone beside it.

One document without anything from elsewhere.  It renews itself every few seconds, says so when the server no longer
answers, and can be read without scripts.  Everything that others chose is escaped, and what it may load is nothing.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.monitor.figures import ClientFigures, Figures, LinkFigures, StoreFigures, StreamFigures
from edge.monitor.words import count, duration, size
from edge.version import VERSION

if TYPE_CHECKING:  # loaded where there is a store
    from edge.monitor.sensors import Seen

SECOND = 1_000_000_000
REFRESH_SECONDS = 5
MAX_ROWS = 100  # of a table
MAX_TROUBLES = 8
SILENT_SECONDS = 3600  # a sensor of which nothing has come for so long is pointed out
WORN = 8  # tenths of a disk's life
LITTLE_FREE = 128 << 20

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#59636e;--line:#d1d9e0;--card:#fff;--back:#f3f5f7;
--good:#1a7f37;--warn:#9a6700;--bad:#d1242f;--link:#0a58ca}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--card:#151b23;--back:#0d1117;
--good:#3fb950;--warn:#d29922;--bad:#f85149;--link:#6cb0ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:12px;max-width:60rem;background:var(--back);color:var(--ink);
font:16px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.25rem;margin:0;overflow-wrap:anywhere}
h2{font-size:.95rem;margin:0 0 6px}
p{margin:4px 0}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px;margin-top:12px}
.dim{color:var(--dim);font-size:.85rem}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.state{font-weight:600}
ul{list-style:none;margin:0;padding:0}
li{display:grid;grid-template-columns:1fr fit-content(60%);column-gap:12px;padding:5px 0;
border-top:1px solid var(--line);overflow-wrap:anywhere}
li:first-child{border-top:0}
li .how{text-align:right}
li .dim{grid-column:1/-1}
nav{display:flex;flex-wrap:wrap;gap:8px}
nav a{color:var(--link);border:1px solid var(--line);border-radius:8px;padding:8px 10px;text-decoration:none}
#gone{display:none;background:var(--bad);color:#fff;border-radius:10px;padding:10px;margin-bottom:12px}
"""

SCRIPT = """
"use strict";
setInterval(async function () {
  const gone = document.getElementById("gone");
  try {
    const answer = await fetch(location.href, {cache: "no-store", signal: AbortSignal.timeout?.(4000)});
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    gone.style.display = "none";
  } catch (error) {
    gone.style.display = "block";
  }
}, SECONDS * 1000);
""".replace("SECONDS", str(REFRESH_SECONDS))

STUCK = ("blocked", "stopped")  # states of an uplink that somebody should look at
GONE = {"lost": "lost", "dead": "dead letters"}
GOOD, WARN, BAD = "good", "warn", "bad"


# SHA-256 of the two above, in base 64 (the test says what they are): hashlib would bring OpenSSL along.
STYLE_HASH = "ot57AaOC64kvCH/JYUXCBiGHCBY6UwG1sOLYjBPnxaU="
SCRIPT_HASH = "VLkBLQt6cu+dggWWWNCudjuwknJ6LUqae8WJbguqycU="
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SCRIPT_HASH}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)


class View(NamedTuple):
    """What the page shows.  ``health``: why the server is not well, or empty.  ``links``: addresses and their names."""

    figures: Figures
    health: str
    sensors: "list[Seen]"
    clients: list[ClientFigures]
    links: Mapping[str, str]


class Fact(NamedTuple):
    """A line: what, how it is, more about it in small, and whether that is good."""

    what: str
    how: str
    more: str = ""
    mood: str = ""


def render(view: View) -> bytes:
    name = escape(view.figures.name)
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<noscript><meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\"></noscript>\n"
        f"<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        '<div id="gone" role="alert">This edge does not answer. What follows is how it was.</div>\n'
        f"<main>\n{_main(view)}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
    return text.encode("utf-8", "replace")


def _main(view: View) -> str:
    figures = view.figures
    parts = [_head(view), _section("Link to the hub", map(_link, figures.links), "no hub is configured")]
    if figures.inbound:
        parts.append(_section("Leafs", map(_link, figures.inbound), ""))
    if figures.uplinks:
        parts.append(_section("Uplinks", (_uplink(name, each) for name, each in figures.uplinks.items()), ""))
    if figures.store is not None:
        streams = (_stream(stream, figures.now_ns) for stream in figures.streams)
        parts.append(_section("Streams", streams, "none"))
        sensors = sorted(view.sensors, key=lambda seen: seen.subject)
        parts.append(_section("Sensors", (_sensor(seen, figures.now_ns) for seen in sensors), "no readings yet"))
    clients = sorted(view.clients, key=lambda client: (client.silent_ns, client.name))
    parts.append(_section("Connected", map(_client, clients), "nobody"))
    if figures.store is not None:
        parts.append(_section("Disk and wear", _disk(figures), ""))
    parts.append(_links(view.links))
    return "".join(parts)


# ---- parts


def _head(view: View) -> str:
    figures = view.figures
    up = duration((figures.now_ns - figures.started_ns) / SECOND)
    process = figures.process
    states = list(_troubles(view)) or [(GOOD, "All is well")]
    state = "".join(f'<p class="state {mood}">{escape(text)}</p>' for mood, text in states[:MAX_TROUBLES])
    facts = f"petiole-edge {VERSION}, up {up}, {size(process.resident)} memory, {_clock(figures.now_ns)}"
    return f'<section><h1>{escape(figures.name)}</h1>{state}<p class="dim">{escape(facts)}</p></section>\n'


def _troubles(view: View) -> Iterator[tuple[str, str]]:
    """What somebody should do something about, with its mood."""
    figures = view.figures
    if view.health:
        yield BAD, view.health
    down, links = sum(not link.up for link in figures.links), len(figures.links)
    if down:
        yield BAD, "No link to the hub" if down == links else f"{down} of {links} links are down"
    for name, uplink in figures.uplinks.items():
        if uplink["state"] in STUCK:
            yield BAD, f"Uplink {name} is {uplink['state']}"
        elif uplink.get("stalled"):
            yield BAD, f"Uplink {name}: nothing goes"
        if gone := [f"{count(uplink[key])} {word}" for key, word in GONE.items() if uplink[key]]:
            yield BAD, f"Uplink {name}: {', '.join(gone)}"
    store = figures.store
    if store is None:
        return
    if store.is_full:
        yield BAD, "The disk is full: messages are refused"
    elif store.disk_free < LITTLE_FREE:
        yield WARN, "The disk is nearly full"
    if store.damage:
        what = "One thing is" if store.damage == 1 else f"{count(store.damage)} things are"
        yield WARN, f"{what} damaged on the disk: petiole-edge verify says what"
    if store.wear is not None and (store.wear.used >= WORN or store.wear.spare > 1):
        yield WARN, "The disk is worn: copy the store to a new one soon"


def _section(title: str, facts: Iterable[Fact], nothing: str) -> str:
    rows = list(facts)
    shown = "".join(map(_fact, rows[:MAX_ROWS])) or f'<li><span class="dim">{escape(nothing)}</span></li>'
    more = f'<li><span class="dim">and {len(rows) - MAX_ROWS} more</span></li>' if len(rows) > MAX_ROWS else ""
    return f'<section><h2>{escape(title)}</h2><ul>{shown}{more}</ul></section>\n'


def _fact(fact: Fact) -> str:
    more = f'<span class="dim">{escape(fact.more)}</span>' if fact.more else ""
    how = f'<span class="how {fact.mood}">{escape(fact.how)}</span>'
    return f"<li><span>{escape(fact.what)}</span>{how}{more}</li>"


def _link(link: LinkFigures) -> Fact:
    name = link.hub or link.remote or "hub"
    if link.up:
        rtt = f"{link.rtt_ns / 1e6:.1f} ms" if link.rtt_ns else "no round trip yet"
        return Fact(name, "connected", f"{link.remote}, {rtt}, account {link.account}", GOOD)
    why = ": ".join(part for part in (link.remote, link.error) if part)
    return Fact(name, link.state, why, BAD)


def _uplink(name: str, uplink: Mapping[str, Any]) -> Fact:
    waiting, oldest = uplink["backlog_messages"], uplink["oldest_age_s"]
    how = f"{uplink['state']}, {count(waiting)} waiting" if waiting else str(uplink["state"])
    more: list[str] = []
    if waiting and oldest is not None:
        more.append(f"{size(uplink['backlog_bytes'])}, the oldest for {duration(oldest)}")
    if uplink["reason"]:
        more.append(str(uplink["reason"]))
    more += [f"{count(uplink[key])} {word}" for key, word in GONE.items() if uplink[key]]
    bad = uplink["state"] in STUCK or uplink.get("stalled") or any(uplink[key] for key in GONE)
    mood = BAD if bad else GOOD if uplink["state"] == "live" else WARN
    return Fact(name, how, ", ".join(more), mood)


def _stream(stream: StreamFigures, now_ns: int) -> Fact:
    last = f"last {_ago(now_ns - stream.last_ns)}" if stream.last_seq and stream.last_ns else "empty so far"
    account = f", account {stream.account}" if stream.account != "$G" else ""
    return Fact(stream.name, f"{count(stream.messages)} messages", f"{size(stream.bytes)}, {last}{account}")


def _sensor(seen: "Seen", now_ns: int) -> Fact:
    silent = now_ns - seen.time_ns
    mood = WARN if silent > SILENT_SECONDS * SECOND else ""
    return Fact(seen.subject, _ago(silent), f"account {seen.account}" if seen.account != "$G" else "", mood)


def _client(client: ClientFigures) -> Fact:
    traffic = f"{count(client.in_msgs)} in, {count(client.out_msgs)} out"
    more = f"{client.kind} from {client.host}, {traffic}"
    return Fact(client.name or "(without a name)", f"heard {_ago(client.silent_ns)}", more)


def _disk(figures: Figures) -> Iterator[Fact]:
    store = figures.store
    assert store is not None
    little = store.is_full or store.disk_free < LITTLE_FREE
    yield Fact("Free", f"{size(store.disk_free)} of {size(store.disk_size)}", store.folder, BAD if little else "")
    files = ", ".join(f"{name} {size(bytes)}" for name, bytes in store.files.items())
    yield Fact("Store", size(sum(store.files.values())), files)
    written = figures.process.written
    commits = f"{count(store.commits)} commits"
    yield Fact("Written since the start", "unknown" if written is None else size(written), commits)
    yield from _wear(store)


def _wear(store: StoreFigures) -> Iterator[Fact]:
    wear = store.wear
    if wear is None:
        return
    name = f"{wear.disk} {wear.name}".strip()
    written = "" if wear.written is None else f"{size(wear.written)} written since the machine started"
    if wear.used > 10:
        yield Fact(name, "past its life", written, BAD)
    elif wear.used:
        yield Fact(name, f"up to {wear.used}0 % worn", written, WARN if wear.used >= WORN or wear.spare > 1 else GOOD)
    else:
        yield Fact(name, "wear unknown", written)


def _links(links: Mapping[str, str]) -> str:
    shown = "".join(f'<a href="{escape(address)}">{escape(name)}</a>' for address, name in links.items())
    return f"<section><h2>For programs</h2><nav>{shown}</nav></section>\n"


# ---- words


def _ago(ns: int) -> str:
    return "just now" if ns < SECOND else f"{duration(ns / SECOND)} ago"


def _clock(now_ns: int) -> str:
    """A Pi without a battery may be years behind: show what it believes."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_ns // SECOND))
