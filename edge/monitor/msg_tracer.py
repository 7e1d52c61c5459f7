"""Begins the trace of a message, and tells it when the message has arrived."""

from edge.core.account import Account
from edge.core.client import Client
from edge.core.go_json import dumps
from edge.core.msg_trace import DEST, DISABLED, MessageTrace
from edge.core.peer import Link
from edge.message import header_items
from edge.monitor.stamp import Fields, Stamp
from edge.subjects import is_literal


class ServerTracer:
    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp

    def begin(
        self, sender: Client | Link, account: Account, subject: str, headers: bytes, size: int
    ) -> MessageTrace | None:
        """A destination that is no subject is none; one that the sender may not publish to is refused."""
        header: dict[str, list[str]] = {}
        for name, value in header_items(headers):
            if value:
                header.setdefault(name, []).append(value)
        if header.get(DEST, [DISABLED]) == [DISABLED]:
            return None
        trace = MessageTrace(sender, account, subject, header, size, self.stamp.wall)
        if not is_literal(trace.dest):
            trace.refused = trace.only
            return trace if trace.only else None
        trace.refused = isinstance(sender, Client) and not sender.may_publish(trace.dest)
        return trace

    def end(self, trace: MessageTrace) -> None:
        if trace.refused or not trace.account.has_interest(trace.dest):
            return
        fields: Fields = {
            "server": self.stamp.server(),
            "request": {"header": dict(sorted(trace.header.items())), "msgsize": trace.size},
        }
        if trace.hops:
            fields["hops"] = trace.hops
        trace.account.publish(trace.dest, dumps(fields | {"events": trace.events}))
