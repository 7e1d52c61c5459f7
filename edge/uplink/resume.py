"""The conversation after every reconnect: which of the messages in doubt has the hub stored?

A hub's dedupe window covers minutes, a partition lasts as long as it likes.  Messages that may have been sent and
were not acknowledged are looked for, subject by subject, behind the last hub sequence that is certain to lie before
them, by message gets: those are answered by the stream's leader, whose view is complete, and need nothing to be kept
at the hub, so a change of leader in between costs a repeated question and no more.

A message get finds one message in one round trip.  Where many are in doubt, an ephemeral consumer (headers only) is
read first.  It may live beside a replica that lags behind, so what it shows is only a shortcut: the message gets go
on from there until the leader says that there is no more.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.message import header_get
from edge.uplink.answers import (
    NO_MESSAGE_FOUND,
    Refused,
    StoredMessage,
    StreamState,
    delivery_sequences,
    parse_pending,
    parse_stored,
    parse_stream_info,
)

MAX_QUESTIONS = 64  # asked at a time
SCAN_FROM = 16  # messages in doubt on one subject: below, asking one by one is as quick
SCAN_SUBJECTS = 64
SCAN_BATCH = 4096
EVERYTHING = ">"
SCAN_LIFE_NS = 10_000_000_000  # the hub forgets an unused consumer after this


@dataclass(slots=True)
class Search:
    """The look for one subject's messages; ``missing`` have not been found yet."""

    subject: str
    missing: set[int]
    after: int


class Resume:
    """``ask`` sends a question and tells its number, under which the answer comes to ``on_answer``, in any order;
    the messages that ``pull`` asks for come to ``on_scanned``.

    ``found`` maps keys here to sequences there and is good at any time; ``done`` when nothing is left to ask.
    """

    def __init__(
        self,
        stream: str,
        key_of: Callable[[str], int],
        consumer: str,
        ask: Callable[[str, dict[str, object]], int],
        pull: Callable[[str, dict[str, object]], None],
    ) -> None:
        self.stream = stream
        self.key_of = key_of  # of a message id: the key of our message, 0 for another's
        self.consumer = consumer  # a name that nobody else uses
        self.ask = ask
        self.pull = pull
        self.state: StreamState | None = None
        self.done = False
        self.failure = ""
        self.found: dict[int, int] = {}
        self.searches: dict[str, Search] = {}
        self.info_number = self.scan_number = 0
        self.probes: set[int] = set()
        self.scanning = False
        self.scanned = 0  # messages that the consumer has shown, without a gap
        self.to_scan = 0  # of those that were asked for
        self.pending = 0  # of all that it has
        self.highest = 0  # of our sequences that the hub was seen to have
        self.asked: dict[int, Search] = {}
        self.waiting: deque[Search] = deque()

    def start(self) -> None:
        self.info_number = self.ask(f"STREAM.INFO.{self.stream}", {})

    def probe(self, subjects: Iterable[str]) -> None:
        """See what is the last that the hub has on these: of ours there must be none that we have not sent."""
        for subject in subjects:
            self.probes.add(self.ask(f"STREAM.MSG.GET.{self.stream}", {"last_by_subj": subject}))

    @property
    def is_probing(self) -> bool:
        return bool(self.probes)

    def search(self, doubts: Iterable[tuple[int, str]], after: int) -> None:
        """Look for these (key, subject) behind hub sequence ``after``; a subject that is not known is empty."""
        assert self.state is not None
        doubts = list(doubts)
        everywhere = self.state.transformed or not all(subject for _, subject in doubts)
        for seq, subject in doubts:
            if everywhere:  # under whatever subjects such a stream stores, all that it holds by now is looked through
                subject = EVERYTHING
            self.searches.setdefault(subject, Search(subject, set(), after)).missing.add(seq)
        most = max((len(search.missing) for search in self.searches.values()), default=0)
        if most >= SCAN_FROM and len(self.searches) <= SCAN_SUBJECTS:
            self._scan(after)
        else:
            self._ask_leader()

    def on_answer(self, number: int, headers: bytes, payload: bytes) -> None:
        if number == self.info_number:
            self._on_info(headers, payload)
        elif number == self.scan_number:
            self._on_consumer(headers, payload)
        elif number in self.probes:
            self._on_probe(number, headers, payload)
        elif number in self.asked:
            self._on_search(self.asked.pop(number), headers, payload)

    def on_scanned(self, reply: str, headers: bytes) -> None:
        """A message of the consumer; ``reply`` is its ack subject."""
        if not self.scanning or (reply and self.consumer not in reply):
            return
        hub_seq, number = delivery_sequences(reply)
        if number != self.scanned + 1:  # a status, or one was lost on the way: what lies behind it proves nothing
            self.end_scan()
            return
        self.scanned = number
        seq = self._key_of(header_get(headers, "Nats-Msg-Id") or "")
        for search in self.searches.values():
            if seq in search.missing:
                self._note(search, seq, hub_seq)
        if self.scanned >= self.pending or not any(search.missing for search in self.searches.values()):
            self.end_scan()
        elif self.scanned >= self.to_scan:
            self._pull_more()

    def end_scan(self) -> None:
        """Go on with what the scan has brought, be it nothing."""
        self.scanning = False
        self.scan_number = 0
        self._ask_leader()

    # ---- the stream

    def _on_info(self, headers: bytes, payload: bytes) -> None:
        self.info_number = 0
        answer = parse_stream_info(headers, payload)
        if isinstance(answer, Refused):
            self.failure = f"stream {self.stream}: {answer.reason}"
        else:
            self.state = answer

    def _on_probe(self, number: int, headers: bytes, payload: bytes) -> None:
        """One that finds nothing says nothing."""
        self.probes.discard(number)
        stored = parse_stored(headers, payload)
        if isinstance(stored, StoredMessage):
            self._key_of(stored.msg_id)

    # ---- the shortcut

    def _scan(self, after: int) -> None:
        self.scanning = True
        config: dict[str, object] = {
            "name": self.consumer,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "filter_subjects": list(self.searches),
            "headers_only": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": SCAN_LIFE_NS,
        }
        request = f"CONSUMER.CREATE.{self.stream}.{self.consumer}"
        self.scan_number = self.ask(request, {"stream_name": self.stream, "config": config})

    def _on_consumer(self, headers: bytes, payload: bytes) -> None:
        self.scan_number = 0
        pending = parse_pending(headers, payload)
        if isinstance(pending, Refused) or not pending:
            self.end_scan()
            return
        self.pending = pending
        self._pull_more()

    def _pull_more(self) -> None:
        batch = min(self.pending - self.scanned, SCAN_BATCH)
        self.to_scan = self.scanned + batch
        self.pull(f"CONSUMER.MSG.NEXT.{self.stream}.{self.consumer}", {"batch": batch, "no_wait": True})

    # ---- the leader

    def _ask_leader(self) -> None:
        self.waiting.extend(search for search in self.searches.values() if self._is_open(search))
        self._go_on()

    def _on_search(self, search: Search, headers: bytes, payload: bytes) -> None:
        stored = parse_stored(headers, payload)
        if isinstance(stored, StoredMessage):
            seq = self._key_of(stored.msg_id)
            if seq in search.missing:
                self._note(search, seq, stored.seq)
            search.after = max(search.after, stored.seq)
            if self._is_open(search):
                self.waiting.appendleft(search)
        elif stored.err_code != NO_MESSAGE_FOUND:
            self.failure = f"stream {self.stream}: {stored.reason}"
            return
        self._go_on()

    def _note(self, search: Search, seq: int, hub_seq: int) -> None:
        search.missing.discard(seq)
        search.after = max(search.after, hub_seq)
        self.found[seq] = hub_seq

    def _key_of(self, msg_id: str) -> int:
        key = self.key_of(msg_id)
        self.highest = max(self.highest, key)
        return key

    def _is_open(self, search: Search) -> bool:
        """Others may write without end to a stream that is looked through."""
        assert self.state is not None
        return bool(search.missing) and (search.subject != EVERYTHING or search.after < self.state.last_seq)

    def _go_on(self) -> None:
        while self.waiting and len(self.asked) < MAX_QUESTIONS:
            search = self.waiting.popleft()
            question: dict[str, object] = {"seq": search.after + 1, "next_by_subj": search.subject}
            self.asked[self.ask(f"STREAM.MSG.GET.{self.stream}", question)] = search
        self.done = not self.asked and not self.waiting
