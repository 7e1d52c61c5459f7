"""The answers to what the server is asked over its own subjects (``desk.py``; reference: core.md section 5)."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from edge.core.account import Account
from edge.core.client import Client
from edge.core.go_json import dumps
from edge.core.peer import PeerKind
from edge.core.router import Router
from edge.errors import PetioleError
from edge.message import header_block, header_get
from edge.monitor.account_statz import account_statz, connections
from edge.monitor.bodies import KINDS, BadBody, concerns, parse_body
from edge.monitor.desk import Call, Request
from edge.monitor.events import Events
from edge.monitor.stamp import Fields, Stamp
from edge.monitor.user_info import user_info
from edge.subjects import is_literal, subset

log = logging.getLogger("edge")

BAD_REQUEST, SERVER_ERROR = 400, 500

Document = Callable[[Fields], Fields]
Handler = Callable[[Request], None]


class DocumentError(PetioleError):
    """A document that cannot be had; ``str(exc)`` is what the one who asks is told."""


class Unanswered(DocumentError):
    """The request was not for this server."""


class Documents(Protocol):
    """``/varz`` and its like: options (named as in the bodies of requests) to fields.  DocumentError."""

    def server(self, name: str) -> Document | None:
        """By the last token of the request: VARZ, CONNZ, ...; None for what this server does not have."""

    def account(self, name: str) -> Document | None:
        """Of one account, which is in ``options["account"]``: CONNZ, LEAFZ, SUBSZ, JSZ, INFO."""


class Control(Protocol):
    """The buttons."""

    def kick(self, cid: int) -> bool:
        """End this connection; False when there is none."""

    def lame_duck(self, cid: int) -> str:
        """Tell this client to go elsewhere; why not, or empty."""

    def reload(self) -> None:
        """Read the configuration again.  PetioleError when it is wrong or cannot be had without a restart."""


class Requests:
    def __init__(
        self, system: Account, router: Router, stamp: Stamp, events: Events, documents: Documents, control: Control
    ) -> None:
        self.system = system
        self.router = router
        self.stamp = stamp
        self.events = events
        self.documents = documents
        self.control = control
        self.handlers: dict[Call, Handler] = {
            Call("server", "IDZ"): self._idz,
            Call("server", "STATSZ"): self._statsz,
            Call("server", "STATZ"): self._accounts_statz,
            Call("server", "KICK"): self._kick,
            Call("server", "LDM"): self._lame_duck,
            Call("server", "RELOAD"): self._reload,
            Call("account", "STATZ"): lambda request: self._account_statz(_account_of(request), request),
            Call("account", "CONNS"): self._conns,
            Call("account", "USER"): self._nobodys_info,
            Call("own", "STATZ"): lambda request: self._account_statz(request.account.name, request),
            Call("own", "USER"): self._user_info,
            Call("own", "SUBSCRIBERS"): self._subscribers,
        }

    def answer(self, call: Call, request: Request) -> None:
        handler = self.handlers.get(call)
        if handler is not None:
            handler(request)
        elif call.scope == "server":
            self._answer(request, call.name, lambda options: _made(self.documents.server(call.name), options))
        else:
            name = request.account.name if call.scope == "own" else _account_of(request)
            document = self.documents.account(call.name)
            self._answer(request, call.name, lambda options: _made(document, {**options, "account": name}))

    # ---- the server

    def _statsz(self, request: Request) -> None:
        """Without a reply subject: to everybody who listens for it."""
        try:
            fields = parse_body(request.body, KINDS["STATSZ"])
        except BadBody as exc:
            if request.reply:
                self._say(request, {"server": self.stamp.server(), "error": _error(BAD_REQUEST, exc)})
            return
        if not concerns(self.stamp.identity, fields):
            return
        if request.reply:
            self._say(request, {"server": self.stamp.server(), "statsz": self.events.statsz()})
        else:
            self.events.send_statsz()

    def _idz(self, request: Request) -> None:
        own = self.stamp.identity
        if request.reply:
            self._say(request, {"name": own.name, "host": own.host, "id": own.id})

    # ---- accounts

    def _accounts_statz(self, request: Request) -> None:
        self._answer(request, "STATZ", lambda options: self._statz(options.get("accounts", ()), options))

    def _account_statz(self, account: str, request: Request) -> None:
        if account != "PING":  # which the other subscription takes
            self._answer(request, "STATZ", lambda options: self._statz((account,), options))

    def _statz(self, names: tuple[str, ...] | list[str], options: Fields) -> Fields | None:
        fields = account_statz(self.stamp, self.router.accounts, {**options, "accounts": names})
        return fields if fields["account_statz"] or options.get("include_unused") else None

    def _conns(self, request: Request) -> None:
        """For servers that count together: no envelope, and no answer where there is nothing to count."""
        account = self.router.accounts.get(_account_of(request))
        if account is not None and connections(account) and request.reply:
            self._say(request, self.events.conns(account))

    # ---- whoever asks

    def _user_info(self, request: Request) -> None:
        if request.reply:
            data = user_info(request.origin, request.account, self.stamp.wall())
            self._say(request, {"server": self.stamp.server(), "data": data})

    def _nobodys_info(self, request: Request) -> None:
        """Under the name that other accounts' requests have here: who asks directly is nobody's user."""
        if request.reply:
            self._say(request, {"server": self.stamp.server(), "data": {"user": "", "account": ""}})

    def _subscribers(self, request: Request) -> None:
        """``<subject> [queue]``: how many clients of the asking account want it; a bare number."""
        subject, _, queue = request.body.decode("utf-8", "replace").strip().partition(" ")
        account = request.origin.account if isinstance(request.origin, Client) else self.system
        if not request.reply or not subject:
            return
        if is_literal(subject):
            match = account.sublist.match(subject)
            found = [*match.plain, *(member for group in match.queues for member in group)]
        else:
            found = [sub for sub in account.subscriptions() if subset(sub.subject, subject)]
        count = sum(sub.peer.kind is PeerKind.CLIENT and (not queue or sub.queue == queue) for sub in found)
        request.account.publish(request.reply, str(count).encode())

    # ---- buttons

    def _kick(self, request: Request) -> None:
        def kick(cid: int) -> None:
            if not self.control.kick(cid):
                raise DocumentError("no such client or leafnode id")

        self._press(request, kick)

    def _lame_duck(self, request: Request) -> None:
        def tell(cid: int) -> None:
            if refusal := self.control.lame_duck(cid):
                raise DocumentError(refusal)

        self._press(request, tell)

    def _press(self, request: Request, button: Callable[[int], None]) -> None:
        """A body that is none is not answered, as nats-server does it."""
        try:
            cid = parse_body(request.body, KINDS["CID"]).get("cid", 0) if request.body else None
        except BadBody as exc:
            log.error("%s: %s", request.subject, exc)
            return
        if cid is not None:
            self._do(request, lambda: button(cid))

    def _reload(self, request: Request) -> None:
        self._do(request, self.control.reload)

    def _do(self, request: Request, action: Callable[[], None]) -> None:
        if not request.reply:
            return
        try:
            if not concerns(self.stamp.identity, parse_body(request.body, KINDS["FILTER"])):
                return
            action()
        except BadBody as exc:
            self._say(request, {"server": self.stamp.server(), "error": _error(BAD_REQUEST, exc)})
        except PetioleError as exc:
            self._say(request, {"server": self.stamp.server(), "error": _error(SERVER_ERROR, exc)})
        else:
            self._say(request, {"server": self.stamp.server()})

    # ---- answers

    def _answer(self, request: Request, kind: str, make: Callable[[Fields], Fields | None]) -> None:
        """In the envelope; ``make`` returns None where nothing is to be said."""
        if not request.reply:
            return
        try:
            fields = parse_body(request.body, KINDS[kind])
            if not concerns(self.stamp.identity, fields):
                return
            data = make({name: item for name, item in fields.items() if name in KINDS[kind].options})
        except BadBody as exc:
            self._say(request, {"server": self.stamp.server(), "error": _error(BAD_REQUEST, exc)})
        except Unanswered:
            return
        except DocumentError as exc:
            self._say(request, {"server": self.stamp.server(), "data": None, "error": _error(SERVER_ERROR, exc)})
        else:
            if data is not None:
                self._say(request, {"server": self.stamp.server(), "data": data})

    def _say(self, request: Request, fields: Mapping[str, object]) -> None:
        payload = dumps(fields)
        headers = b""
        if request.headers and (wanted := header_get(request.headers, "Accept-Encoding")):
            headers, payload = _encoded(wanted.lower(), payload)
        request.account.publish(request.reply, payload, headers=headers)


def _made(document: Document | None, options: Fields) -> Fields:
    if document is None:
        raise DocumentError("this server has no such document")
    return document(options)


def _error(code: int, exc: Exception) -> Fields:
    return {"code": code, "description": str(exc)}


def _account_of(request: Request) -> str:
    return request.subject.split(".")[3]


def _encoded(wanted: str, payload: bytes) -> tuple[bytes, bytes]:
    """Headers and payload.  Snappy and s2 are not in the standard library: those who ask take it plain as well."""
    if "gzip" in wanted:
        import gzip

        return header_block([("Content-Encoding", "gzip")]), gzip.compress(payload)
    if "snappy" in wanted or "s2" in wanted:
        return b"", payload
    return header_block([("Content-Encoding", "identity")]), payload
