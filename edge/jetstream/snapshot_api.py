"""Calls that take a stream out and bring it back (reference: jetstream.md section 1)."""

from edge.core.client_info import client_info
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.api import Answer, Api, Call, Request
from edge.jetstream.fields import check_object, is_empty, parse_object
from edge.jetstream.info import stored, stream_state
from edge.jetstream.stream_config import stream_config
from edge.subjects import is_literal

SNAPSHOT_KINDS = {
    "deliver_subject": "string", "no_consumers": "bool", "chunk_size": "int", "window_size": "int", "jsck": "bool",
}  # fmt: skip
RESTORE_KINDS = {"config": "object", "state": "object"}
STATE_KINDS = {
    "messages": "uint", "bytes": "uint", "first_seq": "uint", "first_ts": "string", "last_seq": "uint",
    "last_ts": "string", "num_subjects": "int", "subjects": "object", "num_deleted": "int", "deleted": "ints",
    "lost": "object", "consumer_count": "int",
}  # fmt: skip
CHUNK = 128 << 10
WINDOW = 8 << 20
LEAST_CHUNK, MOST_CHUNK, MOST_WINDOW = 1 << 10, 1 << 20, 32 << 20
AT_ONCE = 8  # of an account; each holds a few megabytes


class SnapshotApi:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.jetstream = api.jetstream

    def calls(self) -> dict[str, Call]:
        return {
            "STREAM.SNAPSHOT": Call("stream_snapshot", 1, self.snapshot),
            "STREAM.RESTORE": Call("stream_restore", 1, self.restore),
        }

    def snapshot(self, request: Request) -> Answer:
        from edge.jetstream.snapshot import Asked, Snapshot

        if is_empty(request.body):
            raise errors.BAD_REQUEST
        stream = self.jetstream.stream(request.args[0])
        fields = parse_object(request.body, SNAPSHOT_KINDS)
        deliver = fields.get("deliver_subject", "")
        if not is_literal(deliver):
            raise errors.DELIVER_SUBJECT
        chunk = min(max(fields.get("chunk_size", 0) or CHUNK, LEAST_CHUNK), MOST_CHUNK)
        window = max(min(fields.get("window_size", 0) or WINDOW, MOST_WINDOW), chunk)
        asked = Asked(
            deliver, not fields.get("no_consumers"), fields.get("jsck", False), chunk, window // chunk
        )
        self._check_at_once(10064, "snapshot")
        state = stream_state(stream, len(self.jetstream.keeper.names(stream.name)), {})
        snapshot = Snapshot(self.jetstream, stream, asked, state, client_info(request.origin, self.api.server_name))
        self.jetstream.transfers.add(snapshot)
        self.jetstream.later(snapshot.begin)
        return {"config": stored(stream.config.fields(), stream.config.level), "state": state}

    def restore(self, request: Request) -> Answer:
        from edge.jetstream.restore import Restore

        if is_empty(request.body):
            raise errors.BAD_REQUEST
        fields = parse_object(request.body, RESTORE_KINDS)
        config = stream_config(fields.get("config", {}))
        check_object(fields.get("state", {}), STATE_KINDS)
        name = request.args[0]
        config = config._replace(name=config.name or name)
        if config.name != name:
            raise errors.STREAM_MISMATCH
        if "/" in name or "\\" in name:
            raise errors.NAME_SEPARATORS
        config = self.jetstream.check_new(config)
        if name in self.jetstream.streams:
            raise errors.RESTORE_NAME
        self._check_at_once(10062, "restore")
        restore = Restore(self.jetstream, config, client_info(request.origin, self.api.server_name))
        return {"deliver_subject": restore.open()}

    def _check_at_once(self, err_code: int, what: str) -> None:
        if len(self.jetstream.transfers) >= AT_ONCE:
            raise ApiError(500, err_code, f"{what} failed: {AT_ONCE} snapshots and restores are under way already")
