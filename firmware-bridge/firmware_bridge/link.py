"""The reliable link over frames, both ends (protocol.md, sections 2 to 4).  Bytes in, events out; time is an argument
(monotonic nanoseconds), the next deadline an answer; no sockets.

``BridgeLink`` hears telemetry and acknowledges it when its owner says that it is stored.  ``DeviceLink`` keeps what is
not acknowledged: the simulator's half, and what the C library does.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from firmware_bridge.frame import VERSION, Ack, Command, Data, Frame, FrameReader, Hello, Result, Who, encode

MS = 1_000_000
WINDOW = 32  # readings received and not stored yet
WHO_NS = 1000 * MS
ACK_NS = 1000 * MS  # the last ACK again: the one that told of stored readings may have been lost
HELLO_NS = 1000 * MS
COMMAND_NS = 500 * MS
TIMEOUT_NS = 500 * MS
MAX_TIMEOUT_NS = 4000 * MS


# ---- what happens


@dataclass(frozen=True, slots=True)
class Opened:
    """A session has begun; ``payload`` is the device's identity."""

    boot: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    boot: int
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of the command that was under way."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """The session in which the command was under way is over: what became of it is not known."""


@dataclass(frozen=True, slots=True)
class WrongVersion:
    version: int


Event = Opened | Reading | Ended | Lost | WrongVersion


# ---- the bridge's end


class BridgeLink:
    """``resume(hello)``: the first sequence of that boot not known to be stored; ``new_sid`` makes session ids."""

    def __init__(self, resume: Callable[[Hello], int], new_sid: Callable[[], int]) -> None:
        self.resume = resume
        self.new_sid = new_sid
        self.reader = FrameReader()
        self.out: list[bytes] = []
        self.sid = 0  # 0: no session
        self.last_sid = 0
        self.boot = 0
        self.used = False  # has the device spoken in this session?
        self.next = self.seen = 0
        self.stored: set[int] = set()  # at or above ``next``
        self.who_at = 0  # 0: at the next tick
        self.ack_at = 0
        self.command: Command | None = None
        self.command_id = 0
        self.command_at = 0

    def receive(self, data: bytes, now: int) -> Iterator[Event]:
        for frame in self.reader.receive(data):
            yield from self._on_frame(frame, now)

    def data_to_send(self) -> bytes:
        data = b"".join(self.out)
        self.out.clear()
        return data

    def store(self, boot: int, seq: int) -> None:
        """This reading is stored: the device may forget it once all before it are stored too."""
        if boot != self.boot or seq < self.next:
            return
        self.stored.add(seq)
        if seq != self.next:
            return
        while self.next in self.stored:
            self.stored.discard(self.next)
            self.next += 1
        if self.sid:
            self._ack()

    def send_command(self, payload: bytes, now: int) -> bool:
        """False: there is no session, or a command is under way.  FrameTooLong: it does not fit."""
        if not self.sid or self.command is not None:
            return False
        command = Command(self.sid, self.command_id + 1, payload)
        self.out.append(encode(command))
        self.command_id += 1
        self.command = command
        self.command_at = now + COMMAND_NS
        return True

    def drop_command(self) -> None:
        """Patience has ended.  The session ends with it: whether the device has had this id is not known, and it takes
        another only behind it."""
        self.command = None
        self.sid = 0
        self.who_at = 0

    def deadline(self) -> int | None:
        if not self.sid:
            return self.who_at
        return min(self.ack_at, self.command_at) if self.command is not None else self.ack_at

    def tick(self, now: int) -> None:
        if not self.sid and now >= self.who_at:
            self.out.append(b"\0" + encode(Who()))  # the zero ends whatever noise went before
            self.who_at = now + WHO_NS
        if not self.sid:
            return
        if now >= self.ack_at:
            self._ack()
            self.ack_at = now + ACK_NS
        if self.command is not None and now >= self.command_at:
            self.out.append(encode(self.command))
            self.command_at = now + COMMAND_NS

    def lost(self) -> Iterator[Event]:
        """The port is gone."""
        self.sid = 0
        self.who_at = 0
        self.reader = FrameReader()
        self.out.clear()
        yield from self._lose_command()

    def _on_frame(self, frame: Frame, now: int) -> Iterator[Event]:
        match frame:
            case Hello():
                yield from self._on_hello(frame, now)
            case Data():
                yield from self._on_data(frame, now)
            case Result(sid, id, payload):
                if sid == self.sid and self.command is not None and id == self.command.id:
                    self.used = True
                    self.command = None
                    yield Ended(payload)
            case Ack() | Who() | Command():
                pass  # our own, echoed by the line

    def _on_hello(self, hello: Hello, now: int) -> Iterator[Event]:
        if hello.version != VERSION:
            yield WrongVersion(hello.version)
            return
        if hello.sid != 0:
            return  # our own, echoed by the line
        yield from self._lose_command()
        if hello.boot != self.boot:
            self.stored.clear()
            self.next = 0
        if self.used or hello.boot != self.boot or not self.sid:
            self.sid = self._another_sid()  # else it is the HELLO that was answered, once more
        self.boot = hello.boot
        self.used = False
        self.next = max(hello.base, self.next, self.resume(hello))
        self.seen = self.next
        self.stored = {seq for seq in self.stored if seq >= self.next}
        self.command_id = 0
        self.ack_at = now + ACK_NS
        self.out.append(encode(Hello(self.sid, self.boot, self.next, WINDOW, b"\xa0")))
        yield Opened(hello.boot, hello.payload)

    def _another_sid(self) -> int:
        """Never the last one again: what is still on its way belongs to that."""
        sid = self.new_sid() & 0xFFFF
        self.last_sid = sid if sid not in (0, self.last_sid) else (self.last_sid % 0xFFFF) + 1
        return self.last_sid

    def _on_data(self, data: Data, now: int) -> Iterator[Event]:
        if not self.sid or data.sid != self.sid:
            if now >= self.who_at:  # one for all that is on its way
                self.out.append(encode(Who()))
                self.who_at = now + WHO_NS
            return
        self.used = True
        if data.seq == self.seen and data.seq < self.next + WINDOW:
            self.seen += 1
            if data.seq not in self.stored:  # sent again in a new session, one before it is not stored yet
                yield Reading(self.boot, data.seq, data.payload)
        self._ack()

    def _ack(self) -> None:
        self.seen = max(self.seen, self.next)
        self.out.append(encode(Ack(self.sid, self.next, self.seen)))

    def _lose_command(self) -> Iterator[Event]:
        if self.command is not None:
            self.command = None
            yield Lost()


# ---- the device's end


@dataclass(frozen=True, slots=True)
class Asked:
    """A command to carry out; answer with ``DeviceLink.answer``."""

    id: int
    payload: bytes


class DeviceLink:
    """``capacity`` readings are kept; ``identity(now)`` is the payload of HELLO."""

    def __init__(self, boot: int, identity: Callable[[int], bytes], capacity: int = 64) -> None:
        self.boot = boot
        self.identity = identity
        self.capacity = capacity
        self.reader = FrameReader()
        self.out: list[bytes] = []
        self.sid = 0
        self.kept: deque[bytes] = deque()  # readings from ``base`` on
        self.base = 1
        self.sent = 1  # the next to be sent
        self.seen = 1
        self.window = 0
        self.hello_at = 0
        self.timeout_ns = TIMEOUT_NS
        self.resend_at = 0
        self.last_id = 0
        self.last_result: bytes | None = None

    def receive(self, data: bytes, now: int) -> Iterator[Asked]:
        for frame in self.reader.receive(data):
            yield from self._on_frame(frame, now)

    def data_to_send(self) -> bytes:
        data = b"".join(self.out)
        self.out.clear()
        return data

    def keep(self, payload: bytes, now: int) -> bool:
        """A new reading; False: there is no room, wait."""
        if len(self.kept) >= self.capacity:
            return False
        self.kept.append(payload)
        self._send(now)
        return True

    def answer(self, payload: bytes) -> None:
        """The result of the command last asked."""
        self.last_result = payload
        self.out.append(encode(Result(self.sid, self.last_id, payload)))

    def deadline(self) -> int | None:
        if not self.sid:
            return self.hello_at
        return self.resend_at if self.seen < self.sent else None

    def tick(self, now: int) -> None:
        if not self.sid:
            if now >= self.hello_at:
                self._hello(now)
        elif self.seen < self.sent and now >= self.resend_at:
            self.sent = self.seen
            self.timeout_ns = min(self.timeout_ns * 2, MAX_TIMEOUT_NS)
            self._send(now)

    def _hello(self, now: int) -> None:
        self.out.append(b"\0" + encode(Hello(0, self.boot, self.base, 0, self.identity(now))))
        self.hello_at = now + HELLO_NS

    def _on_frame(self, frame: Frame, now: int) -> Iterator[Asked]:
        match frame:
            case Who(version) if version == VERSION:
                self.sid = 0  # the other end knows nothing of it
                self._hello(now)
            case Hello(sid, boot, base, window, _, version) if boot == self.boot and sid and version == VERSION:
                self._begin(sid, base, window, now)
            case Ack(sid, next, seen) if sid == self.sid != 0 and self.base <= next <= seen <= self.sent:
                self._on_ack(next, seen, now)
            case Command(sid, id, payload) if sid == self.sid != 0:
                if id == self.last_id and self.last_result is not None:
                    self.out.append(encode(Result(self.sid, id, self.last_result)))
                elif not self.last_id or id == self.last_id + 1:
                    self.last_id, self.last_result = id, None
                    yield Asked(id, payload)

    def _begin(self, sid: int, base: int, window: int, now: int) -> None:
        if base > self.base + len(self.kept):
            return  # it speaks of readings that were never made
        if sid == self.sid:
            return  # the same answer once more
        self.sid = sid
        self._forget(base)
        self.seen = self.sent = self.base
        self.window = window
        self.timeout_ns = TIMEOUT_NS
        self.last_id, self.last_result = 0, None
        self._send(now)

    def _on_ack(self, next: int, seen: int, now: int) -> None:
        self._forget(next)
        if seen > self.seen:
            self.seen = seen
            self.timeout_ns = TIMEOUT_NS
            self.resend_at = now + self.timeout_ns
        self._send(now)

    def _forget(self, below: int) -> None:
        while self.base < below and self.kept:
            self.kept.popleft()
            self.base += 1

    def _send(self, now: int) -> None:
        if not self.sid:
            return
        if self.seen == self.sent:
            self.resend_at = now + self.timeout_ns
        end = min(self.base + self.window, self.base + len(self.kept))
        while self.sent < end:
            self.out.append(encode(Data(self.sid, self.sent, self.kept[self.sent - self.base])))
            self.sent += 1
        if self.seen < self.sent and self.resend_at <= now:
            self.resend_at = now + self.timeout_ns
