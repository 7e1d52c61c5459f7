"""What all MQTT clients of a server share, and the way of a published message to the router and back as a PUBACK."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from edge.core.account import Account
from edge.core.auth import Authenticator
from edge.core.mqtt_repeats import Entry, Recent, Repeats
from edge.core.mqtt_retained import Retained, RetainedMessages
from edge.core.mqtt_session import PUB_HEADER
from edge.core.mqtt_sessions import Sessions
from edge.core.peer import Peer
from edge.core.permissions import Permissions
from edge.core.router import Router
from edge.core.values import Values
from edge.errors import StoreError
from edge.protocol.mqtt import Publish
from edge.protocol.mqtt_topics import topic_to_subject

log = logging.getLogger("edge.mqtt")

HEADERS = tuple(f"NATS/1.0\r\n{PUB_HEADER}:{qos}\r\n\r\n".encode() for qos in (0, 1))
SECOND = 1_000_000_000
MAX_DIGITS = 20


class MqttLimits(NamedTuple):
    max_payload: int = 1 << 20
    max_connections: int = 65_536
    max_unacked: int = 1024  # QoS 1 messages under way to a client (mqtt.max_ack_pending)
    max_pending: int = 8 << 20  # bytes that a client has not read, then QoS 0 messages for it are dropped
    connect_timeout_ns: int = 2 * SECOND
    write_deadline_ns: int = 10 * SECOND


class Sender(NamedTuple):
    """A logged-in client.  ``client_id`` is empty when it has none that it could come back with."""

    name: str
    account: Account
    client_id: str
    permissions: Permissions | None
    peer: Peer | None = None


class Confirmation(Protocol):
    """The PUBACK of a QoS 1 message: ``expect`` one more word before it may leave."""

    def expect(self, entry: Entry | None = None) -> None: ...
    def confirm(self) -> None: ...
    def fail(self, reason: str) -> None: ...


class Broker:
    """``found``: the values of the store at the start.  ``recent``: the last messages of its streams at the start.
    ``random_id``: a name that nobody can guess."""

    def __init__(
        self,
        router: Router,
        auth: Authenticator,
        limits: MqttLimits,
        values: Values,
        found: Mapping[str, bytes],
        recent: Callable[[], Iterable[Recent]],
        random_id: Callable[[], str],
    ) -> None:
        self.router = router
        self.auth = auth
        self.limits = limits
        self.values = values
        self.random_id = random_id
        self.sessions = Sessions(router, values, found, limits.max_unacked)
        self.retained = RetainedMessages(values, found)
        self.repeats = Repeats(values, router, found, recent)
        self.answers = f"$MQTT.ack.{random_id()}"
        self.listening: set[str] = set()  # accounts
        self.expected: dict[int, Entry] = {}  # messages that a stream has not answered

    def enter(self, account: Account) -> None:
        """A client of this account has come: hear what streams say to its messages."""
        if account.name not in self.listening:
            self.listening.add(account.name)
            account.subscribe(f"{self.answers}.*", self._answered, announce=False)

    def publish(self, sender: Sender, message: Publish, confirmation: Confirmation | None) -> None:
        """``confirmation`` None: nobody waits (QoS 0, a will).  ProtocolError for a topic that is none."""
        account, payload = sender.account, message.payload
        subject = account.mapped(topic_to_subject(message.topic))
        if not subject:
            return  # to be lost
        if sender.permissions is not None and not sender.permissions.publish.permits(subject):
            # acknowledged all the same [MQTT-3.3.5-2]: the client could do nothing but send it again for ever
            log.warning('%s: permissions violation for publish to "%s"', sender.name, subject)
            return
        if message.retain and not self._retain(sender, Retained(subject, payload, message.qos), confirmation):
            return
        if confirmation is None or not self._is_captured(account, subject):
            account.publish(subject, payload, headers=HEADERS[message.qos], origin=sender.peer)
        else:
            self._publish_to_stream(sender, message, subject, confirmation)

    def _publish_to_stream(self, sender: Sender, message: Publish, subject: str, confirmation: Confirmation) -> None:
        account, payload = sender.account, message.payload
        origin = (account.name, sender.client_id, message.packet_id, subject, payload)
        entry = self.repeats.find(*origin) if message.dup else None
        if entry is not None:
            log.debug("%s: packet %d on %s is sent again", sender.name, message.packet_id, subject)
            confirmation.expect(entry)
            if entry.stored:
                confirmation.confirm()
            else:
                entry.waiters.append(confirmation)
            return
        entry = self.repeats.add(*origin)
        entry.waiters.append(confirmation)
        confirmation.expect(entry)
        self.expected[entry.number] = entry
        line = self.repeats.header(entry)
        headers = HEADERS[1][:-2] + f"{line}\r\n\r\n".encode() if line else HEADERS[1]
        answer = f"{self.answers}.{entry.number}"
        account.publish(subject, payload, headers=headers, capture_reply=answer, origin=sender.peer)

    def give_up(self, entries: Iterable[Entry]) -> None:
        """Their stream is gone and will not answer: what is sent again is a new message."""
        for entry in entries:
            if self.expected.pop(entry.number, None) is not None:
                self.repeats.forget(entry)

    def _is_captured(self, account: Account, subject: str) -> bool:
        return any(sub.capture for sub in account.sublist.match(subject).plain)

    def _retain(self, sender: Sender, message: Retained, confirmation: Confirmation | None) -> bool:
        """False: there is no room, and somebody waits to hear that there is."""
        if confirmation is not None:
            confirmation.expect()

        def done(error: StoreError | None) -> None:
            if confirmation is not None and error is None:
                confirmation.confirm()
            elif confirmation is not None:
                confirmation.fail(f"the retained message of {message.subject} is not kept: {error}")

        if self.retained.put(sender.account.name, message, done):
            return True
        reason = f"no room for the retained message of {message.subject}"
        log.error("%s: %s", sender.name, reason)
        if confirmation is not None:
            confirmation.fail(reason)
        return confirmation is None

    def _answered(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """A stream's PubAck, or its refusal."""
        number = subject.rpartition(".")[2]
        entry = self.expected.pop(int(number), None) if number.isdecimal() and len(number) <= MAX_DIGITS else None
        if entry is None:
            return
        refusal = _refusal(payload)
        if refusal:
            self.repeats.forget(entry)
        else:
            self.repeats.stored(entry)
        waiters, entry.waiters = entry.waiters, []
        for waiter in waiters:
            if refusal:
                waiter.fail(f"the stream did not take packet {entry.packet_id}: {refusal}")
            else:
                waiter.confirm()


def _refusal(payload: bytes) -> str:
    """Why a message is not stored, empty when it is.  Anybody in the account may write to a subject."""
    try:
        answer = json.loads(payload)
        return str(answer["error"]["description"]) if "error" in answer else ""
    except (ValueError, TypeError, KeyError):
        return "an answer that is none"
