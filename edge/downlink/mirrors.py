"""A part of a stream of the hub's, mirrored here."""

import logging
from functools import partial

from edge.errors import ApiError, StartError, StoreError
from edge.jetstream.account import JetStreamAccount
from edge.jetstream.mirror import FOLLOWS
from edge.jetstream.origin import External, Origin
from edge.jetstream.stream import Stream
from edge.jetstream.stream_config import StreamConfig
from edge.jetstream.stream_rules import with_rules

log = logging.getLogger("edge")

OWNER = "petiole.downlink"  # metadata of a stream that belongs to one


def mirror(
    jetstream: JetStreamAccount,
    name: str,
    hub_domain: str,
    subject: str,
    max_bytes: int,
    what: str,
    of_each: int = -1,
    origin: str = "",
) -> Stream:
    """The local stream ``name`` of the hub's messages with these subjects, made or brought to its configuration.
    ``of_each``: the last so many of each subject are kept; ``origin``: its name there, where it is another."""
    external = External(f"$JS.{hub_domain}.API", "")
    wanted = with_rules(StreamConfig(
        name=name,
        description=f"{what} of the hub for this edge",
        max_bytes=max_bytes,
        max_msgs_per_subject=of_each,
        discard="new",
        mirror=Origin(origin or name, filter_subject=subject, external=external),
        allow_direct=True,
        metadata={OWNER: hub_domain, FOLLOWS: "true"},
    ))
    return local_stream(jetstream, wanted, what)


def local_stream(jetstream: JetStreamAccount, wanted: StreamConfig, what: str) -> Stream:
    """Raises StartError where a stream of somebody else's has its name, or it cannot be as it should."""
    name = wanted.name
    known = jetstream.streams.get(name)
    if known is not None and OWNER not in known.config.metadata:
        raise StartError(f"{what}: there is a stream {name} that was made by somebody else: give one another name")
    try:
        if known is None:
            return jetstream.create_stream(wanted, partial(_say, name), announce=False)
        if known.config != wanted:
            jetstream.update_stream(wanted, name, partial(_say, name))
        return known
    except ApiError as exc:
        raise StartError(f"{what}: stream {name} cannot be kept: {exc}") from exc


def _say(name: str, error: StoreError | None) -> None:
    if error is not None:
        log.error("stream %s could not be stored: %s", name, error)
