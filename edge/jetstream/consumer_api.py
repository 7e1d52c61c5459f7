"""Calls about consumers (reference: jetstream.md sections 1 and 4)."""

import logging
from typing import Any

from edge.core.times import ZERO
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.account import random_name
from edge.jetstream.api import LIST_LIMIT, MORE, NAMES_LIMIT, Answer, Api, Call, Request, cut
from edge.jetstream.consumer import Consumer
from edge.jetstream.consumer_config import ConsumerConfig, consumer_config, pause_until
from edge.jetstream.consumer_rules import check_group
from edge.jetstream.fields import is_empty, parse_object, parse_optional
from edge.jetstream.info import Fields, consumer_info, listed_consumer
from edge.jetstream.levels import check_level, too_high
from edge.jetstream.stream import Stream
from edge.message import header_block, header_get, status_block

log = logging.getLogger("edge")

CREATE_KINDS = {"stream_name": "string", "config": "object", "action": "string", "pedantic": "bool"}
ACTIONS = ("", "create", "update")


class ConsumerApi:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.jetstream = api.jetstream
        self.keeper = api.jetstream.keeper
        self.clock = api.clock

    def calls(self) -> dict[str, Call]:
        return {
            "CONSUMER.CREATE": Call("consumer_create", MORE, self.create),
            "CONSUMER.DURABLE.CREATE": Call("consumer_create", 2, self.create_durable),
            "CONSUMER.INFO": Call("consumer_info", 2, self.info),
            "CONSUMER.NAMES": Call("consumer_names", 1, self.names),
            "CONSUMER.LIST": Call("consumer_list", 1, self.listing),
            "CONSUMER.DELETE": Call("consumer_delete", 2, self.delete),
            "CONSUMER.PAUSE": Call("consumer_pause", 2, self.pause),
            "CONSUMER.RESET": Call("consumer_reset", 2, self.reset),
            "CONSUMER.UNPIN": Call("consumer_unpin", 2, self.unpin),
        }

    # ---- making

    def create(self, request: Request) -> Answer:
        """``CONSUMER.CREATE.<stream>[.<name>[.<filter>]]``."""
        fields = _read(request)
        stream, *rest = request.args
        given: dict[str, Any] = fields.get("config", {})
        durable = given.get("durable_name", "")
        name = rest[0] if rest else given.get("name") or ""
        config = consumer_config(given, str(name), durable, named=True)
        check_level(request.headers)
        _check_names(fields, stream, config.name)
        if rest and durable and durable != name:
            raise errors.DURABLE_NAME_MISMATCH
        if not rest and durable:
            raise errors.DURABLE_NAME_IN_EPHEMERAL
        pattern = ".".join(rest[1:])
        if pattern and config.filter_subjects:
            raise errors.refused(10137, "consumer with multiple subject filters cannot use subject based API")
        if pattern and config.filter_subject != pattern:
            raise errors.FILTER_MISMATCH
        return self._create(request, stream, fields, config)

    def create_durable(self, request: Request) -> Answer:
        """``CONSUMER.DURABLE.CREATE.<stream>.<durable>``, as older clients ask."""
        fields = _read(request)
        stream, name = request.args
        given: dict[str, Any] = fields.get("config", {})
        config = consumer_config(given, name, given.get("durable_name", ""))
        check_level(request.headers)
        _check_names(fields, stream, name)
        if not config.durable:
            raise errors.DURABLE_NAME_NOT_SET
        if config.durable != name:
            raise errors.DURABLE_NAME_MISMATCH
        return self._create(request, stream, fields, config)

    def _create(self, request: Request, stream_name: str, fields: Fields, config: ConsumerConfig) -> Answer:
        if config.num_replicas > 1:
            raise errors.STREAM_REPLICAS
        stream = self.jetstream.stream(stream_name)
        headers = b""
        if config.direct or config.sourcing:
            headers = self._identify(stream, request)
            _refuse_to_lose(stream, config)
            config = _for_source(stream, config)
        known = self.jetstream.consumers[stream_name].get(config.name)
        if known is not None:
            config = _as_known(config, known.config)
        if not config.name:
            config = config._replace(name=random_name(8), named=False)
        found: list[Fields] = []  # as it was before anything was delivered
        after = self.api.after("consumer_create", request, lambda: found[0], headers)
        action, pedantic = str(fields.get("action", "")), bool(fields.get("pedantic"))
        consumer = self.keeper.create(stream, config, action, after, pedantic)
        found.append(consumer_info(consumer, self.clock.wall()))
        return None

    def _identify(self, stream: Stream, request: Request) -> bytes:
        """Headers that tell which stream this is: one that was deleted and made again is another one."""
        identity = stream.identity
        expected = header_get(request.headers, "Nats-Stream-Identity") if request.headers else None
        if expected and expected != identity:
            raise errors.refused(10225, f"consumer's stream identity does not match: {identity}")
        return header_block([("Nats-Stream-Identity", identity)])

    # ---- telling

    def info(self, request: Request) -> Answer:
        return consumer_info(self._consumer(request), self.clock.wall())

    def names(self, request: Request) -> Answer:
        names, where = self._page(request, NAMES_LIMIT)
        return where | {"consumers": names}

    def listing(self, request: Request) -> Answer:
        names, where = self._page(request, LIST_LIMIT)
        stream, now = request.args[0], self.clock.wall()
        return where | {"consumers": [listed_consumer(self.jetstream.consumer(stream, name), now) for name in names]}

    def _page(self, request: Request, limit: int) -> tuple[list[str], Fields]:
        fields = parse_optional(request.body, {"offset": "int"})
        stream = self.jetstream.stream(request.args[0])
        return cut(self.keeper.names(stream.name), fields, limit)

    def _consumer(self, request: Request) -> Consumer:
        stream, name = request.args
        return self.jetstream.consumer(stream, name)

    # ---- changing

    def delete(self, request: Request) -> Answer:
        if not is_empty(request.body):
            raise errors.NOT_EMPTY
        consumer = self._consumer(request)
        self.keeper.delete(consumer, self.api.after("consumer_delete", request, lambda: {"success": True}))
        return None

    def pause(self, request: Request) -> Answer:
        """Until a time; an empty request resumes."""
        until = pause_until(parse_optional(request.body, {"pause_until": "string"}))
        check_level(request.headers)
        consumer = self._consumer(request)

        def paused() -> Fields:
            left = consumer.paused_ns - self.clock.wall()
            answer: Fields = {"paused": left > 0, "pause_until": until or ZERO}
            return answer | {"pause_remaining": left} if left > 0 else answer

        self.keeper.pause(consumer, until, self.api.after("consumer_pause", request, paused))
        return None

    def reset(self, request: Request) -> Answer:
        """A consumer listens for this itself: where there is none, there is no answer."""
        stream, name = request.args
        consumer = self.jetstream.consumers.get(stream, {}).get(name)
        if consumer is None or not request.reply:
            return None
        fields = parse_object(request.body, {"seq": "uint"}, strict=False)
        try:
            seq = consumer.reset(fields.get("seq", 0))
        except ValueError as exc:
            raise ApiError(400, 10204, f"invalid reset: {exc}") from exc
        after = self.api.after(
            "consumer_reset", request, lambda: consumer_info(consumer, self.clock.wall()) | {"reset_seq": seq}
        )
        consumer.save(after)
        return None

    def unpin(self, request: Request) -> Answer:
        fields = parse_object(request.body or b"x", {"group": "string"}, strict=False)
        group = fields.get("group", "")
        if not group:
            raise errors.invalid_json("consumer group not specified")
        check_group(group)
        consumer = self._consumer(request)
        if group not in consumer.config.priority_groups:
            raise errors.refused(10160, "Provided priority group does not exist for this consumer")
        consumer.way.unpin("admin")
        return {}

    # ---- messages

    def next(self, request: Request) -> None:
        """``CONSUMER.MSG.NEXT.<stream>.<consumer>``: answered by the consumer itself."""
        stream, name = (*request.args, "", "")[:2]
        consumer = self.jetstream.consumers.get(stream, {}).get(name)
        if consumer is None or len(request.args) > 2:
            self.api.no_responders(request)
        elif too_high(request.headers):
            consumer.say(request.reply, status_block(412, "Required Api Level"))
        else:
            consumer.request(request.reply, request.body)


def _for_source(stream: Stream, config: ConsumerConfig) -> ConsumerConfig:
    """What sources and mirrors ask for under a name that stays the same.  Of a stream that drops what was delivered it
    becomes a consumer that acknowledges, and is there when they come back."""
    if not (config.direct and config.sourcing and config.name):
        return config
    if stream.config.retention == "limits":
        return config._replace(name=f"{config.name}-{random_name(8)}")
    return config._replace(
        direct=False, durable=config.name, ack_policy="flow_control", ack_wait_ns=0, max_deliver=0, inactive_ns=0
    )


def _refuse_to_lose(stream: Stream, config: ConsumerConfig) -> None:
    """A hub before 2.14 takes a source without ever acknowledging: what is delivered counts as handled, so a stream
    that drops what is handled would lose all that is on its way when the link goes (reference: peers.md)."""
    if stream.config.retention == "limits" or config.sourcing or config.ack_policy != "none":
        return
    log.warning(
        "stream %s: not given to a hub that sources it without acknowledging, which is one before 2.14: its retention "
        "is %s, so what is on its way would be lost with the link", stream.name, stream.config.retention,
    )  # fmt: skip
    raise errors.refused(
        10012,
        f"stream {stream.name} has {stream.config.retention} retention: a server before 2.14 that sources it loses "
        "what is on its way when the link goes; use limits retention, an uplink, or a newer server",
    )


def _as_known(config: ConsumerConfig, known: ConsumerConfig) -> ConsumerConfig:
    """What a request for a consumer that is there does not change."""
    config = config._replace(pause_until=known.pause_until)
    if not (config.sourcing and config.durable):
        return config
    return config._replace(
        deliver_policy=known.deliver_policy, opt_start_seq=known.opt_start_seq, opt_start_time=known.opt_start_time
    )


def _read(request: Request) -> dict[str, Any]:
    fields = parse_object(request.body, CREATE_KINDS)
    action = fields.get("action", "")
    if action not in ACTIONS:
        raise errors.invalid_json(f"unknown consumer action: {action}")
    return fields


def _check_names(fields: Fields, stream: str, name: str) -> None:
    if fields.get("stream_name", "") != stream:
        raise errors.STREAM_MISMATCH
    if "/" in name or "\\" in name:
        raise errors.refused(10127, "Consumer name can not contain path separators")
