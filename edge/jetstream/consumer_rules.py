"""What a consumer becomes by default and may not be (reference: jetstream.md section 4).

The order of the rules is nats-server's: of several things that are wrong with a request its first one is told.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from edge.core.times import SECOND
from edge.errors import ApiError
from edge.jetstream import errors
from edge.jetstream.consumer_config import ConsumerConfig
from edge.jetstream.durations import go_duration
from edge.jetstream.stream_config import MAX_DESCRIPTION, MAX_METADATA, MAX_NAME, StreamConfig, is_name, metadata_size
from edge.subjects import is_valid, is_wildcard, matches, overlap, subset

ACK_WAIT_NS = 30 * SECOND
INACTIVE_NS = 5 * SECOND
MAX_WAITING = 512
MAX_ACK_PENDING = 1000
PIN_NS = 120 * SECOND
MIN_HEARTBEAT_NS = 100_000_000
MIN_EXPIRES_NS = 1_000_000
FLOW_HEARTBEAT_NS = SECOND  # where acks come with flow control
GROUP_NAME = re.compile(r"[a-zA-Z0-9/_=-]{1,16}")
FIXED = (
    ("deliver_policy", "deliver policy"), ("mem_storage", "storage type"), ("direct", "direct"),
    ("sourcing", "sourcing"), ("opt_start_seq", "start sequence"), ("opt_start_time", "start time"),
    ("ack_policy", "ack policy"), ("replay_policy", "replay policy"), ("idle_heartbeat_ns", "heart beats"),
    ("flow_control", "flow control"),
)  # fmt: skip
NAME_CHARACTERS = "'.', '*', '>', '\\', '/'"


class Bounds(NamedTuple):
    """What server and account let a consumer ask for; 0: anything."""

    max_ack_pending: int = 0
    max_batch: int = 0


UNBOUNDED = Bounds()


# ---- defaults


def with_defaults(config: ConsumerConfig, stream: StreamConfig, bounds: Bounds, pedantic: bool) -> ConsumerConfig:
    """``pedantic``: what would be set right is refused instead (10157)."""
    config = _without_negatives(config, pedantic)
    limits = stream.consumer_limits
    if pedantic:
        _check_settled(config, stream)
    pull = not config.deliver_subject
    counted = config.ack_policy != "none"
    ack_wait = config.ack_wait_ns or (ACK_WAIT_NS if config.ack_policy in ("explicit", "all") else 0)
    most = min(MAX_ACK_PENDING, bounds.max_ack_pending) if bounds.max_ack_pending else MAX_ACK_PENDING
    config = config._replace(
        max_waiting=config.max_waiting or (MAX_WAITING if pull else 0),
        ack_wait_ns=config.backoff_ns[0] if config.backoff_ns else ack_wait,
        max_ack_pending=config.max_ack_pending or limits.max_ack_pending or (most if counted else 0),
        inactive_ns=config.inactive_ns or limits.inactive_ns,
        max_batch=config.max_batch or (bounds.max_batch if pull else 0),
    )
    if config.priority_policy == "pinned_client":
        config = config._replace(priority_timeout_ns=config.priority_timeout_ns or PIN_NS)
    if config.ack_policy == "flow_control" and not pedantic:
        config = config._replace(flow_control=True, idle_heartbeat_ns=FLOW_HEARTBEAT_NS)
    return config


def _without_negatives(config: ConsumerConfig, pedantic: bool) -> ConsumerConfig:
    lowest = (
        ("max_deliver", "max_deliver", -1), ("max_waiting", "max_waiting", 0),
        ("max_ack_pending", "max_ack_pending", -1), ("max_batch", "max_batch", 0), ("max_expires_ns", "max_expires", 0),
        ("max_bytes", "max_bytes", 0), ("idle_heartbeat_ns", "idle_heartbeat", 0),
        ("inactive_ns", "inactive_threshold", 0), ("priority_timeout_ns", "priority_timeout", 0),
    )  # fmt: skip
    for attribute, field, least in lowest:
        if getattr(config, attribute) < least:
            if pedantic:
                raise errors.pedantic(f"{field} must be set to -1" if least else f"{field} must not be negative")
            settled: dict[str, Any] = {attribute: least}
            config = config._replace(**settled)
    return config if config.max_deliver else config._replace(max_deliver=-1)


def _check_settled(config: ConsumerConfig, stream: StreamConfig) -> None:
    if config.backoff_ns and config.ack_wait_ns != config.backoff_ns[0]:
        raise errors.pedantic("first backoff value has to equal batch AckWait")
    if stream.consumer_limits.max_ack_pending > 0 and not config.max_ack_pending:
        raise errors.pedantic("max_ack_pending must be set if it's configured in stream limits")
    if stream.consumer_limits.inactive_ns > 0 and not config.inactive_ns:
        raise errors.pedantic("inactive_threshold must be set if it's configured in stream limits")


def settled(config: ConsumerConfig, durable: str) -> ConsumerConfig:
    """What is not durable (or was not, until now) goes some time after its last client."""
    return config if durable or config.inactive_ns else config._replace(inactive_ns=INACTIVE_NS)


# ---- what may not be


def check_consumer(config: ConsumerConfig, stream: StreamConfig, bounds: Bounds) -> None:
    """ApiError for what nats-server refuses."""
    if not is_name(config.name):
        raise errors.invalid_stream(f"consumer name can not contain {NAME_CHARACTERS}")
    _check_replicas(config, stream)
    _check_waits(config)
    if config.ack_policy == "flow_control":
        _check_flow(config)
    if config.backoff_ns and config.max_deliver != -1 and len(config.backoff_ns) > config.max_deliver:
        raise errors.refused(10116, "max deliver is required to be > length of backoff values")
    if len(config.description) > MAX_DESCRIPTION:
        raise errors.refused(10107, f"consumer description is too long, maximum allowed is {MAX_DESCRIPTION}")
    if config.deliver_subject:
        _check_push(config, stream)
    else:
        _check_pull(config, stream, bounds)
    _check_bounds(config, stream, bounds)
    if config.direct:
        if not config.deliver_subject:
            raise errors.refused(10090, "consumer direct requires a push based consumer")
        if config.durable:
            raise errors.refused(10091, "consumer direct requires an ephemeral consumer")
    _check_filters(config)
    _check_start(config)
    _check_sample(config.sample_freq)
    if config.flow_control and not config.idle_heartbeat_ns:
        raise errors.refused(10108, "consumer with flow control also needs heartbeats")
    if metadata_size(config.metadata) > MAX_METADATA:
        raise errors.refused(10135, f"consumer metadata exceeds maximum size of {MAX_METADATA // 1024}KB")
    _check_priorities(config)
    if len(config.durable) > MAX_NAME:
        raise errors.refused(10102, f"consumer name is too long, maximum allowed is {MAX_NAME}")


def _check_replicas(config: ConsumerConfig, stream: StreamConfig) -> None:
    if config.num_replicas > 1:
        raise errors.refused(10126, "consumer config replica count exceeds parent stream")
    if config.num_replicas < 0:
        raise errors.NEGATIVE_REPLICAS


def _check_waits(config: ConsumerConfig) -> None:
    if any(wait < 0 for wait in config.backoff_ns):
        raise errors.refused(10184, "consumer backoff needs to be positive")
    if config.ack_wait_ns < 0:
        raise errors.refused(10183, "consumer ack wait needs to be positive")


def _check_flow(config: ConsumerConfig) -> None:
    if not config.deliver_subject:
        raise errors.refused(10218, "flow control ack policy requires a push based consumer")
    if not config.flow_control:
        raise errors.refused(10219, "flow control ack policy requires flow control")
    if config.idle_heartbeat_ns != FLOW_HEARTBEAT_NS:
        raise errors.invalid_stream("flow control ack policy heartbeat needs to be 1s")
    if config.max_ack_pending <= 0:
        raise errors.refused(10220, "flow control ack policy requires max ack pending")
    if config.ack_wait_ns or config.backoff_ns:
        raise errors.refused(10221, "flow control ack policy requires unset ack wait")
    if config.max_deliver > 0:
        raise errors.refused(10222, "flow control ack policy requires unset max deliver")


def _check_push(config: ConsumerConfig, stream: StreamConfig) -> None:
    subject = config.deliver_subject
    if is_wildcard(subject):
        raise errors.refused(10079, "consumer deliver subject has wildcards")
    if not is_valid(subject):
        raise errors.refused(10112, "invalid push consumer deliver subject")
    if any(matches(pattern, subject) for pattern in stream.subjects):  # what goes out must not come in again
        raise errors.refused(10081, "consumer deliver subject forms a cycle")
    if config.max_waiting:
        raise errors.refused(10080, "consumer in push mode can not set max waiting")
    if config.max_ack_pending > 0 and config.ack_policy == "none":
        raise errors.refused(10082, "consumer requires ack policy for max ack pending")
    if 0 < config.idle_heartbeat_ns < MIN_HEARTBEAT_NS:
        raise errors.refused(10083, "consumer idle heartbeat needs to be >= 100ms")


def _check_pull(config: ConsumerConfig, stream: StreamConfig, bounds: Bounds) -> None:
    if config.ack_policy == "none" and stream.retention == "workqueue":
        raise errors.refused(10084, "consumer in pull mode requires explicit ack policy on workqueue stream")
    if config.rate_limit_bps:
        raise errors.refused(10086, "consumer in pull mode can not have rate limit set")
    if config.idle_heartbeat_ns:
        raise errors.refused(10088, "consumer idle heartbeat requires a push based consumer")
    if config.flow_control:
        raise errors.refused(10089, "consumer flow control requires a push based consumer")
    if 0 < config.max_expires_ns < MIN_EXPIRES_NS:
        raise errors.refused(10115, "consumer max request expires needs to be >= 1ms")
    if 0 < bounds.max_batch < config.max_batch:
        raise errors.refused(10125, f"consumer max request batch exceeds server limit of {bounds.max_batch}")


def _check_bounds(config: ConsumerConfig, stream: StreamConfig, bounds: Bounds) -> None:
    limits = stream.consumer_limits
    for most in (bounds.max_ack_pending, limits.max_ack_pending):
        if 0 < most < config.max_ack_pending:
            raise errors.refused(10121, f"consumer max ack pending exceeds system limit of {most}")
    if 0 < limits.inactive_ns < config.inactive_ns:
        longest = go_duration(limits.inactive_ns)
        raise errors.refused(10153, f"consumer inactive threshold exceeds system limit of {longest}")


def _check_filters(config: ConsumerConfig) -> None:
    single, several = config.filter_subject, config.filter_subjects
    if single and several:
        raise errors.DUPLICATE_FILTERS
    if single and not is_valid(single):
        raise errors.invalid_stream("invalid subject")
    if "" in several:
        raise errors.EMPTY_FILTER
    for i, subject in enumerate(several):
        if not is_valid(subject):
            raise errors.invalid_stream("invalid subject")
        if any(subset(subject, other) for other in several[:i] + several[i + 1 :]):
            raise errors.OVERLAPPING_FILTERS


def _check_start(config: ConsumerConfig) -> None:
    policy = config.deliver_policy
    text = policy.replace("_", " ")
    by_sequence, by_time = policy == "by_start_sequence", policy == "by_start_time"
    if by_sequence and not config.opt_start_seq:
        raise _start(f"{text}, but optional start sequence is not set")
    if by_time and not config.opt_start_time:
        raise _start(f"{text}, but optional start time is not set")
    if config.opt_start_seq and not by_sequence:  # nats-server's own stutter where a time was asked for
        raise _start(f"{text}, but optional start {'start ' if by_time else ''}sequence is also set")
    if config.opt_start_time and not by_time:
        raise _start(f"{text}, but optional start time is also set")
    if policy == "last_per_subject" and not config.filters:
        raise _start(f"{text}, but optional filter subject is not set")


def _start(what: str) -> ApiError:
    return errors.refused(10094, f"consumer delivery policy is deliver {what}")


def _check_sample(frequency: str) -> None:
    text = frequency.removesuffix("%")
    if not frequency:
        return
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        what = f'strconv.Atoi: parsing "{text}": invalid syntax'
    elif int(text) < 0:
        what = "<nil>"  # as nats-server says it
    else:
        return
    raise errors.refused(10095, f"failed to parse consumer sampling configuration: {what}")


def _check_priorities(config: ConsumerConfig) -> None:
    if not config.priority_policy:
        if config.priority_groups:
            raise errors.refused(10196, "consumer can not have priority groups when policy is none")
        if config.priority_timeout_ns:
            raise errors.refused(10197, "PinnedTTL cannot be set when PriorityPolicy is none")
        return
    if config.deliver_subject:
        raise errors.refused(10178, "priority groups can not be used with push consumers")
    if not config.priority_groups:
        raise errors.refused(10159, "Setting PriorityPolicy requires at least one PriorityGroup to be set")
    for group in config.priority_groups:
        if not group:
            raise errors.refused(10161, "Group name cannot be an empty string")
        check_group(group)


def check_group(group: str) -> None:
    if not GROUP_NAME.fullmatch(group):
        text = "Valid priority group name must match A-Z, a-z, 0-9, -_/=)+ and may not exceed 16 characters"
        raise errors.refused(10162, text)


# ---- beside others


def check_queue(config: ConsumerConfig, others: Sequence[ConsumerConfig]) -> None:
    """A new consumer of a work queue: every message is for one of them."""
    if config.ack_policy not in ("explicit", "flow_control"):
        raise errors.refused(10098, "workqueue stream requires explicit ack")
    if config.deliver_policy != "all":
        raise errors.refused(10101, "consumer must be deliver all on workqueue stream")
    if others and not config.filters:
        raise errors.refused(10099, "multiple non-filtered consumers not allowed on workqueue stream")
    check_partition(config, others)


def check_partition(config: ConsumerConfig, others: Sequence[ConsumerConfig]) -> None:
    """Nobody else may want what this one names."""
    for other in others if config.filters else ():
        if not other.filters or any(overlap(mine, theirs) for mine in config.filters for theirs in other.filters):
            raise errors.refused(10100, "filtered consumer not unique on workqueue stream")


def check_consumer_update(old: ConsumerConfig, new: ConsumerConfig, bound: bool = False) -> None:
    """``bound``: somebody listens where it pushes to."""
    for attribute, text in FIXED:
        if getattr(old, attribute) != getattr(new, attribute):
            raise errors.consumer_update(f"{text} can not be updated")
    if old.deliver_subject != new.deliver_subject:
        if not old.deliver_subject:
            raise errors.consumer_update("can not update pull consumer to push based")
        if not new.deliver_subject:
            raise errors.consumer_update("can not update push consumer to pull based")
        if bound:
            raise errors.CONSUMER_NAME_IN_USE
    if old.max_waiting != new.max_waiting:
        raise errors.consumer_update("max waiting can not be updated")
