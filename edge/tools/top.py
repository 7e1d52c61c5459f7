"""``petiole-edge top``: what a server does right now, read from its monitoring, as nats-top shows it.

Samples and rates are values, and the screen is a list of lines made from them: the terminal is ``terminal.py``'s.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from edge.tools.errors import ToolError
from edge.tools.figures import count, plain, size
from edge.tools.monitoring import Doc, Monitoring
from edge.tools.table import Column, lines

SORTS = (
    "cid", "start", "subs", "pending", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "last", "idle", "uptime", "rtt"
)  # fmt: skip
LIMIT = 1024  # as many as a server shows unasked
MAX_SUBJECTS = 6  # of a connection, on its line

COLUMNS = (
    Column("HOST"), Column("CID", True), Column("NAME"), Column("SUBS", True), Column("PENDING", True),
    Column("MSGS_TO", True), Column("MSGS_FROM", True), Column("BYTES_TO", True), Column("BYTES_FROM", True),
    Column("LANG"), Column("VERSION"), Column("UPTIME", True), Column("IDLE", True),
)  # fmt: skip

HELP = (
    "q        quit                          space    look now",
    "o        sort by ... (or < and >)      n        how many connections",
    "s        their subjects                b        exact numbers",
    "?        this help",
    "",
    f"Connections are sorted by one of: {', '.join(SORTS)}.",
    "TO is what the server sent to a client, FROM what came from it.",
)


class View(NamedTuple):
    """What the viewer chose."""

    limit: int = LIMIT
    sort: str = "cid"
    subjects: bool = False
    exact: bool = False
    help: bool = False


class Sample(NamedTuple):
    at: float  # seconds, monotonic
    varz: Doc
    connz: Doc


class Rates(NamedTuple):
    """Per second."""

    in_msgs: float = 0
    in_bytes: float = 0
    out_msgs: float = 0
    out_bytes: float = 0


def take(monitoring: Monitoring, view: View) -> Sample:
    """ToolError when there is no answer."""
    varz = monitoring.get("varz")
    connz = monitoring.get("connz", limit=view.limit, sort=view.sort, subs=int(view.subjects))
    return Sample(time.monotonic(), varz, connz)


def rates(before: Sample | None, now: Sample) -> Rates:
    """Zero at first, and over a restart of the server."""
    if before is None or before.varz.get("start") != now.varz.get("start") or now.at <= before.at:
        return Rates()
    seconds = now.at - before.at
    return Rates(*(max(_number(now.varz, key) - _number(before.varz, key), 0) / seconds for key in Rates._fields))


def snapshot(sample: Sample, rate: Rates, view: View) -> list[str]:
    """The whole of it, however long and wide."""
    return [*_server(sample.varz, rate, view), "", *_connections(sample.connz, view)]


def screen(lines: list[str], note: str, width: int, height: int) -> list[str]:
    """What of the lines fits, with ``note`` at the foot."""
    shown = lines[: max(height - 1, 0)]
    foot = [""] * (height - 1 - len(shown)) + [note]
    return [line[:width] for line in [*shown, *foot]][:height]


def _server(varz: Doc, rate: Rates, view: View) -> Iterator[str]:
    bytes_, msgs = (_exact, _exact) if view.exact else (size, count)
    name, identity = plain(varz.get("server_name", "")), plain(varz.get("server_id", ""))
    version, uptime = plain(varz.get("version", "?")), plain(varz.get("uptime", "?"))
    yield f"NATS server version {version} (uptime: {uptime})" + (f" {name}" if name != identity else "")
    yield f"Server: {identity}"
    cpu, cores = _number(varz, "cpu"), int(_number(varz, "cores"))
    yield (
        f"  Load: CPU: {cpu:.1f}%{f' of {cores} cores' if cores > 1 else ''}  Memory: {bytes_(_number(varz, 'mem'))}"
        f"  Slow Consumers: {int(_number(varz, 'slow_consumers'))}"
    )
    for title, way in (("In: ", "in"), ("Out:", "out")):
        per_second: dict[str, float] = rate._asdict()
        yield (
            f"  {title}  Msgs: {msgs(_number(varz, f'{way}_msgs'))}  Bytes: {bytes_(_number(varz, f'{way}_bytes'))}"
            f"  Msgs/Sec: {per_second[f'{way}_msgs']:.1f}  Bytes/Sec: {bytes_(per_second[f'{way}_bytes'])}"
        )


def _connections(connz: Doc, view: View) -> Iterator[str]:
    found = connz.get("connections") or []
    total = int(_number(connz, "total"))
    shown = f" (showing {len(found)}, by {view.sort})" if len(found) < total else ""
    yield f"Connections: {total}{shown}"
    columns = (*COLUMNS, Column("SUBJECTS")) if view.subjects else COLUMNS
    yield from (f"  {line}" for line in lines(columns, [_connection(each, view) for each in found]))


def _connection(connection: Doc, view: View) -> list[str]:
    bytes_, msgs = (_exact, _exact) if view.exact else (size, count)

    def text(key: str) -> str:
        return str(connection.get(key) or "")

    cells = [
        address(connection), text("cid"), text("name"), text("subscriptions") or "0",
        bytes_(_number(connection, "pending_bytes")),
        msgs(_number(connection, "out_msgs")), msgs(_number(connection, "in_msgs")),
        bytes_(_number(connection, "out_bytes")), bytes_(_number(connection, "in_bytes")),
        text("lang"), text("version"), text("uptime"), text("idle"),
    ]  # fmt: skip
    if view.subjects:
        subjects = [str(subject) for subject in connection.get("subscriptions_list") or []]
        more = [f"and {len(subjects) - MAX_SUBJECTS} more"] if len(subjects) > MAX_SUBJECTS else []
        cells.append(", ".join(subjects[:MAX_SUBJECTS] + more))
    return cells


def address(connection: Doc) -> str:
    ip = str(connection.get("ip") or "?")
    return f"[{ip}]:{connection.get('port', 0)}" if ":" in ip else f"{ip}:{connection.get('port', 0)}"


def _number(fields: Doc, key: str) -> float:
    value = fields.get(key, 0)
    return value if isinstance(value, int | float) else 0


def _exact(number: float) -> str:
    return f"{number:.0f}"


# ---- what a viewer types


class Viewer:
    """``press`` takes keys by their names or characters; ``quit`` is set once it is enough."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.quit = False
        self.question = ""  # "sort by" or "connections": an answer is being typed
        self.answer = ""
        self.complaint = ""
        self.outage = ""

    def note(self) -> str:
        """The line at the foot."""
        if self.question:
            return f"{self.question}: {self.answer}_"
        return self.complaint or self.outage or f"by {self.view.sort}   q quit   o sort   s subjects   ? help"

    def press(self, key: str) -> None:
        self.complaint = ""
        if self.question:
            self._type(key)
            return
        match key:
            case "q" | "Q":
                self.quit = True
            case "o":
                self.question = f"sort by ({', '.join(SORTS)})"
            case "n":
                self.question = "connections"
            case "s":
                self.view = self.view._replace(subjects=not self.view.subjects)
            case "b":
                self.view = self.view._replace(exact=not self.view.exact)
            case "?" | "h":
                self.view = self.view._replace(help=not self.view.help)
            case "<" | "left" | ">" | "right":
                step = -1 if key in ("<", "left") else 1
                self.view = self.view._replace(sort=SORTS[(SORTS.index(self.view.sort) + step) % len(SORTS)])
            case _:
                self.view = self.view._replace(help=False)

    def _type(self, key: str) -> None:
        match key:
            case "enter":
                question, answer = self.question, self.answer.strip()
                self.question = self.answer = ""
                if answer:
                    self._answered(question, answer)
            case "escape":
                self.question = self.answer = ""
            case "backspace":
                self.answer = self.answer[:-1]
            case _ if len(key) == 1:
                self.answer += key

    def _answered(self, question: str, answer: str) -> None:
        if question == "connections":
            if answer.isdecimal() and 0 < int(answer[:9]) <= LIMIT:
                self.view = self.view._replace(limit=int(answer[:9]))
            else:
                self.complaint = f"{answer}: expected a number from 1 to {LIMIT}"
        elif answer in SORTS:
            self.view = self.view._replace(sort=answer)
        else:
            self.complaint = f"{answer}: expected one of {', '.join(SORTS)}"


# ---- once, or live


def print_once(monitoring: Monitoring, view: View, delay: float) -> None:
    """After ``delay`` seconds in which the rates are measured."""
    before = take(monitoring, view)
    time.sleep(delay)
    now = take(monitoring, view)
    print("\n".join(snapshot(now, rates(before, now), view)))


def watch(monitoring: Monitoring, view: View, delay: float) -> None:
    """Until the viewer has seen enough.  ToolError when there is no answer at first; later it is waited for."""
    from edge.tools.terminal import Terminal

    before: Sample | None = None
    now = take(monitoring, view)
    rate = Rates()
    viewer = Viewer(view)
    due = time.monotonic() + delay
    with Terminal() as terminal:
        while not viewer.quit:
            body = list(HELP) if viewer.view.help else snapshot(now, rate, viewer.view)
            terminal.draw(screen(body, viewer.note(), *terminal.size()))
            asked = viewer.view
            for key in terminal.keys(max(due - time.monotonic(), 0)):
                viewer.press(key)
                due = 0 if key == " " and not viewer.question else due
            if viewer.view[:3] != asked[:3]:
                due = 0  # another list is wanted than the one that is here
            if time.monotonic() < due:
                continue
            try:
                before, now = now, take(monitoring, viewer.view)
                rate = rates(before, now)
                viewer.outage = ""
            except ToolError as exc:
                viewer.outage = str(exc)
            due = time.monotonic() + delay
