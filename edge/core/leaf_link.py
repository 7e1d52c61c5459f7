"""A link between two servers as the router sees it, whichever of them has dialled: interest both ways, messages, loops,
and whether the other side still lives.

Who the other side is, and what it may, is settled by a subclass: ``leaf_remote.py`` where this server dials.  The shell
calls ``receive`` and ``closed``, and ``tick`` when ``deadline`` has come; what the link writes goes to the ``Wire`` of
the connection.
"""

import logging
from collections.abc import Callable, Sequence

from edge.core.account import Account
from edge.core.interest import InterestMap
from edge.core.leaf_pacing import HELD, Pacing
from edge.core.leaf_rules import LinkRules
from edge.core.leaf_runs import LeafRuns
from edge.core.leaf_wire import Far, LeafIdentity, State, Wire
from edge.core.peer import Link, PeerKind, Subscription
from edge.core.request_info import MARK, request_info, with_info
from edge.core.router import Router
from edge.core.stream_imports import Shadow
from edge.errors import ProtocolError
from edge.protocol import leaf
from edge.protocol.leaf import Info, LeafParser
from edge.protocol.nats import CRLF, PING, PONG, STALE_CONNECTION, UNKNOWN_OPERATION, PubHead, error_line
from edge.subjects import is_valid

log = logging.getLogger("edge")

SECOND = 1_000_000_000
LOOP_DELAY_NS = 30 * SECOND
PING_INTERVAL_NS = 15 * SECOND  # nats-server's two minutes would leave a half-open link unnoticed for four
PING_MAX = 2
BOUNDED = "$JS."  # who sends there has windows of its own, and waits; what is lost costs more than it takes
TOO_SLOW = "too slow for what is published: messages without a stream are dropped"
TOLD_MAX = 100  # refused subjects that are logged on one connection


class LeafLink(Link):
    """``is_hub``: the other side is the leaf, and hears of all interest of the account; otherwise it is the hub, and
    hears of what is wanted here and by our own leafs.  ``is_isolated``: it hears of no other leaf's interest.

    ``listeners`` hear True once the other side has answered everything we announced, and False when the link is lost.
    """

    is_inbound = False  # it was the other side that has dialled

    __slots__ = (
        "account",
        "acknowledged_at_ping",
        "cid",
        "closing",
        "compression",
        "congested",
        "connects",
        "dropped",
        "end",
        "far",
        "identity",
        "in_bytes",
        "in_msgs",
        "interest",
        "is_isolated",
        "is_open",
        "last_error",
        "listeners",
        "next_event",
        "now",
        "out",
        "out_bytes",
        "out_msgs",
        "pacing",
        "parser",
        "ping_interval_ns",
        "ping_max",
        "ping_sent",
        "pings_unanswered",
        "received",
        "received_at_ping",
        "remote",
        "retry_delay_ns",
        "router",
        "rtt",
        "rules",
        "started_ns",
        "state",
        "subs",
        "told",
        "wire",
    )

    def __init__(self, router: Router, account: Account, identity: LeafIdentity, rules: LinkRules) -> None:
        super().__init__("leaf")
        self.router = router
        self.account = account
        account.links.add(self)
        self.identity = identity
        self.rules = rules
        self.cid = 0  # 0: whoever keeps count gives its connections their numbers
        self.started_ns = 0  # wall time of its one connection; 0: it has many
        self.ping_interval_ns, self.ping_max = PING_INTERVAL_NS, PING_MAX
        self.is_hub = self.is_isolated = False
        self.listeners: list[Callable[[bool], None]] = []
        self.far = Far()  # who is or was last connected
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = self.dropped = self.connects = 0
        self.last_error = ""
        self.rtt = 0  # nanoseconds; 0: not known
        self.remote = ""  # host:port of the connection
        self.congested = False  # by the shell too: so much is unsent that plain messages are dropped
        self.pacing: Pacing | None = None  # where something urgent shares the line
        self._reset()

    def _reset(self) -> None:
        self.state = State.DOWN
        self.wire: Wire | None = None
        self.closing = False
        self.end = ""  # why it was closed from here, in nats-server's words, where there is more to say than that
        self.compression = ""  # of this connection: a mode of nats-server's, empty before it is settled
        self.is_open = False  # the other side has said who it is, and may speak of interest and send messages
        self.parser = LeafParser(self._on_message, self._on_line, self.identity.max_payload, LeafRuns(self).take)
        self.interest = InterestMap()
        self.subs: dict[tuple[str, str], Subscription] = {}  # the other side's interest
        self.told: set[str] = set()
        self.out: list[bytes] = []
        self.now = 0
        self.next_event: int | None = None
        self.received = 0  # bytes of this connection
        self.received_at_ping = self.acknowledged_at_ping = 0
        self.ping_sent = 0
        self.pings_unanswered = 0
        self.retry_delay_ns = 0
        self.congested = False
        if self.pacing is not None:
            self.pacing.reset()

    # ---- for uplinks and monitoring

    @property
    def up(self) -> bool:
        return self.state is State.UP

    @property
    def server_name(self) -> str:
        return self.far.server_name or self.name

    @property
    def account_name(self) -> str:
        return self.account.name

    @property
    def cluster(self) -> str:
        return self.far.cluster

    @property
    def domain(self) -> str:
        """The other side's JetStream domain, or empty."""
        return self.far.domain

    @property
    def user(self) -> str:
        """Who has logged in with us, or wanted to; empty where we have dialled."""
        return ""

    @property
    def said(self) -> tuple[str, str]:
        """Name and version of who has dialled us; empty where it was we."""
        return "", ""

    @property
    def pending_bytes(self) -> int:
        return self.wire.unsent() + sum(map(len, self.out)) if self.wire else 0

    def refusal(self, subject: str, size: int) -> str:
        """Why the other side will never take such a message, or an empty string."""
        if self.far.max_payload and size > self.far.max_payload:
            return f"{size} bytes are more than the hub's max_payload of {self.far.max_payload}"
        if not self.rules.hub_takes(subject):
            return f'the hub does not permit this edge to publish to "{subject}"'
        return ""

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> bool:
        """Send over this link and no other way, whatever interest there is behind it; False when it is not up."""
        if self.state is not State.UP or self.refusal(subject, len(headers) + len(payload)):
            return False
        self._send_message(subject, reply, (), headers, payload)
        return True

    def publish_all(self, messages: Sequence[leaf.Outgoing]) -> int:
        """As ``publish`` each, where none is refused: the bytes that go, 0 when the link is not up."""
        if self.state is not State.UP:
            return 0
        data = leaf.messages(messages)
        self.out_msgs += len(messages)
        self.out_bytes += sum(len(headers) + len(payload) for _, _, headers, payload in messages)
        self._send(data)
        return len(data)

    # ---- the router's side

    def is_congested(self) -> bool:
        return self.congested

    def enqueue(self, subject: str, reply: str, queues: Sequence[str], headers: bytes, payload: bytes) -> bool:
        rules = self.rules
        if self.closing or not rules.exported(subject):
            return False
        if (reason := self.refusal(subject, len(headers) + len(payload))) != "":
            self._tell(subject, reason)
            return False
        if self.congested and not subject.startswith(BOUNDED):
            self.dropped += 1
            self._tell("", TOO_SLOW)
            return False
        if reply and MARK in headers:
            headers = self._introduced(headers)
        if self.pacing is None or subject.startswith(BOUNDED):
            self._send_message(subject, reply, queues, headers, payload)
        else:
            self._offer(_message(subject, reply, queues, headers, payload), 1, len(headers) + len(payload))
        return True

    def line(self, head: PubHead) -> bytes | None:
        """Answers are of one message each, and what goes to windows of its own has to be looked at."""
        subject, size = head.subject, head.size
        if head.reply or subject.startswith(BOUNDED) or self.refusal(subject, size) or not self.rules.exported(subject):
            return None
        return leaf.message_head(subject, "", (), head.header_size, size)

    def put(self, data: bytes, count: int, size: int) -> None:
        if self.congested:
            self.dropped += count
            self._tell("", TOO_SLOW)
        elif not self.closing:
            if self.pacing is not None:
                self._offer(data, count, size)
                return
            if not self.out:
                self.router.touched.append(self)
            self.out.append(data)
            self.out_msgs += count
            self.out_bytes += size

    def _offer(self, data: bytes, count: int, size: int) -> None:
        """Plain messages, as much of them as the line takes without a delay; the others wait."""
        pacing = self.pacing
        assert pacing is not None
        if pacing.admits(len(data)):
            self._let_go(pacing, data, count, size)
            return
        self.congested = not pacing.hold(data, count, size)
        self._release(pacing)

    def _release(self, pacing: Pacing) -> None:
        while (found := pacing.next()) is not None:
            self._let_go(pacing, found.data, 1, found.size)
        if pacing.waiting and not pacing.pings:
            self._mark(pacing)
        if self.congested and pacing.held < HELD // 4:
            self.congested = False

    def _let_go(self, pacing: Pacing, data: bytes, count: int, size: int) -> None:
        self.out_msgs += count
        self.out_bytes += size
        self._send(data)
        if pacing.sent(len(data)):
            self._mark(pacing)

    def _mark(self, pacing: Pacing) -> None:
        pacing.pinged()
        self._send(PING)

    def _introduced(self, headers: bytes) -> bytes:
        """Who asks is of one of our accounts: the other side has its own names for those that have a link."""
        info = request_info(headers)
        account = self.router.accounts.get(str(info.get("acc"))) if info else None
        links = account.links if account is not None else ()
        name = next((link.far.account for link in links if link.far.account), "")
        return with_info(headers, info | {"acc": name}) if info and name else headers

    def flush(self) -> None:
        data = b"".join(self.out)
        self.out.clear()
        if self.wire is not None and data:
            self.wire.write(data)

    # ---- the connection's side

    def failed(self, reason: str) -> None:
        """The shell cannot go on with this connection."""
        self._fail("", reason)

    def receive(self, data: bytes, now: int) -> None:
        self.now = now
        self.received += len(data)
        if self.closing:
            return
        try:
            self.parser.receive(data)
        except ProtocolError as exc:
            self.end = exc.reason
            self._fail(str(exc), str(exc) or "malformed data from the other side")

    def closed(self, reason: str) -> None:
        """The connection is gone, for whatever reason: forget what the other side wanted."""
        was_up = self.up
        state = self.end or ("Stale Connection" if self.pings_unanswered >= self.ping_max else "Client Closed")
        if was_up:
            for watcher in self.router.watchers:
                watcher.leaving(self, self.account, state)
        if self._on_interest in self.account.interest_listeners:
            self.account.interest_listeners.remove(self._on_interest)
        subs = list(self.subs.values())
        delay = self.retry_delay_ns
        if not self.closing:
            self._say("disconnected", reason)
        self._reset()
        self.retry_delay_ns = delay
        for sub in subs:
            self.account.remove(sub)
        if was_up:
            for listener in list(self.listeners):
                listener(False)
            for watcher in self.router.watchers:
                watcher.counted(self.account)
                watcher.disconnected(self, self.account, state)

    def leave(self) -> None:
        """We are going down: say nothing more."""
        self.closing = True
        self.next_event = None

    # ---- clocks

    def deadline(self) -> int | None:
        return self.next_event

    def tick(self, now: int) -> None:
        if self.next_event is None or now < self.next_event:
            return
        self.now = now
        if self.state in (State.AWAITS_PONG, State.UP):
            self._check_life(now)
        else:
            self._on_late()

    def _on_late(self) -> None:
        """What the handshake waits for has not come in time."""
        raise NotImplementedError

    def _check_life(self, now: int) -> None:
        """A link that moves bytes in either direction lives, however long its PONG takes behind them."""
        assert self.wire is not None
        acknowledged = self.wire.acknowledged()
        moved_in = self.received > self.received_at_ping
        moved_out = self.wire.unsent() > 0 and acknowledged > self.acknowledged_at_ping
        if moved_in or moved_out:
            self.pings_unanswered = 0
        if self.pings_unanswered >= self.ping_max:
            self._fail(STALE_CONNECTION, "the other side does not answer")
            return
        self.received_at_ping = self.received
        self.acknowledged_at_ping = acknowledged
        due = self.ping_sent + self.ping_interval_ns
        if self.pings_unanswered or not self.ping_sent or now >= due:
            self._ping(now)
        else:
            self.next_event = due

    def _ping(self, now: int) -> None:
        self.pings_unanswered += 1
        self.ping_sent = now
        if self.pacing is not None:
            self.pacing.pinged()
        # What has no answer is asked again sooner, but not sooner than it can have one.
        self.next_event = now + max(self.ping_interval_ns // 2, min(4 * self.rtt, 4 * self.ping_interval_ns))
        self._send(PING)

    # ---- what the other side says

    def _on_message(self, subject: str, reply: str, headers: bytes, payload: bytes, queues: Sequence[str]) -> None:
        if not self.is_open:
            raise ProtocolError(UNKNOWN_OPERATION)
        self.in_msgs += 1
        self.in_bytes += len(headers) + len(payload)
        if self.rules.received(subject):
            self.account.deliver_from_leaf(self, subject, reply, headers, payload, queues)

    def takes(self, subject: str) -> bool:
        """Whatever is published there is taken from the other side."""
        return self.rules.received(subject)

    def _on_line(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"INFO":
            self._on_info(leaf.parse_info(line))
        elif verb == b"CONN":
            self._on_connect(line)
        elif verb == b"-ERR":
            self._on_error(leaf.parse_error(line))
        elif not self.is_open:
            raise ProtocolError(UNKNOWN_OPERATION)
        elif verb[:3] in (b"LS+", b"LS-"):
            self._on_far_interest(leaf.parse_interest(line))
        elif verb == b"PING":
            self._send(PONG)
        elif verb == b"PONG":
            self._on_pong()
        elif verb != b"+OK":
            raise ProtocolError(UNKNOWN_OPERATION)

    def _on_info(self, info: Info) -> None:
        raise NotImplementedError

    def _on_connect(self, line: bytes) -> None:
        raise ProtocolError(UNKNOWN_OPERATION)

    def _on_error(self, text: str) -> None:
        """The other side closes after most errors; closing ourselves as well does no harm."""
        self._fail("", text)

    def _on_pong(self) -> None:
        if self.pacing is not None:
            self.pings_unanswered = 0
            self.rtt = self.pacing.answered(self.now) or self.rtt
            self._release(self.pacing)
        elif self.pings_unanswered:
            self.pings_unanswered = 0
            self.rtt = self.now - self.ping_sent
        if self.state is State.AWAITS_PONG:
            self.last_error = ""
            log.info("leaf %s: connected to %s, %d subjects wanted there", self.name, self.server_name, len(self.subs))
            self._came_up()

    def _came_up(self) -> None:
        self.state = State.UP
        self.connects += 1
        for listener in list(self.listeners):
            listener(True)
        for watcher in self.router.watchers:
            watcher.counted(self.account)
            watcher.connected(self, self.account)

    def _on_far_interest(self, interest: leaf.Interest) -> None:
        subject, queue, weight = interest
        if not is_valid(subject):
            raise ProtocolError("")
        if subject.startswith(leaf.LOOP_PREFIX):
            if subject == self.account.loop_subject and weight:
                self._fail_for_loop()
                return
        elif not self._takes_interest(subject):
            return
        key = (subject, queue)
        known = self.subs.get(key)
        if weight and known is not None:
            self.account.reweigh(known, weight)
        elif weight:
            sub = Subscription(self, subject, queue)
            sub.weight = weight
            self.subs[key] = sub
            self.account.add(sub)
        elif known is not None:
            del self.subs[key]
            self.account.remove(known)

    def _takes_interest(self, subject: str) -> bool:
        """Could anything ever be sent for the other side's interest in ``subject``?"""
        return self.rules.wanted(subject)

    def _fail_for_loop(self) -> None:
        self.retry_delay_ns = LOOP_DELAY_NS
        self.end = "Protocol Violation"
        text = f'Loop detected for leafnode account="{self.account.name}"'
        self._fail(f"{text}. Delaying attempt to reconnect for 30s", text)

    # ---- what we say

    def _announce_all(self) -> None:
        """Say all that is wanted here, and ask for a PONG: after it the other side knows."""
        if not self.is_hub and self.cluster and any(link.cluster == self.cluster for link in self._inbound()):
            self._fail_for_loop()  # it is a leaf of ours: nobody would tell us of its loop within one cluster
            return
        self.state = State.AWAITS_PONG
        self._begin_to_announce()
        self._ping(self.now)

    def _inbound(self) -> "list[LeafLink]":
        """Our leafs, of this account."""
        return [link for link in self.account.links if link.is_inbound and link.is_hub]

    def _begin_to_announce(self) -> None:
        for sub in self.account.subscriptions():
            if self._is_told(sub):
                self.interest.add(sub.subject, sub.queue, sub.weight)
        self.account.interest_listeners.append(self._on_interest)
        self._announce([leaf.Interest(self.account.loop_subject, "", 1), *self.interest.all()])

    def _announce(self, interests: list[leaf.Interest]) -> None:
        for interest in interests:
            if self.rules.asks(interest.subject):
                self._send(leaf.interest_line(interest))
            else:
                log.debug("leaf %s: interest in %r stays here", self.name, interest.subject)

    def _on_interest(self, sub: Subscription, added: bool) -> None:
        if self._is_told(sub):
            change = self.interest.add if added else self.interest.remove
            interest = change(sub.subject, sub.queue, sub.weight)
            if interest is not None:
                self._announce([interest])

    def reweighed(self, sub: Subscription, by: int) -> None:
        """A queue group of another link's has ``by`` more members than before."""
        if self.state in (State.AWAITS_PONG, State.UP) and self._is_told(sub):
            change = self.interest.add if by > 0 else self.interest.remove
            interest = change(sub.subject, sub.queue, abs(by))
            if interest is not None:
                self._announce([interest])

    def _is_told(self, sub: Subscription) -> bool:
        """Does the other side hear of this interest?  A hub not of another hub's, but of that which shows loops; nobody
        of its own, nor of its cluster's."""
        if not sub.announce or sub.peer.kind is not PeerKind.LEAF:
            return sub.announce
        link = (sub.of if isinstance(sub, Shadow) else sub).peer
        if not isinstance(link, LeafLink) or link is self or self.is_isolated:
            return False
        if link.cluster and link.cluster == self.cluster:
            return False
        return self.is_hub or link.is_hub or sub.subject.startswith(leaf.LOOP_PREFIX)

    def _send_message(self, subject: str, reply: str, queues: Sequence[str], headers: bytes, payload: bytes) -> None:
        size = len(headers) + len(payload)
        self.out_msgs += 1
        self.out_bytes += size
        self._send(_message(subject, reply, queues, headers, payload))

    def _send(self, data: bytes) -> None:
        if self.closing:
            return
        if not self.out:
            self.router.touch(self)
        self.out.append(data)

    def _tell(self, subject: str, reason: str) -> None:
        """Once for each subject and connection: a link must not fill the log."""
        if subject not in self.told and len(self.told) < TOLD_MAX:
            self.told.add(subject)
            log.warning("leaf %s: not sent: %s", self.name, reason)

    def _fail(self, text: str, reason: str) -> None:
        """-ERR (where there is a text for it) and the end of this connection."""
        if self.closing or self.wire is None:
            return
        if text:
            self._send(error_line(text))
        self.closing = True
        self.next_event = None
        self._say("closed", reason)
        wire = self.wire
        self.flush()
        wire.close()

    def _say(self, what: str, reason: str) -> None:
        """A hub that refuses us all night is one line in the log, not thirty thousand."""
        level = logging.DEBUG if reason == self.last_error else logging.WARNING
        log.log(level, "leaf %s: %s: %s", self.name, what, reason)
        self.last_error = reason


def _message(subject: str, reply: str, queues: Sequence[str], headers: bytes, payload: bytes) -> bytes:
    size = len(headers) + len(payload)
    return b"".join((leaf.message_head(subject, reply, queues, len(headers), size), headers, payload, CRLF))
