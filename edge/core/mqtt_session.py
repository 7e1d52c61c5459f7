"""A session: what a client is subscribed to, and the QoS 1 messages that it has not acknowledged."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from edge.core.account import Account
from edge.core.peer import Subscription
from edge.core.permissions import Permissions
from edge.errors import ProtocolError
from edge.message import header_get
from edge.protocol.mqtt import FAILURE, MAX_PACKET_ID
from edge.protocol.mqtt_topics import filter_to_subjects, subject_to_topic

PUB_HEADER = "Nmqtt-Pub"  # the QoS with which a client of MQTT published; messages of NATS clients have none
MAX_FILTERS = 1024
MAX_UNACKED_BYTES = 4 << 20


class Outlet(Protocol):
    """The connected client."""

    def deliver(self, topic: str, payload: bytes, qos: int, retain: bool, dup: bool, packet_id: int) -> None:
        """Send it; with QoS 0 it may be let fall."""

    def leave(self) -> None:
        """Another connection takes the session."""


class Filter:
    """``is_guarded``: what arrives is held against the user's denied subjects."""

    __slots__ = ("hides_dollar", "is_guarded", "qos", "subjects", "subscriptions", "text")

    def __init__(self, text: str, subjects: tuple[str, ...], qos: int) -> None:
        self.text = text
        self.subjects = subjects
        self.qos = qos
        self.hides_dollar = text[0] in "+#"  # such a filter matches no topic that begins with $ [MQTT-4.7.2-1]
        self.is_guarded = False
        self.subscriptions: list[Subscription] = []

    def hides(self, subject: str) -> bool:
        return self.hides_dollar and subject.startswith("$")


class Message(NamedTuple):
    """Under way to the client with QoS 1.  ``sent``: on some connection already."""

    topic: str
    payload: bytes
    retain: bool
    sent: bool


class Session:
    """``clean``: ends with its connection.  ``say``: a line for the log of what does not reach the client."""

    def __init__(
        self, account: Account, client_id: str, clean: bool, max_unacked: int, say: Callable[[str], None]
    ) -> None:
        self.account = account
        self.client_id = client_id
        self.clean = clean
        self.max_unacked = max_unacked
        self.say = say
        self.filters: dict[str, Filter] = {}
        self.outlet: Outlet | None = None
        self.user = ""
        self.permissions: Permissions | None = None
        self.unacked: dict[int, Message] = {}
        self.unacked_bytes = 0
        self.last_packet_id = 0
        self.is_losing = False

    # ---- the connection

    def attach(self, outlet: Outlet, user: str, permissions: Permissions | None) -> None:
        """A client has come (back): what it was not seen to receive is sent again, in the same order."""
        if user != self.user:
            self.unacked.clear()  # collected under another's permissions
            self.unacked_bytes = 0
        self.user = user
        self.permissions = permissions
        self.outlet = outlet
        for held in self.filters.values():
            self._listen(held)
        for packet_id, message in list(self.unacked.items()):
            self._send(packet_id, message)

    def detach(self) -> None:
        """The client is gone.  What a session that stays has with QoS 1 goes on gathering, within its bounds."""
        self.outlet = None
        for held in self.filters.values():
            if self.clean or not held.qos:
                self._ignore(held)

    def end(self) -> None:
        for held in self.filters.values():
            self._ignore(held)
        self.filters.clear()
        self.unacked.clear()

    # ---- interest

    def subscribe(self, text: str, qos: int) -> int:
        """The granted QoS, or FAILURE.  The same filter again takes the place of the one before."""
        try:
            subjects = filter_to_subjects(text)
        except ProtocolError as exc:
            self.say(f"subscription refused: {exc}")
            return FAILURE
        if not self._may_listen(subjects[-1]):
            self.say(f'subscription refused: permissions violation for "{subjects[-1]}"')
            return FAILURE
        held = self.filters.get(text)
        if held is None:
            if len(self.filters) >= MAX_FILTERS:
                self.say(f"subscription refused: {MAX_FILTERS} filters are the most that a client may have")
                return FAILURE
            held = self.filters[text] = Filter(text, subjects, qos)
            self._listen(held)
        held.qos = qos
        return qos

    def unsubscribe(self, text: str) -> None:
        held = self.filters.pop(text, None)
        if held is not None:
            self._ignore(held)

    def remember(self, text: str, qos: int) -> None:
        """A filter from the store: it takes effect when the client comes back."""
        self.filters[text] = Filter(text, filter_to_subjects(text), qos)

    # ---- messages

    def receive(self, held: Filter, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """From the router."""
        if self.may_see(held, subject):
            qos = held.qos and headers and header_get(headers, PUB_HEADER) in ("1", "2")
            self.give(subject, payload, 1 if qos else 0, False)

    def may_see(self, held: Filter, subject: str) -> bool:
        if held.is_guarded and self.permissions is not None and not self.permissions.subscribe.delivers(subject):
            return False
        return not held.hides(subject)

    def give(self, subject: str, payload: bytes, qos: int, retain: bool) -> None:
        topic = subject_to_topic(subject)
        if not topic:
            return
        if not qos:
            if self.outlet is not None:
                self.outlet.deliver(topic, payload, 0, retain, False, 0)
        elif len(self.unacked) >= self.max_unacked or self.unacked_bytes + len(payload) > MAX_UNACKED_BYTES:
            self._lose()
        else:
            packet_id = self._next_packet_id()
            self.unacked_bytes += len(payload)
            self._send(packet_id, Message(topic, payload, retain, False))

    def acknowledge(self, packet_id: int) -> None:
        message = self.unacked.pop(packet_id, None)
        if message is not None:
            self.unacked_bytes -= len(message.payload)
            self.is_losing = False

    # ---- inside

    def _send(self, packet_id: int, message: Message) -> None:
        sent = self.outlet is not None
        self.unacked[packet_id] = message._replace(sent=message.sent or sent)
        if self.outlet is not None:
            self.outlet.deliver(message.topic, message.payload, 1, message.retain, message.sent, packet_id)

    def _lose(self) -> None:
        if not self.is_losing:
            self.is_losing = True
            self.say(f"messages are lost: {len(self.unacked)} wait for the client's PUBACK already")

    def _next_packet_id(self) -> int:
        packet_id = self.last_packet_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self.unacked:
                self.last_packet_id = packet_id
                return packet_id

    def _may_listen(self, subject: str) -> bool:
        return self.permissions is None or self.permissions.subscribe.permits_interest(subject)

    def _listen(self, held: Filter) -> None:
        self._ignore(held)
        rule = self.permissions.subscribe if self.permissions is not None else None
        held.is_guarded = rule is not None and any(rule.filters(subject) for subject in held.subjects)
        for subject in held.subjects:
            if self._may_listen(subject):
                held.subscriptions.append(self.account.subscribe(subject, partial(self.receive, held)))

    def _ignore(self, held: Filter) -> None:
        for subscription in held.subscriptions:
            self.account.unsubscribe(subscription)
        held.subscriptions.clear()
