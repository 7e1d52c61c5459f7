"""What comes into a stream from its origins: gathered during a batch, stored as one unit, and only then accounted for.

``taken`` messages are under way until their commit; should that fail, their origins are asked for them again.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from edge.core.transforms import Transform
from edge.errors import ApiError, StoreError
from edge.jetstream import errors
from edge.jetstream.intake import Intake, Message
from edge.jetstream.messages import After
from edge.jetstream.origin_consumer import Start
from edge.jetstream.stream import Batch, Stream
from edge.message import header_get
from edge.store.contract import NewRow

log = logging.getLogger("edge.jetstream")

NOT_OURS = (b"Nats-Expected-", b"Nats-Batch-")  # asked of the origin, not of us


class Position(NamedTuple):
    """How far an origin has been taken: its sequence, and which stream that was counted in (empty: not known)."""

    seq: int
    identity: str


class Taken(NamedTuple):
    intake: Intake
    identity: str
    message: Message


class Inlet:
    """Mirrors and sources, as far as they are alike."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.intakes: dict[str, Intake] = {}  # by the key of their origins
        self.taken: list[Taken] = []
        self.calls: list[Callable[[], None]] = []
        self.touched = False

    def begin(self) -> None:
        for intake in self.intakes.values():
            intake.begin()

    def stop(self) -> None:
        """What was taken is still stored."""
        for intake in self.intakes.values():
            intake.stop()

    def forget(self) -> None:
        """The stream is to be deleted."""
        for intake in self.intakes.values():
            intake.forget()

    def deadline(self) -> int | None:
        found = [deadline for intake in self.intakes.values() if (deadline := intake.deadline()) is not None]
        return min(found, default=None)

    def tick(self, now: int) -> None:
        for intake in list(self.intakes.values()):
            intake.tick(now)

    def stands_for(self, name: str) -> bool:
        """Can it be asked for messages of the stream of this name, which is elsewhere?"""
        return False

    # ---- for intakes

    def start(self, intake: Intake) -> Start:
        raise NotImplementedError

    def established(self, intake: Intake, before: int, listen: Callable[[], None]) -> None:
        raise NotImplementedError

    def recreated(self, intake: Intake) -> None:
        """Its sequences say nothing about what we have."""
        log.warning("%s: that stream was made anew, and is taken from its beginning", intake)

    def take(self, intake: Intake, message: Message) -> None:
        self.taken.append(Taken(intake, intake.identity, message))
        self._touch()

    def when_stored(self, call: Callable[[], None]) -> None:
        self.calls.append(call)
        self._touch()

    def _touch(self) -> None:
        if not self.touched:
            self.touched = True
            self.stream.account.router.touch(self)

    # ---- the end of a batch

    def flush(self) -> None:
        self.touched = False
        taken, self.taken = self.taken, []
        calls, self.calls = self.calls, []
        rows, positions = self._gather(taken)
        settled = partial(self._settled, {item.intake for item in taken}, positions, calls)
        if not rows:
            self.stream.store.commit(partial(self._nothing_new, settled, bool(positions)), urgent=False)
            return
        rollups = [(row[0], _rollup(row)) for row in rows if b"\r\nNats-Rollup:" in row[3]]
        size = sum(len(row[1]) + len(row[3]) + len(row[4]) for row in rows) + self.stream.overhead * len(rows)
        self.stream.submit(Batch(rows, size, [], rollups, settled))

    def _nothing_new(self, settled: After, moved: bool, error: StoreError | None) -> None:
        """Duplicates leave no message that tells how far they came."""
        settled(error)
        if moved and error is None:
            self.stream.save_state()

    def _gather(self, taken: list[Taken]) -> tuple[list[NewRow], dict[str, Position]]:
        """Rows to store, and how far they bring each origin.  What cannot be stored is asked for again, and so is
        all that came behind it."""
        stream = self.stream
        full = errors.INSUFFICIENT_STORAGE if stream.store.full else stream.refusal()
        rows = stream.open_batch()
        positions: dict[str, Position] = {}
        refused: set[Intake] = set()
        size = 0
        for intake, identity, message in taken:
            if intake in refused:
                continue
            try:
                row = self._row(intake, identity, message, size, full)
            except ApiError as error:
                refused.add(intake)
                intake.seq = message.seq - 1
                intake.again(error)
                continue
            positions[intake.origin.key] = Position(message.seq, identity)
            if row is not None:
                rows.append(row)
                size += len(row[1]) + len(row[3]) + len(row[4])
        return rows, positions

    def _row(
        self, intake: Intake, identity: str, message: Message, size: int, full: ApiError | None
    ) -> NewRow | None:
        """What of a message is stored; None: nothing, it is known.  ApiError: it cannot be stored now."""
        raise NotImplementedError

    def _check(self, subject: str, headers: bytes, payload: bytes, size: int, full: ApiError | None) -> None:
        stream, config = self.stream, self.stream.config
        message = len(headers) + len(payload)
        if config.sealed:
            raise errors.SEALED
        if 0 < config.max_msg_size < message:
            raise errors.MESSAGE_TOO_LARGE
        if full is not None:
            raise full
        if stream.room is not None:
            stream.room.take(subject, len(subject) + message + stream.overhead)

    def _settled(
        self,
        intakes: Iterable[Intake],
        positions: dict[str, Position],
        calls: list[Callable[[], None]],
        error: StoreError | None,
    ) -> None:
        """The commit has returned; nothing of it is visible yet."""
        if error is not None:
            for intake in intakes:
                self._restore(intake)
                intake.again(not_stored(error))
            return
        self._moved(positions)
        for intake in intakes:
            if intake.origin.key in positions:
                intake.kept()
        for call in calls:
            call()

    def _restore(self, intake: Intake) -> None:
        """Back to what is on disk."""
        raise NotImplementedError

    def _moved(self, positions: dict[str, Position]) -> None:
        """So far is on disk."""

    # ---- for STREAM.INFO

    def info(self, now: int) -> list[dict[str, object]]:
        return [_info(intake, now) for intake in self.intakes.values()]


def not_stored(error: StoreError) -> ApiError:
    return errors.INSUFFICIENT_STORAGE if error.full else errors.store_failed(str(error))


def _info(intake: Intake, now: int) -> dict[str, object]:
    origin = intake.origin
    fields: dict[str, object] = {"name": origin.name}
    if origin.external is not None:
        fields["external"] = origin.external.fields()
    fields["lag"] = intake.lag
    if intake.shows_seq and intake.seq:
        fields["seq"] = intake.seq
    fields["active"] = now - intake.heard_at if intake.heard_at is not None else -1
    if intake.error is not None:
        fields["error"] = errors.error_fields(intake.error)
    if origin.filter_subject:
        fields["filter_subject"] = origin.filter_subject
    if origin.transforms:
        fields["subject_transforms"] = [transform.fields() for transform in origin.transforms]
    return fields


def _rollup(row: NewRow) -> str:
    """The subject that is rolled up; empty: all."""
    return "" if (header_get(row[3], "Nats-Rollup") or "").lower() == "all" else row[1]


def transformed(transforms: Iterable[Transform | None], subject: str) -> str:
    for transform in transforms:
        if transform is not None and (made := transform.match(subject)) is not None:
            return made
    return subject


def without(headers: bytes, prefixes: tuple[bytes, ...]) -> bytes:
    """The same block without the headers whose names begin so; empty when none is left."""
    if b"\r\nNats-" not in headers:
        return headers
    lines = headers.split(b"\r\n")[:-2]
    kept = [line for line in lines if not line.startswith(prefixes)]
    if len(kept) == len(lines):
        return headers
    return b"\r\n".join([*kept, b"", b""]) if len(kept) > 1 else b""


