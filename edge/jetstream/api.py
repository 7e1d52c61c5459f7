"""The JetStream API: ``$JS.API.<call>``, one handler for each (reference: jetstream.md section 1).

A handler answers with fields, raises ApiError, or returns None when its answer follows a commit.
"""

from collections.abc import Callable
from typing import NamedTuple

from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.account import JetStreamAccount, random_name
from edge.jetstream.consumer_config import consumer_config
from edge.jetstream.fields import parse_object
from edge.jetstream.info import (
    API_LEVEL,
    Fields,
    consumer_info,
    error_response,
    message_fields,
    response,
    stream_info,
)
from edge.jetstream.stream import After, Stream
from edge.jetstream.stream_config import KINDS as STREAM_KINDS
from edge.jetstream.stream_config import StreamConfig, stream_config
from edge.jetstream.times import parse_rfc3339, rfc3339
from edge.message import header_add, status_block
from edge.store.contract import Row
from edge.subjects import overlap

PAGE_KINDS = {"offset": "int", "subject": "string"}
INFO_KINDS = {"offset": "int", "deleted_details": "bool", "subjects_filter": "string"}
PURGE_KINDS = {"filter": "string", "seq": "int", "keep": "int"}
GET_KINDS = {
    "seq": "int", "last_by_subj": "string", "next_by_subj": "string", "start_time": "string", "no_hdr": "bool",
    "batch": "int", "max_bytes": "int", "multi_last": "strings", "up_to_seq": "int", "up_to_time": "string",
}  # fmt: skip
DELETE_KINDS = {"seq": "int", "no_erase": "bool"}
CREATE_KINDS = {"stream_name": "string", "config": "object", "action": "string", "pedantic": "bool"}

NAMES_LIMIT = 1024
LIST_LIMIT = 256


class Request(NamedTuple):
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
        }
        self.empty_page: dict[str, Fields] = {
            kind: {"total": 0, "offset": 0, "limit": limit}
            for kind, limit in (
                ("stream_info", 0), ("stream_names", NAMES_LIMIT), ("stream_list", LIST_LIMIT),
                ("consumer_names", NAMES_LIMIT), ("consumer_list", LIST_LIMIT),
            )
        }  # fmt: skip

    def start(self) -> None:
        """Answer in the account.  A leaf's hub asks under our domain's name."""
        self.account.subscribe("$JS.API.>", self._local, announce=False)
        if self.jetstream.domain:
            self.account.subscribe(f"$JS.{self.jetstream.domain}.API.>", self._by_domain)

    def _local(self, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        self.handle(subject.removeprefix("$JS.API."), reply, body)

    def _by_domain(self, subject: str, reply: str, headers: bytes, body: bytes) -> None:
        rest = subject.split(".", 3)[3]
        if rest.startswith(("$KV.", "$OBJ.", "$O.")):
            self.account.publish(rest, body, reply=reply, headers=headers)
        else:
            self.handle(rest, reply, body)

    def handle(self, call: str, reply: str, body: bytes) -> None:
        """One request.  Unknown calls are not answered, as nats-server does it."""
        if call.startswith("CONSUMER.MSG.NEXT."):
            self._next(call, reply, body)
            return
        if call.startswith("DIRECT.GET."):
            self._direct_get(call, reply, body)
            return
        tokens = call.split(".")
        for length in (1, 2, 3):
            found = self.calls.get(".".join(tokens[:length]))
            if found is not None:
                self._answer(found[0], found[1], Request(tokens[length:], body, reply))
                return

    def _answer(self, kind: str, handler: Callable[[Request], Answer], request: Request) -> None:
        self.total += 1
        try:
            fields = handler(request)
        except ApiError as error:
            self._fail(kind, request.reply, error)
            return
        if fields is not None and request.reply:
            self.account.publish(request.reply, response(kind, fields))

    def _fail(self, kind: str, reply: str, error: ApiError) -> None:
        self.failed += 1
        if reply:
            self.account.publish(reply, error_response(kind, error, self.empty_page.get(kind, {})))

    def _after(self, kind: str, request: Request, fields: Callable[[], Fields]) -> After:
        """Answer once the commit has returned."""

        def done(error: StoreError | None) -> None:
            if error is not None:
                failed = errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))
                self._fail(kind, request.reply, failed)
            elif request.reply:
                self.account.publish(request.reply, response(kind, fields()))

        return done

    # ---- account

    def account_info(self, request: Request) -> Answer:
        jetstream, limits = self.jetstream, self.jetstream.limits
        info: Fields = {
            "memory": jetstream.used_bytes("memory"),
            "storage": jetstream.used_bytes("file"),
            "reserved_memory": 0,
            "reserved_storage": sum(max(stream.config.max_bytes, 0) for stream in jetstream.streams.values()),
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
        page: Fields = {"total": 0, "offset": 0, "limit": 0}
        info = self._info(stream)
        if pattern := fields.get("subjects_filter"):
            counts = stream.subjects.counts(pattern)
            page = {"total": len(counts), "offset": 0, "limit": 100_000}
            info["state"] = _dict(info["state"]) | {"num_subjects": len(stream.subjects.count), "subjects": counts}
        return page | info | {"cluster": {"leader": self.server_name}}

    def stream_names(self, request: Request) -> Answer:
        names, page = self._page(request, NAMES_LIMIT)
        return page | {"streams": names}

    def stream_list(self, request: Request) -> Answer:
        names, page = self._page(request, LIST_LIMIT)
        return page | {"streams": [self._info(self.jetstream.streams[name]) for name in names]}

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
        if not fields:
            raise errors.BAD_REQUEST
        row = self._find(stream, fields)
        if row is None:
            raise errors.MESSAGE_NOT_FOUND
        return {"message": message_fields(row)}

    def message_delete(self, request: Request) -> Answer:
        fields = parse_object(request.body, DELETE_KINDS)
        stream = self._stream(request)
        if stream.config.deny_delete:
            raise errors.DELETE_NOT_PERMITTED
        seq = fields.get("seq", 0)
        if not stream.delete(seq, self._after("stream_msg_delete", request, lambda: {"success": True})):
            raise ApiError(400, 10043, f"sequence {seq} not found")
        return None

    # ---- consumers

    def consumer_create(self, request: Request) -> Answer:
        """``CONSUMER.CREATE.<stream>[.<name>[.<filter>]]``."""
        fields = parse_object(request.body, CREATE_KINDS)
        stream_name, *rest = request.args or [""]
        config = fields.get("config", {})
        name = rest[0] if rest else config.get("durable_name") or config.get("name") or random_name(8)
        if len(rest) > 1 and config.get("filter_subject", "") != ".".join(rest[1:]):
            raise errors.FILTER_MISMATCH
        if not rest and config.get("durable_name"):
            raise errors.DURABLE_NAME_NOT_IN_SUBJECT
        durable = bool(config.get("durable_name"))
        if durable and config["durable_name"] != name:
            raise errors.DURABLE_NAME_MISMATCH
        return self._create(request, stream_name, fields, str(name), durable)

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

    def _create(self, request: Request, stream_name: str, fields: Fields, name: str, durable: bool) -> Answer:
        asked = fields.get("stream_name") or stream_name
        if asked != stream_name:
            raise errors.STREAM_MISMATCH
        stream = self.jetstream.stream(stream_name)
        config = consumer_config(_dict(fields.get("config", {})), name, durable)
        after = self._after(
            "consumer_create",
            request,
            lambda: consumer_info(self.jetstream.consumer(stream_name, name), self.clock.wall()),
        )
        self.jetstream.create_consumer(stream, config, str(fields.get("action", "")), after)
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
            "consumers": [consumer_info(self.jetstream.consumer(stream, name), self.clock.wall()) for name in names]
        }

    def consumer_delete(self, request: Request) -> Answer:
        stream, name = (*request.args, "", "")[:2]
        consumer = self.jetstream.consumer(stream, name)
        self.jetstream.delete_consumer(consumer, self._after("consumer_delete", request, lambda: {"success": True}))
        return None

    def _next(self, call: str, reply: str, body: bytes) -> None:
        stream, _, name = call.removeprefix("CONSUMER.MSG.NEXT.").partition(".")
        consumer = self.jetstream.consumers.get(stream, {}).get(name)
        if consumer is not None:
            consumer.request(reply, body)
        elif reply:  # nats-server has a subscription for each consumer: without one there are no responders
            self.account.publish(reply, headers=status_block(503))

    # ---- direct get

    def _direct_get(self, call: str, reply: str, body: bytes) -> None:
        """``DIRECT.GET.<stream>[.<subject>]``: the message itself, with where it stood in its headers."""
        name, _, subject = call.removeprefix("DIRECT.GET.").partition(".")
        stream = self.jetstream.streams.get(name)
        if not reply:
            return
        if stream is None or not stream.config.allow_direct:
            self.account.publish(reply, headers=status_block(503))
            return
        try:
            fields: Fields = {"last_by_subj": subject} if subject else parse_object(body, GET_KINDS)
        except ApiError:
            self.account.publish(reply, headers=status_block(408, "Malformed Request"))
            return
        if not fields:
            self.account.publish(reply, headers=status_block(408, "Empty Request"))
            return
        if fields.get("batch") or fields.get("multi_last"):
            self.account.publish(reply, headers=status_block(408, "Bad Request"))
            return
        row = self._find(stream, fields)
        if row is None:
            self.account.publish(reply, headers=status_block(404, "Message Not Found"))
        elif fields.get("no_hdr"):
            self.account.publish(reply, row.payload)
        else:
            self.account.publish(reply, row.payload, headers=_placed(row, stream))

    def _find(self, stream: Stream, fields: Fields) -> Row | None:
        match fields:
            case {"last_by_subj": str(pattern)}:
                return stream.last_by_subject(pattern)
            case {"next_by_subj": str(pattern)}:
                seq = fields.get("seq", 0)
                return stream.next_by_subject(seq if isinstance(seq, int) else 0, pattern)
            case {"seq": int(seq)}:
                return stream.get(seq)
            case {"start_time": str(text)}:
                try:
                    seq = stream.first_at(parse_rfc3339(text))
                except ValueError as exc:
                    raise errors.BAD_REQUEST from exc
                rows = stream.scan(seq, 1)
                return rows[0] if rows else None
        return None

    # ---- small things

    def _stream(self, request: Request) -> Stream:
        return self.jetstream.stream(request.args[0] if request.args else "")

    def _stream_config(self, request: Request) -> StreamConfig:
        fields = parse_object(request.body, STREAM_KINDS)
        name = request.args[0] if request.args else ""
        if fields.setdefault("name", name) != name:
            raise errors.STREAM_MISMATCH
        return stream_config(fields)

    def _info(self, stream: Stream) -> Fields:
        return stream_info(stream, len(self.jetstream.consumers[stream.name]), self.clock.wall())

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
    offset = max(asked, 0) if isinstance(asked, int) else 0
    return names[offset : offset + limit], {"total": len(names), "offset": offset, "limit": limit}


def _dict(value: object) -> Fields:
    assert isinstance(value, dict)
    return value


def _limit(value: int | None) -> int:
    return -1 if value is None else value


def _placed(row: Row, stream: Stream) -> bytes:
    return header_add(
        row.headers,
        [
            ("Nats-Stream", stream.name),
            ("Nats-Subject", row.subject),
            ("Nats-Sequence", str(row.seq)),
            ("Nats-Time-Stamp", rfc3339(row.time_ns)),
        ],
    )
