"""A mirror: the messages of another stream under their own sequences and times (reference: sourcing.md).

What the origin no longer has, this stream has not either: a gap stays a gap.

One that follows its origin (metadata) goes on with another stream of that name: ``offset`` is then how much higher the
sequences are here than there.
"""

import logging
from collections.abc import Callable
from functools import partial

from edge.errors import ApiError, StoreError
from edge.jetstream.inlet import NOT_OURS, Inlet, not_stored, transformed, without
from edge.jetstream.intake import Intake, Message
from edge.jetstream.origin import Origin, short_hash
from edge.jetstream.origin_consumer import MIRROR, Start
from edge.jetstream.retention import nobody_waits
from edge.jetstream.stream import Stream
from edge.store.contract import MAX_SEQ, NewRow

log = logging.getLogger("edge.jetstream")

FOLLOWS = "petiole.follows"  # metadata: its origin may be made anew
CAUGHT_UP = 10  # messages that may be missing while direct gets are answered in the origin's name
NO_ROOM = ApiError(500, 10029, "the origin's sequences are beyond what is kept here")


class Mirror(Inlet):
    def __init__(self, stream: Stream, origin: Origin) -> None:
        super().__init__(stream)
        self.origin = origin
        told = {"acc": stream.account.name, "domain": stream.domain, "stream": stream.name}
        name = " ".join(filter(None, (stream.name, stream.account.name, stream.domain)))
        self.intake = Intake(self, origin, MIRROR, stream.account, stream.clock, short_hash(name), told)
        self.intakes[origin.key] = self.intake
        self.follows = FOLLOWS in stream.config.metadata
        self.offset = 0
        if self.follows:
            self.offset, self.intake.identity = stream.positions.get(origin.key, (0, ""))

    def stands_for(self, name: str) -> bool:
        """It does when it has nearly all that its origin has."""
        heard = self.intake.heard_at is not None and self.stream.last_seq > 0
        return self.origin.name == name and heard and self.intake.lag < CAUGHT_UP and not self.offset

    def start(self, intake: Intake) -> Start:
        self._restore(intake)
        if intake.seq:
            return Start(intake.seq + 1)
        return Start(self.origin.opt_start_seq, "" if self.origin.opt_start_seq else self.origin.opt_start_time)

    def established(self, intake: Intake, before: int, listen: Callable[[], None]) -> None:
        """What is under way is settled first: then nothing moves but this."""
        if self.follows and self.stream.positions.get(self.origin.key, ()) != (self.offset, intake.identity):
            self._note(intake.identity)
        if before + self.offset >= MAX_SEQ:
            intake.refuse(NO_ROOM)
        elif before + self.offset <= self.stream.assigned_seq:
            self._restore(intake)
            listen()
        else:
            self.stream.store.commit(partial(self._skip, intake, intake.turn, before, listen))

    def recreated(self, intake: Intake) -> None:
        """Its sequences begin again.  What is the state of each subject is that of another stream now."""
        if not self.follows:
            log.error(
                "%s: that stream was made anew; a mirror goes on where sequences are higher than the last one here: "
                "delete it and make it again to have what comes now", intake,
            )  # fmt: skip
            return
        super().recreated(intake)
        if self.taken:
            self.flush()
        self.offset = self.stream.last_sequence()
        if self.stream.config.max_msgs_per_subject > 0:
            self.stream.purge("", 0, 0, nobody_waits)
        self._note(intake.identity)

    def _note(self, identity: str) -> None:
        """Before any message of it."""
        self.stream.positions = {self.origin.key: (self.offset, identity)}
        self.stream.save_state()
        self.stream.store.commit(nobody_waits, urgent=False)

    def _skip(
        self, intake: Intake, turn: int, before: int, listen: Callable[[], None], error: StoreError | None
    ) -> None:
        if intake.turn != turn:
            return
        if error is not None:
            intake.again(not_stored(error))
            return
        intake.seq = before
        self.stream.assigned_seq = before + self.offset
        self.stream.skip_to(before + self.offset)
        self.stream.store.commit(partial(self._skipped, intake, turn, listen))

    def _skipped(self, intake: Intake, turn: int, listen: Callable[[], None], error: StoreError | None) -> None:
        if error is None:
            listen()
        elif intake.turn == turn:
            intake.again(not_stored(error))

    def _row(self, intake: Intake, identity: str, message: Message, size: int, full: ApiError | None) -> NewRow | None:
        seq = message.seq + self.offset
        if seq > MAX_SEQ:
            raise NO_ROOM
        if seq <= self.stream.last_sequence():
            return None
        subject = transformed((*intake.transforms, self.stream.transform), message.subject)
        headers = without(message.headers, NOT_OURS)
        self._check(subject, headers, message.payload, size, full)
        return seq, subject, message.time_ns, headers, message.payload

    def _restore(self, intake: Intake) -> None:
        intake.seq = max(self.stream.assigned_seq - self.offset, 0)
