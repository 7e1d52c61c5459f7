"""All uplinks of an edge: their local streams, what is on disk about them, and who tells them what happens."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from edge.core.account import Account
from edge.core.leaf_link import LeafLink
from edge.core.times import Clock
from edge.core.wall_clock import EARLIEST_NS, Moment
from edge.errors import ApiError, StartError, StoreError
from edge.jetstream.account import JetStreamAccount
from edge.jetstream.stream import Stream
from edge.jetstream.stream_config import StreamConfig
from edge.jetstream.stream_rules import with_rules
from edge.store.contract import Store
from edge.store.generation import GENERATION
from edge.uplink.commands import Commands
from edge.uplink.dead_letters import DeadLetterStream
from edge.uplink.headers import as_stamped
from edge.uplink.identity import with_epoch
from edge.uplink.line import Line
from edge.uplink.ports import UplinkOptions
from edge.uplink.progress import Progress
from edge.uplink.ranges import Pair
from edge.uplink.uplink import Uplink

if TYPE_CHECKING:  # where there is one
    from edge.uplink.budget import Budget
    from edge.uplink.calendar import Schedule

log = logging.getLogger("edge")

NOT_IN_TOKENS = str.maketrans(dict.fromkeys(" \t\r\n.*>", "_"))
OWNER = "petiole.uplink"  # metadata of a stream that belongs to an uplink: its rows go when the hub has them


BUDGET_KEY = "uplink-budget"
LOOK_NS = 15_000_000_000  # at the clock, for schedules


class BudgetConfig(Protocol):
    """``budget`` of the ``uplink`` block; ``rate`` in bytes a second, ``daily`` in bytes; 0: any."""

    @property
    def rate(self) -> int: ...
    @property
    def daily(self) -> int: ...
    @property
    def reserve_for(self) -> str: ...
    @property
    def reserve_percent(self) -> int: ...
    @property
    def time_zone(self) -> str: ...


class UplinkConfig(UplinkOptions, Protocol):
    """One entry of the configuration's ``uplink`` block, with the bounds of its backlog."""

    @property
    def hours(self) -> Sequence[tuple[int, int]]: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def max_age_ns(self) -> int | None: ...


class StreamLedger:
    """An uplink's progress and the rows of its stream, in one commit."""

    def __init__(self, key: str, store: Store, stream: Stream, saved: Callable[[StoreError | None], None]) -> None:
        self.key = key
        self.store = store
        self.stream = stream
        self.saved = saved

    def save(
        self, progress: bytes, settled: int, beyond: Sequence[Pair], thinned: Sequence[int], urgent: bool
    ) -> None:
        self.store.put_value(self.key, progress)
        self.stream.drop_before(settled + 1)
        rows = [seq for pair in beyond for seq in self._present(*pair)]
        rows += thinned
        if rows:
            self.stream.take(rows, _heard_later)  # in the same unit, and closes it
        self.store.commit(self.saved, urgent)

    def _present(self, first: int, last: int) -> Iterator[int]:
        return (row.seq for row in takewhile(lambda row: row.seq <= last, self.stream.outlines(first)))


class Uplinks:
    """``values`` are those of the store as it was loaded; ``new_id`` makes random names for inboxes and epochs.
    ``remote``: which of several it is that they use, empty for the first.

    Needs the streams of ``jetstream`` recovered.  StartError when a stream that is not an uplink's stands in the way.
    """

    def __init__(
        self,
        configs: Sequence[UplinkConfig],
        edge: str,
        account: Account,
        jetstream: JetStreamAccount,
        link: LeafLink,
        values: Mapping[str, bytes],
        clock: Clock,
        new_id: Callable[[], str],
        budget: BudgetConfig | None = None,
        moment: Callable[[int], Moment] = as_stamped,
        sure_from: Callable[[], int] = lambda: EARLIEST_NS,
        remote: str = "",
    ) -> None:
        self.remote = remote
        self.edge = edge
        self.account = account
        self.jetstream = jetstream
        self.link = link
        self.clock = clock
        self.new_id = new_id
        self.moment = moment
        self.sure_from = sure_from
        self.generation = values.get(GENERATION, b"").decode("ascii", "replace")
        self.budget = self._make_budget(budget, values.get(self._budget_key())) if budget else None
        self.line = Line(self.budget)
        self.commands = Commands(edge_token(edge), account, clock)
        self.schedules: list[tuple[Uplink, Schedule]] = []
        self.look_at: int | None = None
        self.uplinks = [self._make(config, values) for config in configs]
        self.streams = {uplink.name: jetstream.streams[uplink.name] for uplink in self.uplinks}
        link.listeners.append(self._on_link)

    def deadline(self) -> int | None:
        found = [deadline for uplink in self.uplinks if (deadline := uplink.deadline()) is not None]
        found += [due for due in (self.look_at, self.budget.deadline() if self.budget else None) if due is not None]
        return min(found, default=None)

    def tick(self, now: int) -> None:
        for uplink in self.uplinks:
            uplink.tick(now)
        if self.look_at is not None and now >= self.look_at:
            self._look_at_the_clock(now)
        if self.budget is not None and self.budget.tick(now):
            self.line.pump(now)

    def _look_at_the_clock(self, now: int) -> None:
        self.look_at = now + LOOK_NS
        for uplink, schedule in self.schedules:
            uplink.on_hours(schedule.closed(self.clock.wall()), now)

    # ---- making one

    def _make(self, config: UplinkConfig, values: Mapping[str, bytes]) -> Uplink:
        stream = self._stream(config)
        key = f"uplink.{self.account.name}.{config.name}"
        uplink: Uplink
        inbox = f"_INBOX.{self._short_id()}"
        now = self.clock.monotonic
        ledger = StreamLedger(key, stream.store, stream, lambda error: self._on_saved(uplink, error))
        dead_letters = DeadLetterStream(
            config.name, self.account, self.jetstream, config.max_bytes, f"_INBOX.{self.new_id()}",
            lambda seq, error: uplink.on_buried(seq, error, now()),
        )  # fmt: skip
        progress, is_kept = self._progress(config, stream, values.get(key))
        uplink = Uplink(
            config, progress, stream, self.link, self.line, ledger, dead_letters, inbox, self.clock.wake,
            self._short_id, is_kept,
        )  # fmt: skip
        sender = uplink.delivery.sender
        sender.moment, sender.sure_from = self.moment, self.sure_from
        self.commands.add(uplink)
        if config.hours:
            self._schedule(uplink, config)
        stream.listeners.append(lambda: uplink.on_stored(now()))
        stream.removal_listeners.append(lambda gone, highest, purge: uplink.on_removed())
        self.account.subscribe(f"{inbox}.>", partial(self._on_reply, uplink))
        self.account.subscribe(uplink.scan_inbox, partial(self._on_scanned, uplink))
        log.info("  Uplink %s: %d messages wait for the hub's stream %s", *_facts(config, stream))
        return uplink

    def _schedule(self, uplink: Uplink, config: UplinkConfig) -> None:
        from edge.uplink.calendar import Hours, Schedule, make_calendar

        hours = tuple(Hours(*pair) for pair in config.hours)
        schedule = Schedule(hours, make_calendar(config.time_zone), config.time_zone)
        self.schedules.append((uplink, schedule))
        uplink.on_hours(schedule.closed(self.clock.wall()), self.clock.monotonic())
        self.look_at = self.clock.monotonic() + LOOK_NS

    def _stream(self, config: UplinkConfig) -> Stream:
        """The local stream, made or brought to its configuration."""
        wanted = with_rules(StreamConfig(
            name=config.name,
            subjects=tuple(config.subjects),
            description=f"waits for the hub's stream {config.hub_stream}",
            max_bytes=config.max_bytes,
            max_age_ns=config.max_age_ns or 0,
            discard="new" if config.discard == "new" else "old",
            allow_direct=True,
            metadata={OWNER: config.hub_stream},
        ))
        known = self.jetstream.streams.get(config.name)
        if known is not None and OWNER not in known.config.metadata:
            raise StartError(
                f"uplink {config.name}: there is a stream of this name that is not an uplink's: "
                "give the uplink another name"
            )
        try:
            if known is None:
                return self.jetstream.create_stream(wanted, partial(_say, config.name), announce=False)
            if known.config != wanted:
                self.jetstream.update_stream(wanted, config.name, partial(_say, config.name))
            return known
        except ApiError as exc:
            raise StartError(f"uplink {config.name}: its stream cannot be kept: {exc}") from exc

    def _progress(self, config: UplinkConfig, stream: Stream, value: bytes | None) -> tuple[Progress, bool]:
        """As it was saved, or the beginning of a new epoch; and whether it is on disk."""
        if value is not None:
            saved = Progress.decode(config.name, value)
            if saved.stream_created == stream.created_ns:
                if saved.generation == self.generation:
                    return saved, True
                return self._restored(config, stream, saved), False
            log.warning("uplink %s: its stream is not the one that was known: a new epoch begins", config.name)
        epochs = ((1, self._short_id()),)
        return Progress(self.edge, epochs, stream.created_ns, self.generation, acked=stream.first_seq - 1), False

    def _restored(self, config: UplinkConfig, stream: Stream, saved: Progress) -> Progress:
        """The store came back from a backup.  What is in it may have reached the hub; the sequences that come were
        given before, to messages that are not here."""
        last = stream.last_seq
        log.warning(
            "uplink %s: its store was restored from a backup: a new epoch begins behind %d; of what it holds the hub "
            "is asked what it has", config.name, last,
        )  # fmt: skip
        return replace(
            saved,
            generation=self.generation,
            epochs=with_epoch(saved.epochs, last + 1, self._short_id()),
            leased=((saved.acked + 1, last),) if last > saved.acked else (),
        )

    def _short_id(self) -> str:
        """It goes with every message, and there are 10^14."""
        return self.new_id()[:8]

    def _budget_key(self) -> str:
        """Each way has its own account of what it cost."""
        return f"{BUDGET_KEY}.{self.remote}" if self.remote else BUDGET_KEY

    def _make_budget(self, config: BudgetConfig, kept: bytes | None) -> "Budget":
        from edge.uplink.budget import Budget
        from edge.uplink.calendar import make_calendar

        store = self.jetstream.stores.file

        def keep(value: bytes, kept: Callable[[bool], None]) -> None:
            def done(error: StoreError | None) -> None:
                kept(error is None)
                self.clock.wake()

            store.put_value(self._budget_key(), value)
            store.commit(done, False)

        return Budget(config, make_calendar(config.time_zone), self.clock.wall, kept, keep)

    # ---- events

    def _on_saved(self, uplink: Uplink, error: StoreError | None) -> None:
        uplink.on_saved(error, self.clock.monotonic())
        if error is None:
            self.commands.saved(uplink)

    def _on_link(self, up: bool) -> None:
        for uplink in self.uplinks:
            uplink.on_link(up, self.clock.monotonic())
        if not up:
            self.line.lost()
        self.clock.wake()

    def _on_reply(self, uplink: Uplink, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        uplink.on_reply(subject[len(uplink.inbox) + 1 :], headers, payload, self.clock.monotonic())

    def _on_scanned(self, uplink: Uplink, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        uplink.on_scanned(reply, headers, self.clock.monotonic())


def edge_token(edge: str) -> str:
    """Its name as a token of a subject."""
    return edge.translate(NOT_IN_TOKENS)


def _facts(config: UplinkConfig, stream: Stream) -> tuple[str, int, str]:
    return config.name, stream.messages, config.hub_stream


def _say(name: str, error: StoreError | None) -> None:
    if error is not None:
        log.error("uplink %s: its stream is not on disk: %s", name, error)


def _heard_later(error: StoreError | None) -> None:
    """The unit behind it fails as well."""
