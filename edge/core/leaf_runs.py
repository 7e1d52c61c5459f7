"""The fast way of messages that a link brings: what was decided for one control line holds for all that repeat it.

The general way is ``Account.deliver_from_leaf``.  Whatever is not the same for every message with the same line goes
there: replies, mappings that choose, a message that is traced (``hotpath.py`` does the same for clients).
"""

from typing import TYPE_CHECKING

from edge.core.hotpath import MAX_ROUTES, Route, Runs, build_route
from edge.core.msg_trace import MARK
from edge.errors import ProtocolError
from edge.protocol.nats import CRLF, UNKNOWN_OPERATION, PubHead

if TYPE_CHECKING:
    from edge.core.leaf_link import LeafLink
    from edge.protocol.leaf import Head


class LeafRuns(Runs):
    __slots__ = ("chunk", "generation", "is_plain", "link", "routes")

    def __init__(self, link: "LeafLink") -> None:
        super().__init__(link)
        self.link = link
        self.generation = -1
        self.routes: dict[bytes, Route | None] = {}  # None: not this way
        self.chunk = b""
        self.is_plain = True  # nothing in the chunk is traced

    def take(self, line: bytes, head: "Head", data: bytes, pos: int, body: int) -> int:
        """Deliver what stands whole at ``pos`` of ``data``, and those behind it with the same line; the position behind
        them, or 0 when it has to go the general way.  ``line`` was seen before, and has no reply."""
        account = self.link.account
        if self.generation != account.sublist.generation:
            self.generation = account.sublist.generation
            self.routes.clear()
        if line in self.routes:
            route = self.routes[line]
        else:
            route = self._route(head)
            if len(self.routes) >= MAX_ROUTES:
                self.routes.clear()
            self.routes[line] = route
        if route is None or self.link.closing or (head.header_size and not self._is_untraced(data)):
            return 0
        after = body + route.size
        if data.startswith(data[pos:body], after) and after + after - pos <= len(data):
            return pos + self.run(route, data, pos, body, len(data))
        if data[after - 2 : after] != CRLF:
            raise ProtocolError(UNKNOWN_OPERATION)
        self.deliver(route, [b"", data[body:after]], 1)
        return after

    def _is_untraced(self, data: bytes) -> bool:
        if self.chunk is not data:
            self.chunk = data
            self.is_plain = MARK not in data
        return self.is_plain

    def _route(self, head: "Head") -> Route | None:
        link, subject = self.link, head.subject
        mappings = link.account.mappings
        if mappings is not None and not (mappings.fixed(subject) and mappings.map(subject) == subject):
            return None
        if not link.is_open or not link.takes(subject):
            return None
        match = link.account.match_from_leaf(subject, subject, head.queues)
        plain = PubHead(subject, "", head.header_size, head.size)
        return build_route(plain, match.plain, match.queues, link)
