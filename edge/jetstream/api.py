"""The JetStream API: ``$JS.API.<call>``, one handler for each (reference: jetstream.md section 1).

A handler answers with fields, raises ApiError, or returns None when its answer follows a commit.
"""

from collections.abc import Callable
from typing import NamedTuple

from edge.core.times import ZERO
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.account import JetStreamAccount, random_name
from edge.jetstream.consumer import Consumer
from edge.jetstream.consumer_config import check_group, consumer_config, pause_until
from edge.jetstream.direct import KINDS as GET_KINDS
from edge.jetstream.direct import BadQuery, DirectGet, find
from edge.jetstream.fields import parse_object
from edge.jetstream.info import (
    API_LEVEL,
    Fields,
    consumer_info,
    error_response,
    listed_consumer,
    listed_stream,
    message_fields,
    response,
    stream_info,
)
from edge.jetstream.messages import After
from edge.jetstream.stream import Stream
from edge.jetstream.stream_config import KINDS as STREAM_KINDS
from edge.jetstream.stream_config import StreamConfig, stream_config
from edge.message import header_get, status_block
from edge.subjects import overlap

PAGE_KINDS = {"offset": "int", "subject": "string"}
INFO_KINDS = {"offset": "int", "deleted_details": "bool", "subjects_filter": "string"}
PURGE_KINDS = {"filter": "string", "seq": "int", "keep": "int"}
DELETE_KINDS = {"seq": "int", "no_erase": "bool"}
CREATE_KINDS = {"stream_name": "string", "config": "object", "action": "string", "pedantic": "bool"}

NAMES_LIMIT = 1024
LIST_LIMIT = 256
SUBJECTS_LIMIT = 100_000
ACTIONS = ("", "create", "update")


class Request(NamedTuple):
    subject: str
    args: list[str]  # tokens behind the call's name
    body: bytes
    reply: str


Answer = Fields | None


class Api:
    def __init__(self, jetstream: JetStreamAccount, server_name: str) -> None:
        self.jetstream = jetstream
        self.account = jetstream.account
        self.clock = jetstream.clock
        self.server_name = server_name
        self.total = self.failed = 0
        self.calls: dict[str, tuple[str, Callable[[Request], Answer]]] = {
            "INFO": ("account_info", self.account_info),
            "STREAM.CREATE": ("stream_create", self.stream_create),
            "STREAM.UPDATE": ("stream_update", self.stream_update),
            "STREAM.INFO": ("stream_info", self.stream_info),
            "STREAM.NAMES": ("stream_names", self.stream_names),
            "STREAM.LIST": ("stream_list", self.stream_list),
            "STREAM.DELETE": ("stream_delete", self.stream_delete),
            "STREAM.PURGE": ("stream_purge", self.stream_purge),
            "STREAM.MSG.GET": ("stream_msg_get", self.message_get),
            "STREAM.MSG.DELETE": ("stream_msg_delete", self.message_delete),
            "CONSUMER.CREATE": ("consumer_create", self.consumer_create),
            "CONSUMER.DURABLE.CREATE": ("consumer_create", self.durable_create),
            "CONSUMER.INFO": ("consumer_info", self.consumer_info),
            "CONSUMER.NAMES": ("consumer_names", self.consumer_names),
            "CONSUMER.LIST": ("consumer_list", self.consumer_list),
            "CONSUMER.DELETE": ("consumer_delete", self.consumer_delete),
            "CONSUMER.PAUSE": ("consumer_pause", self.consumer_pause),
            "CONSUMER.RESET": ("consumer_reset", self.consumer_reset),
            "CONSUMER.UNPIN": ("consumer_unpin", self.consumer_unpin),
        }
        self.beside_error: dict[str, Fields] = {
            "stream_info": _page_fields(0, 0, 0),
            "stream_names": _page_fields(0, 0, NAMES_LIMIT),
            "stream_list": _page_fields(0, 0, LIST_LIMIT),
            "consumer_names": _page_fields(0, 0, 0) | {"consumers": []},
            "consumer_list": _page_fields(0, 0, 0) | {"consumers": []},
            "stream_purge": {"purged": 0},
        }

    def start(self) -> None:
        """Answer in the account.  A leaf's hub asks under our domain's name."""
        self.account.subscribe("$JS.API.>", self._local, announce=False)
        if self.jetstream.domain:
            self.account.subscribe(f"$JS.{self.jetstream.domain}.API.>", self._by_domain)

    def _local(self, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        self.handle(subject, subject.removeprefix("$JS.API."), reply, headers, body)

    def _by_domain(self, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        rest = subject.split(".", 3)[3]
        if rest.startswith(("$KV.", "$OBJ.", "$O.")):
            self.account.publish(rest, body, reply=reply, headers=headers)
        else:
            self.handle(subject, rest, reply, headers, body)

    def handle(self, subject: str, call: str, reply: str, headers: bytes, body: bytes) -> None:
        """One request.  Unknown calls are not answered, as nats-server does it."""
        if call.startswith("CONSUMER.MSG.NEXT."):
            self._next(subject, call, reply, body)
            return
        if call.startswith("DIRECT.GET."):
            self._direct_get(subject, call, reply, body)
            return
        tokens = call.split(".")
        for length in (1, 2, 3):
            found = self.calls.get(".".join(tokens[:length]))
            if found is not None:
                self._answer(found[0], found[1], headers, Request(subject, tokens[length:], body, reply))
                return

    def _answer(self, kind: str, handler: Callable[[Request], Answer], headers: bytes, request: Request) -> None:
        try:
            _check_level(headers)
            fields = handler(request)
        except ApiError as error:
            self._fail(kind, request, error)
        else:
            if fields is not None:
                self._say(request, response(kind, fields))
        self.total += 1

    def _fail(self, kind: str, request: Request, error: ApiError) -> None:
        self.failed += 1
        self._say(request, error_response(kind, error, self.beside_error.get(kind, {})))

    def _say(self, request: Request, answer: bytes) -> None:
        if request.reply:
            self.account.publish(request.reply, answer)
        if self.jetstream.advisories.audits():
            self.jetstream.advisories.api_audit(request.subject, request.body, answer)

    def _after(self, kind: str, request: Request, fields: Callable[[], Fields]) -> After:
        """Answer once the commit has returned."""

        def done(error: StoreError | None) -> None:
            if error is not None:
                self.jetstream.health.failed(error)
                failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
                self._fail(kind, request, failed)
                return
            try:
                self._say(request, response(kind, fields()))
            except ApiError as gone:  # somebody deleted it again meanwhile
                self._fail(kind, request, gone)

        return done

    # ---- account

    def account_info(self, request: Request) -> Answer:
        jetstream, limits = self.jetstream, self.jetstream.limits
        info: Fields = {
            "memory": jetstream.used_bytes("memory"),
            "storage": jetstream.used_bytes("file"),
            "reserved_memory": jetstream.reserved_bytes("memory"),
            "reserved_storage": jetstream.reserved_bytes("file"),
            "streams": len(jetstream.streams),
            "consumers": sum(map(len, jetstream.consumers.values())),
            "limits": {
                "max_memory": _limit(limits.max_memory_bytes),
                "max_storage": _limit(limits.max_file_bytes),
                "max_streams": _limit(limits.max_streams),
                "max_consumers": _limit(limits.max_consumers),
                "max_ack_pending": -1,
                "memory_max_stream_bytes": -1,
                "storage_max_stream_bytes": -1,
                "max_bytes_required": False,
            },
        }
        if jetstream.domain:
            info["domain"] = jetstream.domain
        return info | {"api": {"level": API_LEVEL, "total": self.total, "errors": self.failed}}

    # ---- streams

    def stream_create(self, request: Request) -> Answer:
        config = self._stream_config(request)
        after = self._after(
            "stream_create", request, lambda: self._info(self.jetstream.stream(config.name)) | {"did_create": True}
        )
        self.jetstream.create_stream(config, after)
        return None

    def stream_update(self, request: Request) -> Answer:
        config = self._stream_config(request)
        after = self._after("stream_update", request, lambda: self._info(self.jetstream.stream(config.name)))
        self.jetstream.update_stream(config, after)
        return None

    def stream_info(self, request: Request) -> Answer:
        fields = parse_object(request.body, INFO_KINDS)
        stream = self._stream(request)
        page = _page_fields(0, 0, 0)
        detail: Fields = {"leader": self.server_name}
        if fields.get("deleted_details"):
            detail["deleted"] = stream.deleted()
        counts = stream.subjects.counts(fields["subjects_filter"]) if fields.get("subjects_filter") else {}
        if counts:
            offset = max(fields.get("offset", 0), 0)
            page = _page_fields(len(counts), offset, SUBJECTS_LIMIT)
            if some := sorted(counts.items())[offset : offset + SUBJECTS_LIMIT]:
                detail["subjects"] = dict(some)
        return page | self._info(stream, **detail)

    def stream_names(self, request: Request) -> Answer:
        names, page = self._page(request, NAMES_LIMIT)
        return page | {"streams": names or None}

    def stream_list(self, request: Request) -> Answer:
        names, page = self._page(request, LIST_LIMIT)
        now, jetstream = self.clock.wall(), self.jetstream
        return page | {
            "streams": [listed_stream(jetstream.streams[name], len(jetstream.consumers[name]), now) for name in names]
        }

    def stream_delete(self, request: Request) -> Answer:
        stream = self._stream(request)
        self.jetstream.delete_stream(stream, self._after("stream_delete", request, lambda: {"success": True}))
        return None

    def stream_purge(self, request: Request) -> Answer:
        fields = parse_object(request.body, PURGE_KINDS)
        stream = self._stream(request)
        if stream.config.deny_purge:
            raise errors.PURGE_NOT_PERMITTED
        if fields.get("seq") and fields.get("keep"):
            raise errors.BAD_REQUEST
        purged: list[int] = []
        after = self._after("stream_purge", request, lambda: {"success": True, "purged": purged[0]})
        purged.append(stream.purge(fields.get("filter", ""), fields.get("seq", 0), fields.get("keep", 0), after))
        return None

    def message_get(self, request: Request) -> Answer:
        fields = parse_object(request.body, GET_KINDS)
        stream = self._stream(request)
        if fields.get("batch") or fields.get("multi_last"):
            raise errors.BAD_REQUEST
        try:
            row = find(stream, fields)
        except BadQuery as exc:
            raise errors.BAD_REQUEST from exc
        if row is None:
            raise errors.MESSAGE_NOT_FOUND
        return {"message": message_fields(row)}

    def message_delete(self, request: Request) -> Answer:
        fields = parse_object(request.body, DELETE_KINDS)
        stream = self._stream(request)
        if stream.config.deny_delete:
            raise errors.DELETE_NOT_PERMITTED
        seq = fields.get("seq", 0)
        if not seq:
            raise errors.BAD_REQUEST
        if not stream.delete(seq, self._after("stream_msg_delete", request, lambda: {"success": True})):
            if seq > stream.last_seq:
                raise errors.STREAM_STORE_EOF
            raise errors.NOTHING_TO_DELETE if seq < stream.first_seq else errors.sequence_not_found(seq)
        return None

    # ---- consumers

    def consumer_create(self, request: Request) -> Answer:
        """``CONSUMER.CREATE.<stream>[.<name>[.<filter>]]``."""
        fields = parse_object(request.body, CREATE_KINDS)
        stream_name, *rest = request.args or [""]
        config = fields.get("config", {})
        durable = config.get("durable_name")
        if len(rest) > 1 and config.get("filter_subject", "") != ".".join(rest[1:]):
            raise errors.FILTER_MISMATCH
        if not rest and durable:
            raise errors.DURABLE_NAME_IN_EPHEMERAL
        name = rest[0] if rest else config.get("name") or random_name(8)
        if durable and durable != name:
            raise errors.DURABLE_NAME_MISMATCH
        named = bool(rest or config.get("name"))
        return self._create(request, stream_name, fields, str(name), bool(durable), named)

    def durable_create(self, request: Request) -> Answer:
        """``CONSUMER.DURABLE.CREATE.<stream>.<durable>``, as older clients ask."""
        fields = parse_object(request.body, CREATE_KINDS)
        stream_name, name = (*request.args, "", "")[:2]
        durable = fields.get("config", {}).get("durable_name")
        if not durable:
            raise errors.DURABLE_NAME_NOT_SET
        if durable != name:
            raise errors.DURABLE_NAME_MISMATCH
        return self._create(request, stream_name, fields, name, True)

    def _create(
        self, request: Request, stream_name: str, fields: Fields, name: str, durable: bool, named: bool = True
    ) -> Answer:
        if fields.get("stream_name") != stream_name:
            raise errors.STREAM_MISMATCH
        action = str(fields.get("action", ""))
        if action not in ACTIONS:
            raise errors.invalid_json(f"unknown consumer action: {action}")
        stream = self.jetstream.stream(stream_name)
        config = consumer_config(_dict(fields.get("config", {})), name, durable, named)
        after = self._after(
            "consumer_create",
            request,
            lambda: consumer_info(self.jetstream.consumer(stream_name, name), self.clock.wall()),
        )
        self.jetstream.create_consumer(stream, config, action, after)
        return None

    def consumer_info(self, request: Request) -> Answer:
        stream, name = (*request.args, "", "")[:2]
        return consumer_info(self.jetstream.consumer(stream, name), self.clock.wall())

    def consumer_names(self, request: Request) -> Answer:
        names, page = self._consumers_page(request, NAMES_LIMIT)
        return page | {"consumers": names}

    def consumer_list(self, request: Request) -> Answer:
        names, page = self._consumers_page(request, LIST_LIMIT)
        stream = request.args[0]
        return page | {
            "consumers": [listed_consumer(self.jetstream.consumer(stream, name), self.clock.wall()) for name in names]
        }

    def consumer_delete(self, request: Request) -> Answer:
        stream, name = (*request.args, "", "")[:2]
        consumer = self.jetstream.consumer(stream, name)
        self.jetstream.delete_consumer(consumer, self._after("consumer_delete", request, lambda: {"success": True}))
        return None

    def consumer_pause(self, request: Request) -> Answer:
        """Until a time; an empty request resumes."""
        fields = parse_object(request.body, {"pause_until": "string"})
        consumer = self._consumer(request)
        until = pause_until(fields)
        config = consumer.config._replace(pause_until=until)

        def paused() -> Fields:
            left = consumer.paused_ns - self.clock.wall()
            answer: Fields = {"paused": left > 0, "pause_until": until or ZERO}
            return answer | {"pause_remaining": left} if left > 0 else answer

        self.jetstream.pause_consumer(consumer, config, self._after("consumer_pause", request, paused))
        return None

    def consumer_reset(self, request: Request) -> Answer:
        fields = parse_object(request.body, {"seq": "int"})
        consumer = self._consumer(request)
        try:
            seq = consumer.reset(fields.get("seq", 0))
        except ValueError as exc:
            raise ApiError(400, 10204, f"invalid reset: {exc}") from exc
        after = self._after(
            "consumer_reset", request, lambda: consumer_info(consumer, self.clock.wall()) | {"reset_seq": seq}
        )
        consumer.save(after)
        return None

    def consumer_unpin(self, request: Request) -> Answer:
        fields = parse_object(request.body, {"group": "string"})
        group = fields.get("group", "")
        if not group:
            raise errors.invalid_json("consumer group not specified")
        check_group(group)
        consumer = self._consumer(request)
        if group not in consumer.config.priority_groups:
            raise ApiError(400, 10160, "Provided priority group does not exist for this consumer")
        consumer.way.unpin("admin")
        return {}

    def _consumer(self, request: Request) -> Consumer:
        stream, name = (*request.args, "", "")[:2]
        return self.jetstream.consumer(stream, name)

    def _next(self, subject: str, call: str, reply: str, body: bytes) -> None:
        stream, _, name = call.removeprefix("CONSUMER.MSG.NEXT.").partition(".")
        consumer = self.jetstream.consumers.get(stream, {}).get(name)
        if consumer is not None:
            consumer.request(reply, body)
        elif reply:
            self._no_responders(subject, reply)

    def _direct_get(self, subject: str, call: str, reply: str, body: bytes) -> None:
        name, _, rest = call.removeprefix("DIRECT.GET.").partition(".")
        stream = self.jetstream.streams.get(name)
        if not reply:
            return
        if stream is None or not stream.config.allow_direct:
            self._no_responders(subject, reply)
        else:
            DirectGet(self.account, stream).answer(rest, reply, body)

    def _no_responders(self, subject: str, reply: str) -> None:
        """nats-server has a subscription for each consumer, and for each stream that allows direct get: where there
        is none, its router answers so."""
        self.account.publish(reply, headers=status_block(503, items=[("Nats-Subject", subject)]))

    # ---- small things

    def _stream(self, request: Request) -> Stream:
        return self.jetstream.stream(request.args[0] if request.args else "")

    def _stream_config(self, request: Request) -> StreamConfig:
        fields = parse_object(request.body, STREAM_KINDS)
        if fields.get("name", "") != (request.args[0] if request.args else ""):
            raise errors.STREAM_MISMATCH
        return stream_config(fields)

    def _info(self, stream: Stream, **detail: object) -> Fields:
        return stream_info(stream, len(self.jetstream.consumers[stream.name]), self.clock.wall(), **detail)

    def _page(self, request: Request, limit: int) -> tuple[list[str], Fields]:
        fields = parse_object(request.body, PAGE_KINDS)
        pattern = fields.get("subject", "")
        names = sorted(
            stream.name
            for stream in self.jetstream.streams.values()
            if not pattern or any(overlap(pattern, subject) for subject in stream.config.subjects)
        )
        return _cut(names, fields, limit)

    def _consumers_page(self, request: Request, limit: int) -> tuple[list[str], Fields]:
        stream = self._stream(request)
        fields = parse_object(request.body, PAGE_KINDS)
        return _cut(sorted(self.jetstream.consumers[stream.name]), fields, limit)


def _cut(names: list[str], fields: Fields, limit: int) -> tuple[list[str], Fields]:
    asked = fields.get("offset", 0)
    offset = min(max(asked, 0), len(names)) if isinstance(asked, int) else 0
    return names[offset : offset + limit], _page_fields(len(names), offset, limit)


def _page_fields(total: int, offset: int, limit: int) -> Fields:
    return {"total": total, "offset": offset, "limit": limit}


def _check_level(headers: bytes) -> None:
    if headers and (level := header_get(headers, "Nats-Required-Api-Level")):
        if not level.isdecimal() or int(level) > API_LEVEL:
            raise errors.API_LEVEL_TOO_LOW


def _dict(value: object) -> Fields:
    assert isinstance(value, dict)
    return value


def _limit(value: int | None) -> int:
    return -1 if value is None else value
