"""An MQTT client as the router sees it: from CONNECT to the end, its PUBACKs, its will.  No sockets, no clock."""

import logging
from collections import deque
from typing import Protocol

from edge.core.account import Account
from edge.core.auth import Credentials, Login, Refusal
from edge.core.certificate import PeerCertificate
from edge.core.mqtt_broker import SECOND, Broker, Sender
from edge.core.mqtt_repeats import Entry
from edge.core.mqtt_session import Session
from edge.core.mqtt_sessions import TooManySessions
from edge.core.peer import Peer, PeerKind
from edge.core.values import Done
from edge.errors import ProtocolError, StoreError
from edge.protocol import mqtt
from edge.protocol.mqtt import (
    FAILURE,
    FROM_CLIENT,
    Ack,
    Code,
    Connack,
    Connect,
    ConnectRefused,
    Kind,
    Packet,
    Publish,
    Signal,
    Suback,
    Subscribe,
    Unsubscribe,
    Will,
)
from edge.protocol.mqtt_topics import topic_to_subject

log = logging.getLogger("edge.mqtt")

MAX_CONNECT = 128 * 1024  # bytes of a CONNECT: whoever sends it is unknown yet
MAX_CLIENT_ID = 1024  # bytes; it is written into a header of each message that a stream captures
MAX_WAITING = 1024  # messages that wait for a stream; then no more is read from the client
ANSWER_TIMEOUT_NS = 30 * SECOND
PINGRESP = mqtt.encode(Signal(Kind.PINGRESP))


# nats-server's reasons for the end of a connection, by a part of ours.
STATES = (
    ("is not let in", "Authentication Failure"),
    ("no CONNECT in time", "Authentication Timeout"),
    ("maximum connections", "Maximum Connections Exceeded"),
    ("another connection has taken", "Duplicate Client ID"),
    ("slow consumer", "Slow Consumer (Write Deadline)"),
    ("keep alive", "Read Error"),
    ("server shutdown", "Server Shutdown"),
    ("kicked", "Kicked"),
)


class Shell(Protocol):
    """The connection.  ``close`` lets what was written go out; ``resume`` is called when ``is_busy`` has ended.
    ``started_ns`` is wall time."""

    congested: bool
    kind: str
    number: int
    ip: str
    started_ns: int

    @property
    def certificate(self) -> PeerCertificate | None: ...
    def write(self, data: bytes) -> None: ...
    def close(self, reason: str) -> None: ...
    def resume(self) -> None: ...
    def on_verdict(self) -> None:
        """A verdict has come late: call ``judged`` in a batch of its own."""


class PubAck:
    """What has to be said before the PUBACK of a message may leave: 0 words are missing, and it is its turn."""

    __slots__ = ("client", "entry", "missing", "packet_id", "since")

    def __init__(self, client: "MqttClient", packet_id: int, since: int) -> None:
        self.client = client
        self.packet_id = packet_id
        self.since = since
        self.missing = 1  # the client itself, when it has handed the message on
        self.entry: Entry | None = None

    def expect(self, entry: Entry | None = None) -> None:
        self.missing += 1
        self.entry = entry or self.entry

    def confirm(self) -> None:
        self.missing -= 1
        if not self.missing:
            self.client.release()

    def fail(self, reason: str) -> None:
        self.client.give_up(reason)


class MqttClient(Peer):
    """``user`` and ``client_id`` are what it says of itself, believed or not."""

    def __init__(self, broker: Broker, shell: Shell, name: str, now: int) -> None:
        super().__init__(PeerKind.MQTT, name)
        self.broker = broker
        self.shell = shell
        self.account = broker.router.account(broker.auth.account)
        self.user = self.client_id = ""
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0
        self.opened_at = self.last_seen = now
        self.parser = mqtt.Parser(FROM_CLIENT, MAX_CONNECT)
        self.connect: Connect | None = None
        self.session: Session | None = None
        self.sender: Sender | None = None
        self.will: Will | None = None
        self.keepalive_ns = 0
        self.expires_ns: int | None = None  # wall time, of its credentials
        self.held: deque[Packet] | None = None  # packets that came while the CONNECT is being settled
        self.asked: Connect | None = None
        self.verdict: Login | Refusal | None = None
        self.puback: deque[PubAck] = deque()
        self.out: list[bytes] = []
        self.ended = False
        self.dropped = 0  # QoS 0 messages that the client did not keep up with

    # ---- the connection's side

    @property
    def is_busy(self) -> bool:
        """Should no more be read for now?"""
        return self.held is not None or len(self.puback) >= MAX_WAITING

    def receive(self, data: bytes, now: int) -> None:
        """ProtocolError: the packets before the fault have been carried out; close the connection."""
        self.last_seen = now
        try:
            for packet in self.parser.receive_data(data):
                if self.ended:
                    return
                if self.held is not None:
                    self.held.append(packet)
                else:
                    self._handle(packet)
        except ConnectRefused as exc:
            self.send(mqtt.encode(Connack(False, exc.code)))
            raise

    def check(self, now: int) -> str:
        """Why the connection is to be closed; empty when it is not."""
        if self.connect is None:
            late = now - self.opened_at > self.broker.limits.connect_timeout_ns
            return "no CONNECT in time" if late else ""
        if self.puback and now - self.puback[0].since > ANSWER_TIMEOUT_NS:
            self.broker.give_up([waiting.entry for waiting in self.puback if waiting.entry is not None])
            return "a stream did not answer in time"
        if self.keepalive_ns and now - self.last_seen > self.keepalive_ns and not self.is_busy:
            return "keep alive exceeded"  # [MQTT-3.1.2-24]
        return ""

    def may_stay(self, verdict: Login | Refusal) -> bool:
        """Judged again because the rules have changed: what it may do is settled at its CONNECT."""
        if self.sender is None or isinstance(verdict, Refusal):
            return False
        return (verdict.account, verdict.permissions) == (self.sender.account.name, self.sender.permissions)

    def end(self, reason: str = "") -> None:
        """The connection is gone, or is about to be: with its will, unless a DISCONNECT came first."""
        if self.ended:
            return
        self.ended = True
        self._leave_account(state_of(reason))
        self.held = None
        self.puback.clear()
        if self.session is not None and self.session.outlet is self:
            self.broker.sessions.close(self.session)
        will, self.will = self.will, None
        if will is not None and self.sender is not None:
            self.broker.publish(self.sender, Publish(will.topic, will.payload, min(will.qos, 1), will.retain), None)

    def _enter_account(self, account: Account, client_id: str) -> None:
        self.account = account
        self.client_id = client_id
        account.mqtt_clients.add(self)
        for watcher in self.broker.router.watchers:
            watcher.counted(account)
            watcher.connected(self, account)

    def _leave_account(self, state: str) -> None:
        account = self.account
        for watcher in self.broker.router.watchers:
            watcher.leaving(self, account, state)
        was_in = self in account.mqtt_clients
        if was_in:
            account.mqtt_clients.remove(self)
            account.past = account.past.plus(self)
        account.slow_consumers += state.startswith("Slow Consumer")
        for watcher in self.broker.router.watchers:
            if was_in:
                watcher.counted(account)
            elif state == "Authentication Failure":
                watcher.refused(self, account, state)
            watcher.disconnected(self, account, state)

    # ---- the session's side

    def deliver(self, topic: str, payload: bytes, qos: int, retain: bool, dup: bool, packet_id: int) -> None:
        if not qos and self.shell.congested:
            self.dropped += 1
            if self.dropped == 1:
                log.warning("%s: slow consumer: QoS 0 messages are dropped", self.name)
            return
        self.out_msgs += 1
        self.out_bytes += len(payload)
        self.send(mqtt.encode_publish(topic, payload, qos, retain, dup, packet_id))

    def leave(self) -> None:
        self.shell.close("another connection has taken its client identifier")  # [MQTT-3.1.4-2]

    def send(self, data: bytes) -> None:
        if not self.out:
            self.broker.router.touch(self)
        self.out.append(data)

    def flush(self) -> None:
        data = b"".join(self.out)
        self.out.clear()
        self.shell.write(data)

    # ---- PUBACKs leave in the order in which the messages came [MQTT-4.6.0-2]

    def release(self) -> None:
        was_busy = self.is_busy
        while self.puback and not self.puback[0].missing:
            waiting = self.puback.popleft()
            if waiting.entry is not None:
                waiting.entry.acked = True
            self.send(mqtt.encode(Ack(Kind.PUBACK, waiting.packet_id)))
        if was_busy and not self.is_busy:
            self.shell.resume()

    def give_up(self, reason: str) -> None:
        """A message is not kept: no PUBACK for it, so that the client keeps it and sends it again."""
        if not self.ended:
            self.shell.close(reason)

    # ---- packets

    def _handle(self, packet: Packet) -> None:
        if self.connect is None:
            if not isinstance(packet, Connect):
                raise ProtocolError("the first packet is not CONNECT")  # [MQTT-3.1.0-1]
            self._on_connect(packet)
            return
        assert self.session is not None
        match packet:
            case Publish():
                self._on_publish(packet)
            case Ack(Kind.PUBACK, packet_id):
                self.session.acknowledge(packet_id)
            case Ack(kind):
                raise ProtocolError(f"{kind.name} belongs to QoS 2, which is not spoken here yet")
            case Subscribe():
                self._on_subscribe(self.session, packet)
            case Unsubscribe():
                self._on_unsubscribe(self.session, packet)
            case Signal(Kind.PINGREQ):
                self.send(PINGRESP)
            case Signal():
                self._on_disconnect(self.session)
            case _:
                raise ProtocolError("a second CONNECT")  # [MQTT-3.1.0-2]

    def _on_connect(self, packet: Connect) -> None:
        """Ask for a verdict; what comes before it waits."""
        self.user, self.client_id = packet.user or "", packet.client_id
        self.held = deque()
        self.asked = packet
        asking = True

        def judged(verdict: Login | Refusal) -> None:
            self.verdict = verdict
            if not asking:
                self.shell.on_verdict()

        self.broker.auth.login(credentials(packet, self.shell), judged)
        asking = False
        if self.verdict is not None:
            self._decide()

    def judged(self) -> None:
        """The verdict has come after ``receive`` had returned."""
        if self.ended:
            return
        try:
            self._decide()
        except ConnectRefused as exc:
            self.send(mqtt.encode(Connack(False, exc.code)))
            self.shell.close(str(exc))
        except ProtocolError as exc:
            self.shell.close(str(exc))
        self.shell.resume()

    def _decide(self) -> None:
        verdict, self.verdict = self.verdict, None
        assert verdict is not None and self.asked is not None
        if not self._admit(self.asked, verdict):
            self._catch_up()

    def _catch_up(self) -> None:
        """What was held is carried out."""
        held, self.held = self.held, None
        for packet in held or ():
            if not self.ended:
                self._handle(packet)

    def _admit(self, packet: Connect, login: Login | Refusal) -> bool:
        """True when the rest must wait for the store.  ConnectRefused when it is not to be."""
        if isinstance(login, Refusal):
            raise ConnectRefused(Code.NOT_AUTHORIZED, f"user {packet.user!r} is not let in")
        if len(packet.client_id.encode()) > MAX_CLIENT_ID:
            raise ConnectRefused(Code.IDENTIFIER_REJECTED, f"a client identifier of more than {MAX_CLIENT_ID} bytes")
        if packet.will is not None:
            topic_to_subject(packet.will.topic)
        account = self.broker.router.account(login.account)
        client_id = packet.client_id or self.broker.random_id()
        self.name = f"{self.name} - {client_id!r}"
        known = self.broker.sessions.get(account, client_id)
        if known is not None and known.outlet is not None:
            known.outlet.leave()
        try:
            session, is_present, has_dropped = self.broker.sessions.open(account, client_id, packet.clean)
        except TooManySessions as exc:
            raise ConnectRefused(Code.SERVER_UNAVAILABLE, str(exc)) from exc
        self.broker.enter(account)
        self._enter_account(account, client_id)
        self.connect = packet
        self.session = session
        self.sender = Sender(self.name, account, packet.client_id, login.permissions, self)
        self.will = packet.will
        self.expires_ns = login.expires_ns
        self.keepalive_ns = packet.keepalive * 3 * SECOND // 2
        self.parser.max_packet = self.broker.limits.max_payload + 2 + mqtt.MAX_TEXT + 2
        session.outlet = self
        if has_dropped:
            self.broker.values.commit(self._on_dropped)
        else:
            self._welcome(is_present)
        return has_dropped

    def _on_dropped(self, error: StoreError | None) -> None:
        """The session that was to be discarded is gone from the store."""
        if self.ended:
            return
        if error is not None:
            self.send(mqtt.encode(Connack(False, Code.SERVER_UNAVAILABLE)))
            self.will = None
            self.shell.close(f"the old session cannot be discarded: {error}")
            return
        self._welcome(False)
        try:
            self._catch_up()
        except ProtocolError as exc:
            self.shell.close(str(exc))
        self.shell.resume()

    def _welcome(self, is_present: bool) -> None:
        assert self.session is not None and self.sender is not None
        self.send(mqtt.encode(Connack(is_present, Code.ACCEPTED)))
        self.session.attach(self, (self.connect and self.connect.user) or "", self.sender.permissions)

    def _on_publish(self, packet: Publish) -> None:
        assert self.sender is not None
        if packet.qos == 2:
            raise ProtocolError(f"QoS 2 is not spoken here yet (topic {packet.topic!r})")
        if len(packet.payload) > self.broker.limits.max_payload:
            raise ProtocolError(f"a payload of {len(packet.payload)} bytes")
        self.in_msgs += 1
        self.in_bytes += len(packet.payload)
        if not packet.qos:
            self.broker.publish(self.sender, packet, None)
            return
        waiting = PubAck(self, packet.packet_id, self.last_seen)
        self.puback.append(waiting)
        self.broker.publish(self.sender, packet, waiting)
        waiting.confirm()

    def _on_subscribe(self, session: Session, packet: Subscribe) -> None:
        before = {text: held.qos for text, held in session.filters.items()}
        # QoS 2 is granted as 1: at least once is what can be kept
        codes = tuple([session.subscribe(text, min(qos, 1)) for text, qos in packet.filters])

        def answer(error: StoreError | None) -> None:
            if self.ended:
                return
            if error is not None:
                log.error("%s: subscription refused: %s", self.name, error)
                self._restore_filters(session, packet, before)
                self.send(mqtt.encode(Suback(packet.packet_id, (FAILURE,) * len(codes))))
                return
            self.send(mqtt.encode(Suback(packet.packet_id, codes)))
            for (text, _), code in zip(packet.filters, codes, strict=True):
                if code != FAILURE:
                    self._send_retained(session, text)

        self._settle(session, answer)

    def _on_unsubscribe(self, session: Session, packet: Unsubscribe) -> None:
        for text in packet.filters:
            session.unsubscribe(text)

        def answer(error: StoreError | None) -> None:
            if error is not None:
                self.give_up(f"the end of a subscription cannot be kept: {error}")
            elif not self.ended:
                self.send(mqtt.encode(Ack(Kind.UNSUBACK, packet.packet_id)))

        self._settle(session, answer)

    def _settle(self, session: Session, answer: Done) -> None:
        """What is acknowledged to a persistent session is in the store first."""
        if session.clean:
            answer(None)
        else:
            self.broker.sessions.save(session, answer)

    def _restore_filters(self, session: Session, packet: Subscribe, before: dict[str, int]) -> None:
        """As it was before; what has gone since then stays away."""
        for text, _ in packet.filters:
            held = session.filters.get(text)
            if held is not None and text in before:
                held.qos = before[text]
            else:
                session.unsubscribe(text)

    def _send_retained(self, session: Session, text: str) -> None:
        held = session.filters.get(text)
        if held is None:
            return
        for subject in held.subjects:
            for message in self.broker.retained.matching(session.account.name, subject):
                if session.may_see(held, message.subject):
                    session.give(message.subject, message.payload, min(held.qos, message.qos), True)

    def _on_disconnect(self, session: Session) -> None:
        self.will = None  # [MQTT-3.14.4-3]
        if self.sender is not None and self.sender.client_id:
            self.broker.repeats.leave(session.account.name, self.sender.client_id)
        self.shell.close("")


def credentials(packet: Connect, shell: Shell) -> Credentials:
    password = (packet.password or b"").decode("utf-8", "surrogateescape")
    return Credentials(
        user=packet.user or "", password=password, token=password, jwt=password if password[:3] == "eyJ" else "",
        kind=shell.kind, ip=shell.ip, cid=shell.number, certificate=shell.certificate, mqtt_id=packet.client_id,
    )  # fmt: skip


def state_of(reason: str) -> str:
    """nats-server's word for it."""
    return next((state for part, state in STATES if part in reason), "Client Closed")
