"""The JetStream API: ``$JS.API.<call>`` (reference: jetstream.md section 1).

A handler answers with fields, raises ApiError, or returns None when its answer follows a commit.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from edge.core.peer import Peer
from edge.core.times import ZERO
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.account import JetStreamAccount
from edge.jetstream.door import Door
from edge.jetstream.info import Fields, error_response, response
from edge.jetstream.levels import check_level
from edge.jetstream.limits import Limits
from edge.jetstream.messages import After
from edge.message import status_block
from edge.version import API_LEVEL

UNCOUNTED = ("stream_msg_get", "consumer_reset")  # nats-server answers these besides: no audit, no statistics
READ_FIRST = ("consumer_create", "consumer_pause")  # these look at the request before the level that it asks for
NAMES_LIMIT = 1024
LIST_LIMIT = 256
MORE = -1  # tokens behind a call's name: at least one


class Request(NamedTuple):
    subject: str
    args: list[str]  # tokens behind the call's name
    body: bytes
    reply: str
    headers: bytes
    origin: Peer | None = None  # who asks


Answer = Fields | None


class Call(NamedTuple):
    """``kind`` as in the type of the answer; ``args``: how many tokens follow the call's name."""

    kind: str
    args: int
    handler: Callable[[Request], Answer]


class Api:
    """The calls of one account, and how they are answered."""

    def __init__(self, jetstream: JetStreamAccount, server_name: str) -> None:
        from edge.jetstream.consumer_api import ConsumerApi
        from edge.jetstream.message_api import MessageApi
        from edge.jetstream.snapshot_api import SnapshotApi
        from edge.jetstream.stream_api import StreamApi

        self.jetstream = jetstream
        self.account = jetstream.account
        self.clock = jetstream.clock
        self.server_name = server_name
        self.total = self.failed = 0
        self.messages = MessageApi(self)
        self.consumers = ConsumerApi(self)
        self.calls: dict[str, Call] = {
            "INFO": Call("account_info", 0, self.account_info),
            **StreamApi(self).calls(),
            **SnapshotApi(self).calls(),
            **self.messages.calls(),
            **self.consumers.calls(),
        }

    def start(self) -> None:
        """Answer in the account.  A leaf's hub asks under our domain's name."""
        Door(self._local).open(self.account, "$JS.API.>", announce=False)
        if self.jetstream.domain:
            Door(self._by_domain).open(self.account, f"$JS.{self.jetstream.domain}.API.>")

    def _local(self, origin: Peer | None, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        self.handle(origin, subject, subject.removeprefix("$JS.API."), reply, headers, body)

    def _by_domain(self, origin: Peer | None, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        rest = subject.split(".", 3)[3]
        if rest.startswith(("$KV.", "$OBJ.", "$O.")):
            self.account.publish(rest, body, reply=reply, headers=headers)
        else:
            self.handle(origin, subject, rest, reply, headers, body)

    def handle(
        self, origin: Peer | None, subject: str, call: str, reply: str, headers: bytes, body: bytes
    ) -> None:
        """One request.  Unknown calls are not answered, as nats-server does it."""
        if call.startswith("CONSUMER.MSG.NEXT."):
            self.consumers.next(Request(subject, call.split(".")[3:], body, reply, headers))
            return
        if call.startswith("DIRECT.GET."):
            self.messages.direct_get(Request(subject, call.split(".", 3)[2:], body, reply, headers))
            return
        tokens = call.split(".")
        for length in (1, 2, 3):
            found = self.calls.get(".".join(tokens[:length]))
            args = tokens[length:]
            if found is not None and (len(args) == found.args or (found.args == MORE and args)):
                self._answer(found, Request(subject, args, body, reply, headers, origin))
                return

    def _answer(self, call: Call, request: Request) -> None:
        try:
            if call.kind not in READ_FIRST:
                check_level(request.headers)
            fields = call.handler(request)
        except ApiError as error:
            self._fail(call.kind, request, error)
        else:
            if fields is not None:
                self._answered(call.kind, request, fields)

    def _fail(self, kind: str, request: Request, error: ApiError) -> None:
        if kind == "consumer_reset":
            self.account.publish(request.reply, error_response(kind, error, BESIDE_ERROR[kind]))
            return
        self.failed += 1
        self.say_error(kind, request, error)

    def say_error(self, kind: str, request: Request, error: ApiError) -> None:
        self._say(request, error_response(kind, error, BESIDE_ERROR.get(kind, {})))

    def _answered(self, kind: str, request: Request, fields: Fields, headers: bytes = b"") -> None:
        answer = response(kind, fields)
        if kind not in UNCOUNTED:
            self._say(request, answer, headers)
        elif request.reply:
            self.account.publish(request.reply, answer, headers=headers)

    def _say(self, request: Request, answer: bytes, headers: bytes = b"") -> None:
        if request.reply:
            self.account.publish(request.reply, answer, headers=headers)
        self.total += 1
        if self.jetstream.advisories.audits():
            self.jetstream.advisories.api_audit(request.origin, request.subject, request.body, answer)

    def after(self, kind: str, request: Request, fields: Callable[[], Fields], headers: bytes = b"") -> After:
        """Answer once the commit has returned."""

        def done(error: StoreError | None) -> None:
            if error is not None:
                self.jetstream.health.failed(error)
                failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
                self._fail(kind, request, failed)
                return
            try:
                self._answered(kind, request, fields(), headers)
            except ApiError as gone:  # somebody deleted it again meanwhile
                self._fail(kind, request, gone)

        return done

    def no_responders(self, request: Request) -> None:
        """nats-server has a subscription for each consumer, and for each stream that allows direct get: where there
        is none, its router answers so."""
        if request.reply:
            self.account.publish(request.reply, headers=status_block(503, items=[("Nats-Subject", request.subject)]))

    def account_info(self, request: Request) -> Answer:
        jetstream, limits = self.jetstream, self.jetstream.limits
        used: Fields = {
            "memory": jetstream.used_bytes("memory"),
            "storage": jetstream.used_bytes("file"),
            "reserved_memory": jetstream.reserved_bytes("memory"),
            "reserved_storage": jetstream.reserved_bytes("file"),
            "streams": len(jetstream.streams),
            "consumers": sum(map(len, jetstream.consumers.values())),
        }
        info = used | {"limits": (NO_LIMITS if limits.tiers else limits).fields()}
        if jetstream.domain:
            info["domain"] = jetstream.domain
        info["api"] = {"level": API_LEVEL, "total": self.total, "errors": self.failed}
        if limits.tiers:
            unused = dict.fromkeys(used, 0)
            info["tiers"] = {
                name: (used if name == "R1" else unused) | {"limits": tier.fields()} for name, tier in limits.tiers
            }
        return info


def cut(names: list[str], fields: Fields, limit: int) -> tuple[list[str], Fields]:
    """The part of a list that was asked for, and the fields that say which one it is."""
    asked = fields.get("offset", 0)
    offset = min(max(asked, 0), len(names)) if isinstance(asked, int) else 0
    return names[offset : offset + limit], page(len(names), offset, limit)


def page(total: int, offset: int, limit: int) -> Fields:
    return {"total": total, "offset": offset, "limit": limit}


NO_LIMITS = Limits(0, 0, 0, 0, 0, 0, 0)  # those of the account itself, where it has them by tiers
BESIDE_ERROR: Mapping[str, Fields] = {
    "stream_info": page(0, 0, 0),
    "stream_names": page(0, 0, 0) | {"streams": None},
    "stream_list": page(0, 0, 0) | {"streams": []},
    "stream_purge": {"purged": 0},
    "stream_restore": {"deliver_subject": ""},
    "consumer_names": page(0, 0, 0) | {"consumers": []},
    "consumer_list": page(0, 0, 0) | {"consumers": []},
    "consumer_pause": {"paused": False, "pause_until": ZERO},
    "consumer_reset": {"reset_seq": 0},
}
