"""The conversation after every reconnect: which of the messages in doubt has the hub stored?

A hub's dedupe window covers minutes, a partition lasts as long as it likes.  Messages that may have been sent and
were not acknowledged are looked for, subject by subject, behind the last hub sequence that is certain to lie before
them, by message gets: those are answered by the stream's leader, whose view is complete, and need nothing to be kept
at the hub, so a change of leader in between costs a repeated question and no more.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.uplink.answers import (
    NO_MESSAGE_FOUND,
    Refused,
    StoredMessage,
    StreamState,
    parse_stored,
    parse_stream_info,
)

MAX_QUESTIONS = 64  # asked at a time


@dataclass(slots=True)
class Search:
    """The look for one subject's messages; ``missing`` have not been found yet."""

    subject: str
    missing: set[int]
    after: int


class Resume:
    """``ask`` sends the next question; its answers come to ``on_answer`` in any order, under the number it had.

    ``found`` maps sequences here to sequences there and is good at any time; ``done`` when nothing is left to ask.
    """

    def __init__(self, stream: str, id_prefix: str, ask: Callable[[str, dict[str, object]], int]) -> None:
        self.stream = stream
        self.id_prefix = id_prefix
        self.ask = ask
        self.state: StreamState | None = None
        self.done = False
        self.failure = ""
        self.found: dict[int, int] = {}
        self.asked: dict[int, Search | None] = {}  # None: the question about the stream itself
        self.waiting: deque[Search] = deque()

    def start(self) -> None:
        self.asked[self.ask(f"STREAM.INFO.{self.stream}", {})] = None

    def search(self, doubts: Iterable[tuple[int, str]], after: int) -> None:
        """Look for these (sequence, subject) behind hub sequence ``after``."""
        missing: dict[str, set[int]] = {}
        for seq, subject in doubts:
            # under whatever subjects such a stream stores, all of it is looked through
            missing.setdefault(">" if self.state and self.state.transformed else subject, set()).add(seq)
        self.waiting.extend(Search(subject, seqs, after) for subject, seqs in missing.items())
        self._go_on()

    def on_answer(self, number: int, headers: bytes, payload: bytes) -> None:
        if number not in self.asked:
            return
        search = self.asked.pop(number)
        if search is None:
            answer = parse_stream_info(headers, payload)
            if isinstance(answer, Refused):
                self.failure = f"stream {self.stream}: {answer.reason}"
            else:
                self.state = answer
            return
        stored = parse_stored(headers, payload)
        if isinstance(stored, StoredMessage):
            self._on_stored(search, stored)
        elif stored.err_code != NO_MESSAGE_FOUND:
            self.failure = f"stream {self.stream}: {stored.reason}"
            return
        self._go_on()

    def _on_stored(self, search: Search, stored: StoredMessage) -> None:
        seq = self._sequence(stored.msg_id)
        if seq in search.missing:
            search.missing.discard(seq)
            self.found[seq] = stored.seq
        search.after = stored.seq
        if search.missing:
            self.waiting.appendleft(search)

    def _sequence(self, msg_id: str) -> int:
        """Of our own message; 0 for another's."""
        rest = msg_id.removeprefix(self.id_prefix)
        return int(rest) if rest != msg_id and rest.isdecimal() and len(rest) < 20 else 0

    def _go_on(self) -> None:
        while self.waiting and len(self.asked) < MAX_QUESTIONS:
            search = self.waiting.popleft()
            question = {"seq": search.after + 1, "next_by_subj": search.subject}
            self.asked[self.ask(f"STREAM.MSG.GET.{self.stream}", question)] = search
        self.done = not self.asked and not self.waiting
