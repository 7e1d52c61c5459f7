"""What the hub will never take: a local stream ``<UPLINK>_DEAD``, out of everybody's way and not forgotten.

A letter lies under ``petiole.dead.<UPLINK>.<its subject>`` with its own headers and

``Petiole-Dead-Reason``  why the hub, or the link to it, refuses it for good
``Petiole-Dead-Id``      the message id under which the hub would have stored it
"""

from collections.abc import Callable

from edge.core.account import Account
from edge.errors import ApiError, StoreError
from edge.jetstream.account import JetStreamAccount
from edge.jetstream.stream_config import StreamConfig
from edge.message import header_block, header_items
from edge.store.contract import Row
from edge.uplink.answers import Refused, parse_puback

REMEMBER_NS = 24 * 3600 * 1_000_000_000  # the same letter twice (a power cut before its progress was saved) is one


class DeadLetterStream:
    """The stream is made with its first letter.  ``buried(seq, error)`` follows every ``put``."""

    def __init__(
        self,
        uplink: str,
        account: Account,
        jetstream: JetStreamAccount,
        max_bytes: int,
        inbox: str,
        buried: Callable[[int, StoreError | None], None],
    ) -> None:
        self.prefix = f"petiole.dead.{uplink}"
        self.account = account
        self.jetstream = jetstream
        self.inbox = inbox
        self.buried = buried
        self.config = StreamConfig(
            name=f"{uplink}_DEAD",
            subjects=(f"{self.prefix}.>",),
            description=f"messages of uplink {uplink} that the hub will never take",
            max_bytes=max_bytes,
            duplicate_window_ns=REMEMBER_NS,
        )
        account.subscribe(f"{inbox}.*", self._on_answer, announce=False)

    def put(self, row: Row, msg_id: str, reason: str) -> None:
        if self.config.name not in self.jetstream.streams:
            try:
                self.jetstream.create_stream(self.config, _nobody_waits, announce=False)
            except ApiError as exc:
                self.buried(row.seq, StoreError(f"stream {self.config.name}: {exc}"))
                return
        kept = [item for item in header_items(row.headers) if not item[0].startswith("Nats-")]
        ours = [("Nats-Msg-Id", msg_id), ("Petiole-Dead-Reason", " ".join(reason.split())), ("Petiole-Dead-Id", msg_id)]
        self.account.publish(
            f"{self.prefix}.{row.subject}",
            row.payload,
            headers=header_block(ours + kept),
            capture_reply=f"{self.inbox}.{row.seq}",
        )

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        seq = subject.rpartition(".")[2]
        answer = parse_puback(headers, payload)
        if seq.isdecimal():
            self.buried(int(seq), StoreError(answer.reason) if isinstance(answer, Refused) else None)


def _nobody_waits(error: StoreError | None) -> None:
    """A stream that could not be made answers its letters with an error."""
