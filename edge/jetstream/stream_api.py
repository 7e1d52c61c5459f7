"""Calls about streams (reference: jetstream.md section 1)."""

from edge.jetstream import errors
from edge.jetstream.api import LIST_LIMIT, NAMES_LIMIT, Answer, Api, Call, Request, cut, page
from edge.jetstream.fields import is_empty, parse_object, parse_optional
from edge.jetstream.info import Fields, listed_stream, stream_info
from edge.jetstream.stream_config import KINDS, StreamConfig, stream_config
from edge.jetstream.stream_rules import check_create
from edge.subjects import overlap

PAGE_KINDS = {"offset": "int", "subject": "string"}
INFO_KINDS = {"offset": "int", "deleted_details": "bool", "subjects_filter": "string"}
PURGE_KINDS = {"filter": "string", "seq": "uint", "keep": "uint"}
SUBJECTS_LIMIT = 100_000


class StreamApi:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.jetstream = api.jetstream
        self.clock = api.clock

    def calls(self) -> dict[str, Call]:
        return {
            "STREAM.CREATE": Call("stream_create", 1, self.create),
            "STREAM.UPDATE": Call("stream_update", 1, self.update),
            "STREAM.INFO": Call("stream_info", 1, self.info),
            "STREAM.NAMES": Call("stream_names", 0, self.names),
            "STREAM.LIST": Call("stream_list", 0, self.listing),
            "STREAM.DELETE": Call("stream_delete", 1, self.delete),
            "STREAM.PURGE": Call("stream_purge", 1, self.purge),
        }

    def create(self, request: Request) -> Answer:
        config, pedantic = _config(request)
        if config.name != request.args[0]:
            raise errors.STREAM_MISMATCH
        check_create(config)
        after = self.api.after(
            "stream_create", request, lambda: self._fields(config.name, domain="") | {"did_create": True}
        )
        self.jetstream.create_stream(config, after, pedantic=pedantic)
        return None

    def update(self, request: Request) -> Answer:
        config, pedantic = _config(request)
        after = self.api.after("stream_update", request, lambda: self._fields(config.name))
        self.jetstream.update_stream(config, request.args[0], after, pedantic)
        return None

    def _fields(self, name: str, domain: str | None = None) -> Fields:
        """``domain`` empty: nats-server does not tell it when it has created a stream."""
        stream = self.jetstream.stream(name)
        told = stream.domain if domain is None else domain
        return stream_info(stream, self._consumers(name), self.clock.wall(), told)

    def info(self, request: Request) -> Answer:
        fields = parse_optional(request.body, INFO_KINDS)
        stream = self.jetstream.stream(request.args[0])
        detail: Fields = {"leader": self.api.server_name}
        if fields.get("deleted_details"):
            detail["deleted"] = stream.deleted()
        where = page(0, 0, 0)
        counts = stream.subjects.counts(fields["subjects_filter"]) if fields.get("subjects_filter") else {}
        if counts:
            offset = max(fields.get("offset", 0), 0)
            where = page(len(counts), offset, SUBJECTS_LIMIT)
            if some := sorted(counts.items())[offset : offset + SUBJECTS_LIMIT]:
                detail["subjects"] = dict(some)
        consumers = self._consumers(stream.name)
        return where | stream_info(stream, consumers, self.clock.wall(), stream.domain, **detail)

    def names(self, request: Request) -> Answer:
        names, where = self._page(request, NAMES_LIMIT)
        return where | {"streams": names or None}

    def listing(self, request: Request) -> Answer:
        names, where = self._page(request, LIST_LIMIT)
        now, jetstream = self.clock.wall(), self.jetstream
        return where | {
            "streams": [listed_stream(jetstream.streams[name], self._consumers(name), now) for name in names]
        }

    def _consumers(self, stream: str) -> int:
        return len(self.jetstream.keeper.names(stream))

    def _page(self, request: Request, limit: int) -> tuple[list[str], Fields]:
        fields = parse_optional(request.body, PAGE_KINDS)
        pattern = fields.get("subject", "")
        names = sorted(
            stream.name
            for stream in self.jetstream.streams.values()
            if not pattern or any(overlap(pattern, subject) for subject in stream.config.subjects)
        )
        return cut(names, fields, limit)

    def delete(self, request: Request) -> Answer:
        if not is_empty(request.body):
            raise errors.NOT_EMPTY
        stream = self.jetstream.stream(request.args[0])
        self.jetstream.delete_stream(stream, self.api.after("stream_delete", request, lambda: {"success": True}))
        return None

    def purge(self, request: Request) -> Answer:
        fields = parse_optional(request.body, PURGE_KINDS)
        if fields.get("seq") and fields.get("keep"):
            raise errors.BAD_REQUEST
        stream = self.jetstream.stream(request.args[0])
        if stream.config.sealed:
            raise errors.SEALED
        if stream.config.deny_purge:
            raise errors.PURGE_NOT_PERMITTED
        purged: list[int] = []
        after = self.api.after("stream_purge", request, lambda: {"success": True, "purged": purged[0]})
        purged.append(stream.purge(fields.get("filter", ""), fields.get("seq", 0), fields.get("keep", 0), after))
        return None


def _config(request: Request) -> tuple[StreamConfig, bool]:
    """The configuration as it is given, and whether the client wants nothing set right."""
    fields = parse_object(request.body, KINDS)
    return stream_config(fields), fields.get("pedantic", False)
