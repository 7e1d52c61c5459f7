"""All that comes down to this edge, built from the configuration."""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from edge.core.leaf_link import LeafLink
from edge.core.times import Clock
from edge.core.wall_clock import WallClock
from edge.downlink.command import QUEUED
from edge.downlink.commands import CommandOptions, Commands
from edge.downlink.files import Background, FileOptions, Files
from edge.downlink.journal import knows_of, spoiled
from edge.downlink.mirrors import OWNER, local_stream, mirror
from edge.downlink.past import Past, Results
from edge.downlink.reported import Purse, Reported
from edge.errors import StartError
from edge.jetstream.account import JetStreamAccount
from edge.jetstream.stream import Stream
from edge.jetstream.stream_config import StreamConfig
from edge.jetstream.stream_rules import with_rules
from edge.subjects import matches

log = logging.getLogger("edge")


class CommandConfig(CommandOptions, Protocol):
    """The ``commands`` block."""

    @property
    def stream(self) -> str: ...
    @property
    def hub_domain(self) -> str: ...
    @property
    def max_bytes(self) -> int: ...


class BucketConfig(Protocol):
    """The ``desired`` or ``reported`` block; ``hub_domain`` is the desired one's."""

    @property
    def bucket(self) -> str: ...
    @property
    def hub_domain(self) -> str: ...
    @property
    def max_bytes(self) -> int: ...


class FileConfig(FileOptions, Protocol):
    """The ``files`` block; ``max_bytes`` of what the hub says of its objects, not of these."""

    @property
    def max_bytes(self) -> int: ...


class DownlinkConfig(Protocol):
    @property
    def commands(self) -> CommandConfig | None: ...
    @property
    def desired(self) -> BucketConfig | None: ...
    @property
    def reported(self) -> BucketConfig | None: ...
    @property
    def files(self) -> FileConfig | None: ...


class Part(Protocol):
    def deadline(self) -> int | None: ...
    def tick(self, now: int) -> None: ...


class Surroundings(NamedTuple):
    """What all parts use.  ``edge``: its name as a token of subjects; ``values``: of the store, as it was loaded."""

    edge: str
    jetstream: JetStreamAccount
    link: LeafLink
    values: Mapping[str, bytes]
    clock: Clock
    wall_clock: WallClock
    purse: Purse | None
    background: Background
    new_id: Callable[[], str]
    results: Results | None  # where the uplink brings results


class Downlink:
    def __init__(self, config: DownlinkConfig, around: Surroundings) -> None:
        self.around = around
        self.parts: list[Part] = []
        self.commands: Commands | None = None
        if config.commands is not None:
            self.commands = self._commands(config.commands)
            self.parts.append(self.commands)
        if config.desired is not None:
            self._desired(config.desired)
        if config.reported is not None:
            self.parts.append(self._reported(config.reported))
        if config.files is not None:
            self.parts.append(self._files(config.files))

    def deadline(self) -> int | None:
        return min((due for part in self.parts if (due := part.deadline()) is not None), default=None)

    def tick(self, now: int) -> None:
        for part in self.parts:
            part.tick(now)

    # ---- commands

    def _commands(self, options: CommandConfig) -> Commands:
        around = self.around
        wanted = f"{QUEUED}commands.{around.edge}.>"
        queue = mirror(around.jetstream, options.stream, options.hub_domain, wanted, options.max_bytes, "commands")
        log.info("  Commands: %d wait", queue.messages)
        is_known = queue.last_seq > 0 or knows_of(around.values)
        results = around.results or Results("", "RESULTS")
        past = Past(
            around.edge, around.link, queue, options.hub_domain,
            results._replace(hub_domain=results.hub_domain or options.hub_domain), around.values, around.clock,
            self._inbox(), is_known, spoiled(queue.store.damage)[1],
        )  # fmt: skip
        return Commands(
            around.edge, options, around.link, queue, self._results(), around.values, around.clock,
            around.wall_clock.look, self._inbox(), past,
        )  # fmt: skip

    def _results(self) -> Stream:
        """Where results are put so that they go up."""
        subject = f"results.{self.around.edge}.device"
        for stream in self.around.jetstream.streams.values():
            if any(matches(pattern, subject) for pattern in stream.config.subjects):
                return stream
        raise StartError(
            "commands: their results have no way up: add uplink { RESULTS: "
            f'{{ subjects: ["results.{self.around.edge}.>"], hub_domain: <domain>, hub_stream: RESULTS }} }}'
        )

    # ---- state

    def _desired(self, options: BucketConfig) -> None:
        """The hub's keys of this edge, to be read here like any bucket."""
        keys = f"$KV.{options.bucket}.{self.around.edge}.>"
        name = f"KV_{options.bucket}"
        mirror(self.around.jetstream, name, options.hub_domain, keys, options.max_bytes, "desired state", of_each=1)

    def _reported(self, options: BucketConfig) -> Reported:
        around = self.around
        stream = local_stream(
            around.jetstream,
            with_rules(StreamConfig(
                name=f"KV_{options.bucket}",
                subjects=(f"$KV.{options.bucket}.{around.edge}.>",),
                description="state that this edge reports to the hub",
                max_bytes=options.max_bytes,
                max_msgs_per_subject=1,
                discard="new",
                deny_delete=True,
                allow_rollup=True,
                allow_direct=True,
                metadata={OWNER: "reported"},
            )),
            "reported state",
        )  # fmt: skip
        return Reported(
            options.bucket, stream, around.link, around.values, around.clock, around.wall_clock.moment, around.purse,
            self._inbox(),
        )  # fmt: skip

    # ---- files

    def _files(self, options: FileConfig) -> Files:
        around, bucket = self.around, options.bucket
        index = mirror(
            around.jetstream, f"{bucket}_INDEX", options.hub_domain, f"$O.{bucket}.M.>", options.max_bytes, "files",
            of_each=1, origin=f"OBJ_{bucket}",
        )  # fmt: skip
        return Files(
            around.edge, options, around.link, index, around.values, around.clock, around.purse, around.background,
            self._inbox(),
        )  # fmt: skip

    def _inbox(self) -> str:
        return f"_INBOX.{self.around.new_id()}"
