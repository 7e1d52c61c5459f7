"""What may cross a leaf link, in either direction.

Two opinions are kept apart: the hub's, which it sends in INFO and enforces by closing the link, and ours: the remote's
deny lists, JetStream's own subjects, which are answered on each side for itself (reference: leafnode.md section 5),
and the subjects of uplinks, which an uplink alone carries up and which never come down.
"""

from collections.abc import Callable, Iterable

from edge.core.permissions import SubjectRule
from edge.protocol.leaf import LOOP_PREFIX, Rule
from edge.subjects import is_wildcard, overlap

JETSTREAM = ("$JS.API.>", "$KV.>", "$OBJ.>")
ALWAYS_ASKED = (LOOP_PREFIX, "$GR.", "_GR_.")  # interest that no permission is held against
ALWAYS_SENT = ("_R_.", "$JS.ACK.")  # answers that no permission is held against
GATEWAYS = (("_GR_.", 19), ("$GR.", 9))  # answers that go by gateways, and how much of them is not the answer's subject
ALWAYS_TAKEN = (*ALWAYS_SENT, "$GR.", "_GR_.")
MAX_CACHE = 8192


class LinkRules:
    """``up_only``: subjects of uplinks on this link; ``domain``: our own JetStream domain, or empty."""

    def __init__(
        self,
        deny_imports: Iterable[str] = (),
        deny_exports: Iterable[str] = (),
        up_only: Iterable[str] = (),
        domain: str = "",
    ) -> None:
        self.deny_imports = (*deny_imports, *up_only)  # what the hub is asked not to send (CONNECT.deny_pub)
        own_api = (f"$JS.{domain}.API.>",) if domain else ()
        self.imports = SubjectRule(None, self.deny_imports + JETSTREAM)
        self.exports = SubjectRule(None, (*deny_exports, *up_only, *JETSTREAM, *own_api))
        self.hub_imports = SubjectRule()
        self.hub_exports = SubjectRule()
        self.forget()

    def set_hub(self, imports: Rule, exports: Rule) -> None:
        self.hub_imports = SubjectRule(imports.allow, imports.deny)
        self.hub_exports = SubjectRule(exports.allow, exports.deny)
        self.forget()

    def forget(self) -> None:
        self._ours: dict[str, bool] = {}
        self._hubs: dict[str, bool] = {}
        self._received: dict[str, bool] = {}

    def exported(self, subject: str) -> bool:
        """Do we want messages on ``subject`` to be forwarded?"""
        return cached(self._ours, lambda subject: self.exports.permits(plain(subject)), subject)

    def hub_takes(self, subject: str) -> bool:
        """Does the hub let us publish ``subject``?"""
        return subject.startswith(ALWAYS_SENT) or cached(self._hubs, self._may_send, subject)

    def _may_send(self, subject: str) -> bool:
        subject = plain(subject)
        return subject.startswith(ALWAYS_SENT) or self.hub_exports.permits(subject)

    def received(self, subject: str) -> bool:
        """Do we take a message on ``subject`` from the hub?  Nor what it forbids itself, whatever it sends."""
        return subject.startswith(ALWAYS_TAKEN) or cached(self._received, self._may_receive, subject)

    def _may_receive(self, subject: str) -> bool:
        return self.imports.permits(subject) and self.hub_imports.permits(subject)

    def asks(self, subject: str) -> bool:
        """May this interest be announced?  One that the hub forbids would close the link."""
        if subject.startswith(ALWAYS_ASKED):
            return True
        return _may_ask(self.imports, subject) and _may_ask(self.hub_imports, subject)

    def wanted(self, subject: str) -> bool:
        """Is the hub's interest in ``subject`` one that anything could ever be sent for?"""
        return self.exports.permits_interest(subject)


def plain(subject: str) -> str:
    """The subject that an answer would have without the gateways that it goes by: rules speak of that."""
    for prefix, size in GATEWAYS:
        if subject.startswith(prefix) and len(subject) > size:
            return subject[size:]
    return subject


def _may_ask(rule: SubjectRule, subject: str) -> bool:
    """A wildcard may reach beyond what is allowed: the hub sends only the part that is."""
    if rule.allow is not None and is_wildcard(subject):
        if not any(overlap(subject, pattern) for pattern in rule.allow):
            return False
        return SubjectRule(None, rule.deny).permits_interest(subject)
    return rule.permits_interest(subject)


def cached(cache: dict[str, bool], decide: Callable[[str], bool], subject: str) -> bool:
    known = cache.get(subject)
    if known is None:
        known = decide(subject)
        if len(cache) >= MAX_CACHE:
            cache.clear()
        cache[subject] = known
    return known
