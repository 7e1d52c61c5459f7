"""The consumer that a stream wants at one of its origins: what is asked for, what is answered, what it sends
(reference: sourcing.md sections 1 and 2)."""

import json
from typing import Any, NamedTuple

from edge.core.times import SECOND
from edge.errors import ApiError
from edge.jetstream.advisories import random_name
from edge.jetstream.fields import MAX_INT64, dumps
from edge.jetstream.origin import Origin, short_hash
from edge.subjects import is_literal

HEARTBEAT_NS = SECOND
SILENCE_NS = 10 * SECOND  # from the origin, and its consumer is taken for lost; there, without us, it goes
DERIVED = "~"  # what identities begin with that the origin has not given itself
ACK_WAIT_NS = 22 * 3600 * SECOND


class Kind(NamedTuple):
    """What mirrors and sources do in their own ways."""

    consumer: str  # what their consumers' names begin with
    letter: str  # of their deliver subjects
    metadata: str
    levels: tuple[int, ...]  # API levels to ask for, the best first
    setup_failed: ApiError
    needs_flow: ApiError


MIRROR = Kind(
    "JS_MIRROR_", "M", "_nats.mirror.", (4,),
    ApiError(500, 10029, "invalid consumer create response"),
    ApiError(400, 10214, "stream mirror consumer requires flow control ack policy"),
)  # fmt: skip
SOURCE = Kind(
    "JS_SRC_", "S", "_nats.src.", (5, 4),
    ApiError(500, 10045, "invalid consumer create response"),
    ApiError(400, 10217, "stream source consumer requires flow control ack policy"),
)  # fmt: skip


class Start(NamedTuple):
    """Where the next consumer begins: at a sequence, at a time, or (neither) with all there is."""

    seq: int = 0
    time: str = ""


# ---- the request


def at_origin(origin: Origin, subject: str) -> str:
    """Where the origin hears what our own API would hear under this subject."""
    if origin.external is None:
        return subject
    return subject.replace("$JS.API", origin.external.api, 1).replace("..", ".")


def creation(
    origin: Origin, kind: Kind, name: str, told: dict[str, str], start: Start, sourcing: bool
) -> tuple[str, bytes]:
    """Subject and body of the request for a consumer; ``sourcing`` False: as servers before 2.14 know it."""
    if not sourcing:  # they would take the name for the consumer that they have
        name += f"_{random_name(8)}"
    filters = [transform.src for transform in origin.transforms]
    single = origin.filter_subject or (filters[0] if len(filters) == 1 else "")
    policy = "by_start_sequence" if start.seq else "by_start_time" if start.time else "all"
    config: dict[str, object] = {
        "name": name, "deliver_policy": policy, "opt_start_seq": start.seq, "opt_start_time": start.time,
        "ack_policy": "none", "ack_wait": ACK_WAIT_NS, "max_deliver": 1, "filter_subject": single,
        "filter_subjects": [] if single else filters, "replay_policy": "instant", "flow_control": True,
        "deliver_subject": _deliver_subject(origin, kind), "idle_heartbeat": HEARTBEAT_NS,
        "inactive_threshold": SILENCE_NS, "num_replicas": 0, "direct": True, "sourcing": sourcing,
        "metadata": told,
    }  # fmt: skip
    config = {key: value for key, value in config.items() if value or key == "num_replicas"}
    subject = f"$JS.API.CONSUMER.CREATE.{origin.name}"
    if single:
        subject += f".{name}.{single}"
    return at_origin(origin, subject), dumps({"stream_name": origin.name, "config": config, "action": ""})


def _deliver_subject(origin: Origin, kind: Kind) -> str:
    prefix = origin.external.deliver if origin.external is not None and origin.external.deliver else "$JS"
    return f"{prefix}.{kind.letter}.{random_name(8)}".replace("..", ".")


# ---- the answer


class Created(NamedTuple):
    """What an origin answers of a consumer: its first message is the first behind ``before``, and so many follow.
    ``is_sourcing``: it knows what the consumer is for, as servers do since 2.14."""

    name: str
    deliver_subject: str
    ack_policy: str
    before: int
    pending: int
    is_sourcing: bool


def parse_answer(payload: bytes) -> Created | ApiError:
    """ValueError and its like for what is no answer."""
    answer: dict[str, Any] = json.loads(payload)
    if error := answer.get("error"):
        return _error(error)
    config = answer["config"]
    deliver = config["deliver_subject"]
    if not is_literal(deliver):
        raise ValueError(deliver)
    before = int(answer["delivered"]["stream_seq"])
    pending = int(answer.get("num_pending") or 0)
    is_sourcing = config.get("sourcing") is True
    return Created(str(answer["name"]), deliver, str(config.get("ack_policy")), max(before, 0), pending, is_sourcing)


class OriginStream(NamedTuple):
    """What a server before 2.14 tells of a stream.  The ``identity`` is made from when it was made."""

    retention: str
    identity: str


def parse_origin(payload: bytes) -> OriginStream | ApiError:
    """ValueError and its like for what is no answer."""
    answer: dict[str, Any] = json.loads(payload)
    if error := answer.get("error"):
        return _error(error)
    return OriginStream(str(answer["config"]["retention"]), DERIVED + short_hash(str(answer["created"]))[1:])


def _error(error: dict[str, Any]) -> ApiError:
    return ApiError(int(error["code"]), int(error["err_code"]), str(error["description"]))


# ---- a message


class Delivery(NamedTuple):
    """What the reply of a delivery says of it."""

    consumer: str
    deliveries: int
    seq: int
    consumer_seq: int
    time_ns: int
    pending: int


def parse_delivery(reply: str) -> Delivery | None:
    """``$JS.ACK.<stream>.<consumer>.<count>.<sseq>.<cseq>.<time>.<pending>``, or the longer form that names domain and
    account first; None for anything else."""
    parts = reply.split(".")
    if parts[:2] != ["$JS", "ACK"] or (len(parts) != 9 and len(parts) < 11):
        return None
    consumer, *numbers = parts[3:9] if len(parts) == 9 else parts[5:11]
    if not all(number.isdecimal() and number.isascii() and len(number) < 20 for number in numbers):
        return None
    count, seq, consumer_seq, time_ns, pending = map(int, numbers)
    if time_ns > MAX_INT64:
        return None
    return Delivery(consumer, count, seq, consumer_seq, time_ns, pending)
