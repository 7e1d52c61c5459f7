"""HEALTHZ: is this server ready, and can it keep what it is given? (source: nats-server's monitor.go)"""

from typing import TYPE_CHECKING, NamedTuple

from edge.monitor.stamp import Fields
from edge.monitor.state import State

if TYPE_CHECKING:  # loaded where there is JetStream
    from edge.jetstream.jetstream import JetStream

MOST_WARNINGS = 100
OK, BAD_REQUEST, NOT_FOUND, SERVER_ERROR, UNAVAILABLE = 200, 400, 404, 500, 503


class Trouble(NamedTuple):
    """``status``: the word for it where no details are asked for.  Names of what it is about may be empty."""

    type: str
    error: str
    status: str = "unavailable"
    code: int = UNAVAILABLE
    account: str = ""
    stream: str = ""
    consumer: str = ""

    def fields(self) -> Fields:
        names = {"account": self.account, "stream": self.stream, "consumer": self.consumer}
        return {"type": self.type, **{key: name for key, name in names.items() if name}, "error": self.error}


def healthz(state: State, options: Fields) -> Fields:
    found = _troubles(state, options)
    if not found:
        damage = warnings(state)
        return {"status": "ok", "status_code": OK} | ({"warnings": damage} if damage else {})
    first = found[0]
    if options.get("details"):
        return {"status": "error", "status_code": first.code, "errors": [trouble.fields() for trouble in found]}
    return {"status": first.status, "status_code": first.code, "error": first.error}


def warnings(state: State) -> list[str]:
    """What is lost for good while everything else is served: no start anew would help, so it is no error.  Ours."""
    jetstream = state.jetstream()
    damage = jetstream.stores.file.damage if jetstream is not None else []
    more = [f"and {len(damage) - MOST_WARNINGS} more: petiole-edge verify names them"]
    return damage if len(damage) <= MOST_WARNINGS else damage[:MOST_WARNINGS] + more


def _troubles(state: State, options: Fields) -> list[Trouble]:
    account, stream, consumer = (options.get(name, "") for name in ("account", "stream", "consumer"))
    for missing, kind in (("account", "stream"), ("stream", "consumer")):
        if not options.get(missing) and options.get(kind):
            text = f'"{missing}" must not be empty when checking {kind} health'
            return [Trouble("BAD_REQUEST", text, "error", BAD_REQUEST)]
    if state.clients.server is None:
        return [Trouble("CONNECTION", "not ready for connections", "error", SERVER_ERROR)]
    jetstream = state.jetstream()
    if options.get("js-server-only") or jetstream is None:
        return []
    if jetstream.health.error:
        return [Trouble("JETSTREAM", f"JetStream write error: {jetstream.health.error}")]
    if options.get("js-enabled-only") or options.get("js-enabled"):
        return []
    lost = _lost(jetstream, account, stream)
    return lost or _missing(jetstream, account, stream, consumer)


def _lost(jetstream: "JetStream", account: str, stream: str) -> list[Trouble]:
    """Streams that are on disk and could not be brought back."""
    return [
        Trouble("STREAM", f"JetStream stream '{owner} > {name}' could not be recovered", account=owner, stream=name)
        for owner, name in jetstream.unrecovered
        if account in ("", owner) and stream in ("", name)
    ]


def _missing(jetstream: "JetStream", account: str, stream: str, consumer: str) -> list[Trouble]:
    """What was asked for by name and is not there.  An account without streams is not known on disk."""
    if not account:
        return []
    found = jetstream.accounts.get(account)
    if found is None or not found.streams:
        text = f'JetStream account "{account}" not found'
        return [Trouble("ACCOUNT", text, code=NOT_FOUND, account=account)]
    if stream and stream not in found.streams:
        text = f'JetStream stream "{stream}" not found on account "{account}"'
        return [Trouble("STREAM", text, code=NOT_FOUND, account=account, stream=stream)]
    if consumer and consumer not in found.consumers[stream]:
        text = f'JetStream consumer "{consumer}" not found for stream "{stream}" on account "{account}"'
        return [Trouble("CONSUMER", text, code=NOT_FOUND, account=account, stream=stream, consumer=consumer)]
    return []
