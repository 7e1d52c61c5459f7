"""The way of PUB and HPUB from a read chunk to the outboxes.  One module on purpose: its border is narrow (bytes of
a connection in, frames in the peers' outboxes, a callback for every other verb), so a compiled twin can replace it.

How it is fast (reference: performance.md):

* A publisher repeats its control line.  ``Memo`` maps the raw line to a ``Route``: size, targets and their finished
  ``MSG`` heads.  Whatever depends on the line alone (validity, permission, size, interest) was decided when the
  route was built; a change of interest empties the memo.
* A line is admitted at its second sight, so one-time subjects do not drive out the others.
* A request has a reply of its own in every line: what goes before the reply is kept instead, with the same targets.
* Messages with the same line that follow each other are a run: one split of the chunk, one join for each target.
* Acks have a subject of their own each: the consumer that alone gets them reads them out of the chunk itself.

Correctness never depends on the memo: verbose, pedantic, no-echo and traced clients go without, message by
message.
"""

import random
from typing import TYPE_CHECKING, Protocol

from edge.core.msg_trace import MARK, MessageTracer
from edge.core.peer import Gate, Link, PeerKind, RunReader, Subscription, goes_on
from edge.errors import ProtocolError
from edge.protocol.nats import (
    AUTHORIZATION_VIOLATION,
    CONTROL_LINE_EXCEEDED,
    CRLF,
    INVALID_PUBLISH_SUBJECT,
    MAX_CONTROL_LINE_EXCEEDED,
    MAX_PAYLOAD_VIOLATION,
    PAYLOAD_EXCEEDED,
    UNKNOWN_OPERATION,
    PubHead,
    is_too_long,
    may_begin,
    msg_head,
    parse_pub,
    parse_size,
    text,
)
from edge.subjects import is_literal
from edge.sublist import Match

if TYPE_CHECKING:
    from edge.core.client import Client

MAX_ROUTES = 16_384
MAX_SEEN = 16_384
FAMILY = b"PUB $JS.ACK."
FAMILY_TOKENS = 4  # $JS.ACK.<stream>.<consumer>
MAX_FAMILY_LINE, MAX_FAMILY_PAYLOAD = 1_024, 16  # what is read in a run is not longer
MAX_RUN = 1_024  # messages taken as one run; bounds what a misleading payload can make us split in vain


class Receiver(Protocol):
    """A client, or a link."""

    def put(self, data: bytes, count: int, size: int) -> None: ...


Fan = tuple[Receiver, Subscription, bytes]  # with what goes before each message


class Route:
    """What happens to every message with one certain control line."""

    __slots__ = ("fans", "groups", "head", "only", "renames", "services", "size")

    def __init__(self, head: PubHead) -> None:
        self.head = head
        self.size = head.size + 2
        self.fans: list[Fan] = []
        self.services: list[Subscription] = []
        self.groups: list[list[Fan]] = []
        self.only: Fan | None = None  # the one receiver, where there is just one
        self.renames = False  # somebody gets it under another name


class Memo:
    """The routes of all clients that share an account and a set of permissions."""

    __slots__ = ("families", "generation", "has_headers", "requests", "routes", "seen")

    def __init__(self) -> None:
        self.generation = -1
        self.has_headers = False  # in some of the routes
        self.routes: dict[bytes, Route] = {}
        self.requests: dict[bytes, Route] = {}  # by verb and subject
        self.families: dict[bytes, RunReader | None] = {}  # by verb and the beginning of the subject
        self.seen: set[bytes] = set()

    def renew(self, generation: int) -> None:
        self.generation = generation
        self.has_headers = False
        if self.routes:
            self.routes.clear()
        if self.requests:
            self.requests.clear()
        if self.families:
            self.families.clear()

    def keep(self, routes: "dict[bytes, Route]", line: bytes, route: Route) -> None:
        if len(routes) >= MAX_ROUTES:
            routes.clear()
        routes[line] = route
        if route.head.header_size:
            self.has_headers = True

    def is_second_sight(self, line: bytes) -> bool:
        if line in self.seen:
            return True
        if len(self.seen) >= MAX_SEEN:
            self.seen.clear()
        self.seen.add(line)
        return False


class Sender(Protocol):
    """Whose messages they are."""

    in_msgs: int
    in_bytes: int


class Runs:
    """Known lines, with what follows them."""

    __slots__ = ("sender",)

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    def run(self, route: Route, data: bytes, pos: int, body: int, end: int) -> int:
        """Deliver the message at ``pos`` and those that follow it with the same line: two at least look like it."""
        step = body - pos + route.size
        line = data[pos:body]
        room = (end - pos) // step
        count = 2
        while count * 2 <= room and count < MAX_RUN and data.startswith(line, pos + (count * 2 - 1) * step):
            count *= 2
        return self._deliver_run(route, data[pos : pos + count * step], line, count, step)

    def _deliver_run(self, route: Route, block: bytes, line: bytes, count: int, step: int) -> int:
        """``count`` frames that look like a run.  A payload may hold the line too: then only the first is sure."""
        parts = block.split(line)
        lengths = [*map(len, parts)]
        if len(parts) != count + 1 or lengths.count(route.size) != count:
            count = 1
            parts = [b"", block[len(line) : step]]
        bad = step * count
        if block[step - 2 : bad : step] != b"\r" * count or block[step - 1 : bad : step] != b"\n" * count:
            good = next(i for i, part in enumerate(parts[1:]) if not part.endswith(CRLF))
            if good:
                self.deliver(route, parts[: good + 1], good)
            raise ProtocolError(UNKNOWN_OPERATION)
        self.deliver(route, parts, count)
        return step * count

    def deliver(self, route: Route, parts: list[bytes], count: int) -> None:
        """``parts`` is an empty string and then the frames (headers, payload, CRLF): ``head.join`` is the output."""
        head = route.head
        size = head.size
        self.sender.in_msgs += count
        self.sender.in_bytes += size * count
        for peer, sub, msg in route.fans:
            peer.put(msg.join(parts), count, size * count)
            sub.delivered += count
        for group in route.groups:
            for frame in parts[1:]:
                peer, sub, msg = group[int(random.random() * len(group))]
                peer.put(msg + frame, 1, size)
                sub.delivered += 1
        if route.services:
            subject, reply, cut = head.subject, head.reply, head.header_size
            for sub in route.services:
                callback = sub.callback
                for frame in parts[1:]:
                    callback(subject, reply, frame[:cut], frame[cut:size])


class Intake(Runs):
    """The inbound side of one client connection."""

    __slots__ = ("chunks", "client", "have", "max_control_line", "max_payload", "memo", "need")

    def __init__(self, client: "Client", max_control_line: int, max_payload: int) -> None:
        super().__init__(client)
        self.client = client
        self.max_control_line = max_control_line
        self.max_payload = max_payload
        self.memo: Memo | None = None
        self.chunks: list[bytes] = []  # the beginning of an operation that has not arrived whole
        self.have = 0
        self.need = 0  # no use in looking before so many bytes are here

    def receive(self, data: bytes) -> None:
        """Everything that is complete is acted on; what is left waits for the next chunk.

        ProtocolError: the operations before the fault have been carried out.
        """
        if self.client.is_waiting:  # for the verdict on its credentials
            self.chunks.append(data)
            self.have += len(data)
            return
        if self.chunks:
            self.chunks.append(data)
            self.have += len(data)
            if self.have < self.need:
                return
            data = b"".join(self.chunks)
            self.chunks.clear()
        done = self._consume(data)
        if done < len(data):
            self.chunks.append(data[done:] if done else data)
            self.have = len(data) - done
            self.need = max(self.need - done, 0)
        else:
            self.need = 0

    def _consume(self, data: bytes) -> int:
        """The number of bytes that were used up."""
        client = self.client
        end = len(data)
        pos = 0
        self.need = 0
        looked, is_plain = False, True
        while pos < end:
            eol = data.find(CRLF, pos)
            memo = self.memo
            if memo is not None and memo.has_headers:
                if not looked:  # a message that is to be traced has a line like any other
                    looked, is_plain = True, MARK not in data
                if not is_plain:
                    memo = None
            if eol >= 0 and memo is not None:
                if memo.generation != client.account.sublist.generation:
                    memo.renew(client.account.sublist.generation)
                line = data[pos:eol]
                route = memo.routes.get(line)
                if route is not None:
                    body = eol + 2
                    after = body + route.size
                    if after > end:
                        self.need = after
                        break
                    if data.startswith(line, after) and after + after - pos <= end:
                        pos += self.run(route, data, pos, body, end)
                        continue
                    if data[after - 2 : after] != CRLF:
                        raise ProtocolError(UNKNOWN_OPERATION)
                    if route.only is None:
                        self.deliver(route, [b"", data[body:after]], 1)
                    else:  # deliver for one message and one receiver, in place
                        peer, sub, msg = route.only
                        size = route.size - 2
                        client.in_msgs += 1
                        client.in_bytes += size
                        peer.put(msg + data[body:after], 1, size)
                        sub.delivered += 1
                    pos = after
                    continue
                # PUB and the subject, or HPUB, the subject; behind it the reply and the sizes
                parts = line.rsplit(b" ", 2 if line[:1] in b"Pp" else 3)
                route = memo.requests.get(parts[0])
                if route is not None and eol - pos <= self.max_control_line:
                    after = self._request(route, parts, data, eol + 2)
                    if after < 0:
                        break
                    pos = after
                    continue
                if line.startswith(FAMILY):
                    after = self._read_run(memo, line, data, pos)
                    if after > pos:
                        pos = after
                        continue
            after = self._operation(data, pos, eol)
            while (after <= eol or eol < 0) and 0 <= after < end and not client.is_waiting:
                pos = after  # the line ended in LF alone: the CRLF that was found is still ahead
                after = self._operation(data, pos, eol)
            if after < 0:
                break
            pos = after
            if client.is_waiting:
                break
        return pos

    # ---- known subjects, with another reply each time

    def _request(self, route: Route, parts: list[bytes], data: bytes, body: int) -> int:
        """Deliver one message with a reply; the position behind it, or -1 when it is not whole."""
        if not parts[-1].isdigit():
            raise ProtocolError("")
        size = int(parts[-1])
        cut = parse_size(parts[2]) if len(parts) == 4 else 0
        if size > self.max_payload:
            raise ProtocolError(MAX_PAYLOAD_VIOLATION, PAYLOAD_EXCEEDED)
        after = body + size + 2
        if after > len(data):
            self.need = after
            return -1
        if data[after - 2 : after] != CRLF:
            raise ProtocolError(UNKNOWN_OPERATION)
        if cut > size:
            raise ProtocolError("")
        client = self.client
        client.in_msgs += 1
        client.in_bytes += size
        subject, reply = route.head.subject, text(parts[1])
        for peer, sub, _ in route.fans:
            peer.put(msg_head(subject, sub.sid, reply, cut, size) + data[body:after], 1, size)
            sub.delivered += 1
        if route.services:
            split = body + cut
            headers = data[body:split] if cut else b""
            payload = data[split : after - 2]
            for sub in route.services:
                sub.callback(subject, reply, headers, payload)
        return after

    # ---- known beginnings of subjects

    def _read_run(self, memo: Memo, line: bytes, data: bytes, pos: int) -> int:
        """The position behind those that went to the one who reads them itself; ``pos`` when there are none."""
        begin = b".".join(line.split(b".", FAMILY_TOKENS)[:FAMILY_TOKENS])
        if begin not in memo.families:
            if len(memo.families) >= MAX_ROUTES:
                memo.families.clear()
            memo.families[begin] = self._find_reader(text(begin[len(b"PUB ") :]))
        reader = memo.families[begin]
        if reader is None or self.max_control_line < MAX_FAMILY_LINE or self.max_payload < MAX_FAMILY_PAYLOAD:
            return pos
        count, size, after = reader(data, pos)
        self.client.in_msgs += count
        self.client.in_bytes += size
        return after

    def _find_reader(self, prefix: str) -> RunReader | None:
        """Whose all subjects with this beginning are, if this client may publish each of them."""
        client = self.client
        below = f"{prefix}.>"
        if client.account.mappings is not None:
            return None
        if client.permissions is not None:
            rule = client.permissions.publish
            if not rule.permits_interest(below) or rule.filters(below):
                return None
        sub = client.account.sublist.sole(prefix)
        return sub.read_run if sub is not None else None

    # ---- everything else

    def _operation(self, data: bytes, pos: int, eol: int) -> int:
        """Carry out the operation at ``pos``; the position behind it, or -1 when it is not whole."""
        if not self.client.admitted and data[pos] not in b"Cc":  # CONNECT comes first
            raise ProtocolError(AUTHORIZATION_VIOLATION, "Authentication Failure")
        body = eol + 2
        bare = data.find(b"\n", pos, eol if eol >= 0 else len(data))
        if bare >= 0:  # a line may end in LF alone
            eol, body = bare, bare + 1
        if eol < 0:
            if is_too_long(data[pos:].removesuffix(b"\r"), self.max_control_line):
                raise ProtocolError(MAX_CONTROL_LINE_EXCEEDED, CONTROL_LINE_EXCEEDED)
            if not may_begin(data[pos : pos + 8]):
                raise ProtocolError(UNKNOWN_OPERATION)
            return -1
        line = data[pos:eol]
        if is_too_long(line, self.max_control_line):
            raise ProtocolError(MAX_CONTROL_LINE_EXCEEDED, CONTROL_LINE_EXCEEDED)
        args = line.split()
        head = parse_pub(args) if args and not line[:1].isspace() else None
        if head is None:
            self.client.control(line)
            return body
        return self._publish(head, line, data, body)

    def _publish(self, head: PubHead, line: bytes, data: bytes, body: int) -> int:
        client = self.client
        client.check_may_speak(head)
        if head.size > self.max_payload:
            raise ProtocolError(MAX_PAYLOAD_VIOLATION, PAYLOAD_EXCEEDED)
        after = body + head.size + 2
        if after > len(data):
            self.need = after
            return -1
        if data[after - 2 : after] != CRLF:
            raise ProtocolError(UNKNOWN_OPERATION)
        if client.trace:
            client.trace("<<-", line, data[body : after - 2], head.header_size)
        client.in_msgs += 1
        client.in_bytes += head.size
        if client.pedantic and not is_literal(head.subject):
            client.error(INVALID_PUBLISH_SUBJECT)  # and is published all the same
        if head.header_size and MARK in data[body : body + head.header_size] and client.router.tracer is not None:
            self._publish_traced(client.router.tracer, head, line, data[body : after - 2])
        else:
            split = body + head.header_size
            self._publish_mapped(head, line, data[body:split], data[split : after - 2])
        return after

    def _publish_traced(self, tracer: MessageTracer, head: PubHead, line: bytes, message: bytes) -> None:
        client = self.client
        headers, payload = message[: head.header_size], message[head.header_size :]
        trace = tracer.begin(client, client.account, head.subject, headers, head.size)
        if trace is not None and trace.refused:
            return
        client.router.traced = trace
        self._publish_mapped(head, line, headers, payload)
        client.router.traced = None
        if trace is not None:
            tracer.end(trace)

    def _publish_mapped(self, head: PubHead, line: bytes, headers: bytes, payload: bytes) -> None:
        """Permissions are about the subject that it has become (nats-server)."""
        client = self.client
        memo, mappings, trace = self.memo, client.account.mappings, client.router.traced
        if mappings is not None:
            if not mappings.fixed(head.subject):
                memo = None
            to = mappings.map(head.subject)
            if trace is not None and to != head.subject:
                trace.mapped(to)
            head = head._replace(subject=to)
            if not to:
                return
        if not client.may_publish(head.subject):
            if trace is not None:
                trace.failed(f'Permissions Violation for Publish to "{head.subject}"')
            return
        client.acknowledge()
        self._route(head, line, headers, payload, memo if client.may_always_publish(head.subject) else None)

    def _route(self, head: PubHead, line: bytes, headers: bytes, payload: bytes, memo: Memo | None) -> None:
        client = self.client
        match = client.account.sublist.match(head.subject)
        if memo is not None and memo.generation == client.account.sublist.generation:
            if not head.reply:
                self._admit(memo, memo.routes, head, line, match)
            elif match.plain and not match.queues:
                sizes = 2 if not head.header_size else 3
                self._admit(memo, memo.requests, head, line.rsplit(b" ", sizes)[0], match)
        delivered = client.account.deliver(match, client, head.subject, head.reply, headers, payload)
        if head.reply and not delivered.receivers and client.no_responders:
            client.no_responder(head.subject, head.reply)

    def _admit(
        self, memo: Memo, routes: dict[bytes, Route], head: PubHead, line: bytes, match: Match[Subscription]
    ) -> None:
        """Keep what was decided, at the second sight of ``line``."""
        if not memo.is_second_sight(line):
            return
        route = build_route(head, match.plain, match.queues)
        if route is not None and not (route.renames and routes is memo.requests):
            memo.keep(routes, line, route)


def build_route(
    head: PubHead,
    plain: tuple[Subscription, ...],
    queues: tuple[tuple[Subscription, ...], ...],
    origin: Link | None = None,
) -> Route | None:
    """A route to these receivers, or None where something must be decided for each message anew: a subscription
    that ends after some messages, a queue group behind a leaf, a receiver that takes no headers or has denied subjects.

    ``origin``: the link that such messages come from.
    """
    route = Route(head)
    links: dict[Link, Subscription] = {}
    for sub in plain:
        if sub.peer.kind is PeerKind.SERVICE:
            route.services.append(sub)
        elif sub.peer.kind is PeerKind.LEAF:
            if not isinstance(sub.peer, Link):
                return None
            if sub.peer is not origin and (origin is None or goes_on(sub, origin)):
                links.setdefault(sub.peer, sub)
        elif (fan := _fan(head, sub)) is not None:
            route.fans.append(fan)
            route.renames = route.renames or isinstance(sub.peer, Gate)
        else:
            return None
    for link, sub in links.items():
        line = link.line(head)
        if line is None:
            return None
        route.fans.append((link, sub, line))
    for group in queues:
        here = [sub for sub in group if sub.peer.kind is not PeerKind.LEAF]  # they come first
        members = [fan for sub in here if (fan := _fan(head, sub)) is not None]
        if not here or len(members) != len(here):
            return None
        route.groups.append(members)
    if len(route.fans) == 1 and not (route.services or route.groups):
        route.only = route.fans[0]
    return route


def _fan(head: PubHead, sub: Subscription) -> "Fan | None":
    if isinstance(sub.peer, Gate):
        direct = sub.peer.direct(sub, head.subject)
        if direct is None:
            return None
        sub, shown = direct
        head = head._replace(subject=shown)
    if sub.peer.kind is not PeerKind.CLIENT or sub.max:
        return None
    client: Client = sub.peer  # type: ignore[assignment]
    if (head.header_size and not client.headers) or client.is_filtered(sub):
        return None
    if head.reply and client.may_answer is not None:
        return None
    return client, sub, msg_head(head.subject, sub.sid, head.reply, head.header_size, head.size)
