"""The monitoring endpoints of nats-server: which document is behind a path, and which parameters it takes."""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from edge.core.go_json import dumps
from edge.monitor.query import (
    BadQuery,
    Parameter,
    boolean,
    integer,
    options_of,
    parse_query,
    state,
    subscriptions,
    text,
    unsigned,
)
from edge.monitor.requests import Document, DocumentError
from edge.monitor.stamp import Fields
from edge.protocol.http import Request, Response

log = logging.getLogger("edge")

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
OPEN = (("Access-Control-Allow-Origin", "*"),)  # any page may read what a document says, as of nats-server
MAX_INDENTED = 64 << 10  # Python indents in Python: what is longer holds everybody up, and nobody reads it


class Endpoint(NamedTuple):
    """``document``: the key of ``ServerDocuments.by_path``."""

    document: str
    parameters: tuple[Parameter, ...] = ()


ENDPOINTS: dict[str, Endpoint] = {
    "/varz": Endpoint("varz"),
    "/connz": Endpoint(
        "connz",
        (
            boolean("auth"), subscriptions(), integer("offset"), integer("limit"), unsigned("cid"), state(),
            text("sort"), text("user"), text("acc"), text("mqtt_client"),
        ),
    ),
    "/routez": Endpoint("routez", (subscriptions(),)),
    "/gatewayz": Endpoint(
        "gatewayz",
        (subscriptions(), boolean("accs", "accounts"), text("gw_name", "name"), text("acc_name", "account_name")),
    ),
    "/leafz": Endpoint("leafz", (boolean("subs", "subscriptions"), text("acc", "account"))),
    "/subsz": Endpoint(
        "subsz",
        (
            boolean("subs", "subscriptions"), integer("offset"), integer("limit"),
            text("test"), text("acc", "account"),
        ),
    ),
    "/accountz": Endpoint("accountz", (text("acc", "account"),)),
    "/accstatz": Endpoint("accstatz", (boolean("unused", "include_unused"),)),
    "/jsz": Endpoint(
        "jsz",
        (
            boolean("accounts"), boolean("streams"), boolean("consumers", "consumer"),
            boolean("direct-consumers", "direct_consumer"), boolean("config"), integer("offset"), integer("limit"),
            boolean("leader-only", "leader_only"), boolean("raft"),
            boolean("stream-leader-only", "stream_leader_only"), text("acc", "account"),
        ),
    ),
    "/healthz": Endpoint(
        "healthz",
        (
            boolean("js-enabled"), boolean("js-enabled-only"), boolean("js-server-only"), boolean("js-meta-only"),
            boolean("details"), text("account"), text("stream"), text("consumer"),
        ),
    ),
    "/ipqueuesz": Endpoint("ipqueuesz", (boolean("all"), text("queues", "filter"))),
}  # fmt: skip
ENDPOINTS["/subscriptionsz"] = ENDPOINTS["/subsz"]
LINKS = {  # on the page, in nats-server's order
    "/varz": "General",
    "/jsz": "JetStream",
    "/connz": "Connections",
    "/accountz": "Accounts",
    "/accstatz": "Account Stats",
    "/subsz": "Subscriptions",
    "/routez": "Routes",
    "/leafz": "LeafNodes",
    "/gatewayz": "Gateways",
    "/raftz": "Raft Groups",
    "/healthz": "Health Probe",
    "/debug/vars": "Expvar",
}


class Endpoints:
    """``documents``: by name, options to fields; DocumentError.  ``asked`` counts the requests for each path."""

    def __init__(self, documents: Mapping[str, Document], asked: dict[str, int]) -> None:
        self.documents = documents
        self.asked = asked
        self.others: dict[str, Callable[[], Response]] = {
            "/raftz": lambda: Response(404, TEXT, b"No Raft nodes registered"),  # as of a server without a cluster
            "/stacksz": lambda: Response(200, JSON, stacks().encode("utf-8", "replace"), OPEN),  # nats-server says so
            "/debug/vars": self._expvars,
        }

    def find(self, path: str) -> bool:
        return path in self.others or (path in ENDPOINTS and ENDPOINTS[path].document in self.documents)

    def answer(self, path: str, request: Request) -> Response:
        """``path``: one that ``find`` knows.  Whatever the method, as of nats-server."""
        endpoint = ENDPOINTS.get(path)
        name = f"/{endpoint.document}" if endpoint else path  # /subsz has another path besides
        self.asked[name] = self.asked.get(name, 0) + 1
        if endpoint is None:
            return self.others[path]()
        try:
            options = options_of(parse_query(request.query), endpoint.parameters)
            fields = self.documents[endpoint.document](options)
        except (BadQuery, DocumentError) as exc:
            return Response(400, TEXT, str(exc).encode("utf-8", "replace"))
        return _health(fields) if path == "/healthz" else Response(200, JSON, indented(fields), OPEN)

    def _expvars(self) -> Response:
        return Response(200, "application/json; charset=utf-8", indented(self.documents["expvarz"]({})))


def _health(fields: Fields) -> Response:
    """The status is that of the answer."""
    status = int(fields.get("status_code") or 200)
    if fields.get("error"):
        log.warning("Healthcheck failed: %s", json.dumps(fields["error"], ensure_ascii=False))
    elif fields.get("errors"):
        log.warning("Healthcheck failed: %d errors", len(fields["errors"]))
    shown = {name: value for name, value in fields.items() if name != "status_code"}
    return Response(status, JSON, dumps(shown), OPEN)


def indented(fields: Mapping[str, object]) -> bytes:
    body = dumps(fields)
    return body if len(body) > MAX_INDENTED else dumps(fields, indent=2)


def stacks() -> str:
    """Where each thread is."""
    import traceback

    parts = []
    for thread, frame in sys._current_frames().items():
        parts.append(f"thread {thread}:\n" + "".join(traceback.format_stack(frame)))
    return "\n".join(parts)
