"""What JetStream tells whoever listens (reference: jetstream.md section 7).  Nothing is made up for nobody."""

import random
from collections.abc import Mapping

from edge.core.account import Account
from edge.core.client_info import client_info
from edge.core.peer import Peer
from edge.core.times import Clock, rfc3339
from edge.jetstream.acks import AckPlace
from edge.jetstream.fields import dumps

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
ACK_METRIC = "io.nats.jetstream.metric.v1.consumer_ack"
API = "$JS.EVENT.ADVISORY.API"


class Advisories:
    """The advisories of one account."""

    def __init__(self, account: Account, clock: Clock, domain: str, server_name: str) -> None:
        self.account = account
        self.clock = clock
        self.domain = domain
        self.server_name = server_name

    def stream_action(self, stream: str, what: str, action: str) -> None:
        self._publish(f"STREAM.{what}.{stream}", "stream_action", {"stream": stream, "action": action})

    def snapshot_created(self, stream: str, state: object, client: object) -> None:
        fields = {"stream": stream, "state": state, "client": client, **self._domain()}
        self._publish(f"STREAM.SNAPSHOT_CREATE.{stream}", "snapshot_create", fields)

    def snapshot_completed(self, stream: str, start: str, end: str, client: object, problem: str) -> None:
        said = {"error": problem} if problem else {}
        fields = {"stream": stream, "start": start, "end": end, "client": client, **self._domain(), **said}
        self._publish(f"STREAM.SNAPSHOT_COMPLETE.{stream}", "snapshot_complete", fields)

    def restore_created(self, stream: str, client: object) -> None:
        self._publish(f"STREAM.RESTORE_CREATE.{stream}", "restore_create", {"stream": stream, "client": client})

    def restore_completed(self, stream: str, start: str, end: str, size: int, client: object) -> None:
        fields = {"stream": stream, "start": start, "end": end, "bytes": size, "client": client}
        self._publish(f"STREAM.RESTORE_COMPLETE.{stream}", "restore_complete", fields)

    def batch_abandoned(self, stream: str, batch: str, reason: str) -> None:
        fields = {"stream": stream, "batch": batch, "reason": reason}
        self._publish(f"STREAM.BATCH_ABANDONED.{stream}", "stream_batch_abandoned", fields)

    def consumer_action(self, stream: str, consumer: str, what: str, action: str) -> None:
        fields = {"stream": stream, "consumer": consumer, "action": action}
        self._publish(f"CONSUMER.{what}.{stream}.{consumer}", "consumer_action", fields)

    def max_deliveries(self, stream: str, consumer: str, seq: int, count: int) -> None:
        fields = {"stream": stream, "consumer": consumer, "stream_seq": seq, "deliveries": count}
        self._publish(f"CONSUMER.MAX_DELIVERIES.{stream}.{consumer}", "max_deliver", fields)

    def naked(self, stream: str, consumer: str, place: AckPlace) -> None:
        self._publish(f"CONSUMER.MSG_NAKED.{stream}.{consumer}", "nak", _of(stream, consumer, place))

    def terminated(self, stream: str, consumer: str, place: AckPlace, reason: str) -> None:
        fields = _of(stream, consumer, place) | ({"reason": reason} if reason else {})
        self._publish(f"CONSUMER.MSG_TERMINATED.{stream}.{consumer}", "terminated", fields)

    def paused(self, stream: str, consumer: str, until: str, is_paused: bool) -> None:
        fields = {"stream": stream, "consumer": consumer, "paused": is_paused, "pause_until": until}
        self._publish(f"CONSUMER.PAUSE.{stream}.{consumer}", "consumer_pause", fields)

    def pinned(self, stream: str, consumer: str, group: str, pin: str) -> None:
        fields = self._group(stream, consumer, group) | {"pinned_id": pin}
        self._publish(f"CONSUMER.PINNED.{stream}.{consumer}", "consumer_group_pinned", fields)

    def unpinned(self, stream: str, consumer: str, group: str, reason: str) -> None:
        fields = self._group(stream, consumer, group) | {"reason": reason}
        self._publish(f"CONSUMER.UNPINNED.{stream}.{consumer}", "consumer_group_unpinned", fields)

    def _group(self, stream: str, consumer: str, group: str) -> dict[str, object]:
        named = {"account": self.account.name, "stream": stream, "consumer": consumer}
        return {**named, **self._domain(), "group": group}

    def _domain(self) -> dict[str, object]:
        return {"domain": self.domain} if self.domain else {}

    def acked(self, stream: str, consumer: str, place: AckPlace, took_ns: int) -> None:
        """A sample of how long acks take."""
        fields = {
            "stream": stream, "consumer": consumer, "consumer_seq": place.consumer_seq, "stream_seq": place.stream_seq,
            "ack_time": took_ns, "deliveries": place.deliveries,
        }  # fmt: skip
        self._tell(f"$JS.EVENT.METRIC.CONSUMER.ACK.{stream}.{consumer}", ACK_METRIC, fields)

    def audits(self) -> bool:
        """Does anybody want to know of every API call?"""
        return self.account.has_interest(API)

    def api_audit(self, origin: Peer | None, subject: str, request: bytes, response: bytes) -> None:
        """``origin``: who asked."""
        client = client_info(origin, self.server_name)
        fields = {"server": self.server_name, "client": client, "subject": subject}
        if request:
            fields["request"] = request.decode("utf-8", "replace")
        self._publish("API", "api_audit", fields | {"response": response.decode()})

    def _publish(self, subject: str, kind: str, fields: Mapping[str, object]) -> None:
        self._tell(f"$JS.EVENT.ADVISORY.{subject}", f"io.nats.jetstream.advisory.v1.{kind}", fields)

    def _tell(self, subject: str, kind: str, fields: Mapping[str, object]) -> None:
        if not self.account.has_interest(subject):
            return
        head = {
            "type": kind,
            "id": random_name(22),
            "timestamp": rfc3339(self.clock.wall()),
        }
        tail = {"domain": self.domain} if self.domain and "domain" not in fields else {}
        self.account.publish(subject, dumps({**head, **fields, **tail}))


def _of(stream: str, consumer: str, place: AckPlace) -> dict[str, object]:
    return {
        "stream": stream,
        "consumer": consumer,
        "consumer_seq": place.consumer_seq,
        "stream_seq": place.stream_seq,
        "deliveries": place.deliveries,
    }


def random_name(length: int) -> str:
    return "".join(random.choices(ALPHABET, k=length))
