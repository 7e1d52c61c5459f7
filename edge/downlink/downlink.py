"""All that comes down to this edge, built from the configuration."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from edge.core.leaf_link import LeafLink
from edge.core.times import Clock
from edge.downlink.command import QUEUED
from edge.downlink.commands import CommandOptions, Commands
from edge.downlink.mirrors import mirror
from edge.errors import StartError
from edge.jetstream.account import JetStreamAccount
from edge.jetstream.stream import Stream
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


class DownlinkConfig(Protocol):
    @property
    def commands(self) -> CommandConfig | None: ...


class Downlink:
    """``edge``: its name as a token of subjects."""

    def __init__(
        self,
        config: DownlinkConfig,
        edge: str,
        jetstream: JetStreamAccount,
        link: LeafLink,
        values: Mapping[str, bytes],
        clock: Clock,
        clock_is_set: Callable[[], bool],
        new_id: Callable[[], str],
    ) -> None:
        self.edge = edge
        self.jetstream = jetstream
        self.commands: Commands | None = None
        if (options := config.commands) is not None:
            wanted = f"{QUEUED}commands.{edge}.>"
            queue = mirror(jetstream, options.stream, options.hub_domain, wanted, options.max_bytes, "commands")
            self.commands = Commands(
                edge, options, link, queue, self._results(), values, clock, clock_is_set, f"_INBOX.{new_id()}"
            )
            log.info("  Commands: %d wait", queue.messages)

    def _results(self) -> Stream:
        """Where results are put so that they go up."""
        subject = f"results.{self.edge}.device"
        for stream in self.jetstream.streams.values():
            if any(matches(pattern, subject) for pattern in stream.config.subjects):
                return stream
        raise StartError(
            "commands: their results have no way up: add uplink { RESULTS: "
            f'{{ subjects: ["results.{self.edge}.>"], hub_domain: <domain>, hub_stream: RESULTS }} }}'
        )

    def deadline(self) -> int | None:
        return self.commands.deadline() if self.commands is not None else None

    def tick(self, now: int) -> None:
        if self.commands is not None:
            self.commands.tick(now)
