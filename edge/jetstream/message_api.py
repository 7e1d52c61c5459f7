"""Calls about single messages (reference: jetstream.md sections 1 and 6)."""

from edge.jetstream import errors
from edge.jetstream.api import Answer, Api, Call, Request
from edge.jetstream.direct import KINDS as GET_KINDS
from edge.jetstream.direct import BadQuery, DirectGet, find
from edge.jetstream.fields import is_empty, parse_object
from edge.jetstream.info import message_fields
from edge.jetstream.levels import too_high
from edge.jetstream.stream import Stream
from edge.message import status_block

DELETE_KINDS = {"seq": "uint", "no_erase": "bool"}


class MessageApi:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.jetstream = api.jetstream

    def calls(self) -> dict[str, Call]:
        return {
            "STREAM.MSG.GET": Call("stream_msg_get", 1, self.get),
            "STREAM.MSG.DELETE": Call("stream_msg_delete", 1, self.delete),
        }

    def get(self, request: Request) -> Answer:
        if is_empty(request.body):
            raise errors.BAD_REQUEST
        fields = parse_object(request.body, GET_KINDS)
        if fields.get("batch", 0) > 0 or fields.get("max_bytes", 0) > 0:
            raise errors.BAD_REQUEST
        try:
            query = find(fields)
        except BadQuery as exc:
            raise errors.BAD_REQUEST from exc
        row = query(self.jetstream.stream(request.args[0]))
        if row is None:
            raise errors.MESSAGE_NOT_FOUND
        return {"message": message_fields(row, with_headers=not fields.get("no_hdr"))}

    def delete(self, request: Request) -> Answer:
        if is_empty(request.body):
            raise errors.BAD_REQUEST
        fields = parse_object(request.body, DELETE_KINDS)
        stream = self.jetstream.stream(request.args[0])
        if stream.config.sealed:
            raise errors.SEALED
        if stream.config.deny_delete:
            raise errors.DELETE_NOT_PERMITTED
        seq = fields.get("seq", 0)
        after = self.api.after("stream_msg_delete", request, lambda: {"success": True})
        if not stream.delete(seq, after, erase=not fields.get("no_erase")):
            if seq > stream.last_seq:
                error = errors.STREAM_STORE_EOF
            else:
                error = errors.NOTHING_TO_DELETE if seq < stream.first_seq else errors.sequence_not_found(seq)
            if stream.config.storage == "memory":
                error = errors.sequence_not_found(seq)
            self.api.say_error("stream_msg_delete", request, error)  # which nats-server does not count as one
        return None

    def direct_get(self, request: Request) -> None:
        """``DIRECT.GET.<stream>[.<subject>]``."""
        name, subject = (*request.args, "")[:2]
        if not request.reply:
            return
        stream = self._readable(name)
        if stream is None:
            self.api.no_responders(request)
        elif too_high(request.headers):
            self.api.account.publish(request.reply, headers=status_block(412, "Required Api Level"))
        else:
            DirectGet(self.api.account, stream).answer(subject, request.reply, request.body)

    def _readable(self, name: str) -> Stream | None:
        """The stream itself, or a mirror that answers in its name."""
        streams = self.jetstream.streams
        if name in streams and streams[name].config.allow_direct:
            return streams[name]
        mirrors = [stream for stream in streams.values() if stream.config.mirror_direct]
        return next((mirror for mirror in mirrors if mirror.inlet and mirror.inlet.stands_for(name)), None)
