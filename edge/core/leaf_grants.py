"""What a leaf that has dialled us may do, as the permissions of its user say it, in the place of ``LinkRules``.

A user's permissions are seen from its own side: what it may publish is what we take, what it may subscribe to is what
we send (reference: leafnode.md sections 4 and 5).
"""

from collections.abc import Iterable

from edge.core.leaf_rules import ALWAYS_ASKED, ALWAYS_SENT, LinkRules, cached
from edge.core.permissions import Permissions
from edge.protocol.leaf import Rule
from edge.subjects import is_wildcard

EVERYTHING = Permissions()
API = "$JS.API.>"


class LeafGrants(LinkRules):
    """``deny_pub``: what the leaf does not want to be sent; ``domain``: our own JetStream domain, or empty."""

    def __init__(self, permissions: Permissions | None, deny_pub: Iterable[str] = (), domain: str = "") -> None:
        super().__init__((), deny_pub, (), domain)
        self.permissions = EVERYTHING
        self.permit(permissions)

    def permit(self, permissions: Permissions | None) -> None:
        self.permissions = permissions or EVERYTHING
        publish, subscribe = self.permissions.publish, self.permissions.subscribe
        self.set_hub(Rule(publish.allow, publish.deny), Rule(plain(subscribe.allow), plain(subscribe.deny) or ()))

    def exported(self, subject: str) -> bool:
        return super().exported(subject) and super().hub_takes(subject)

    def hub_takes(self, subject: str) -> bool:
        """It has been asked already; nothing is said of what its user may not have."""
        return True

    def received(self, subject: str) -> bool:
        """May the leaf publish ``subject``?  JetStream's own subjects too: it is for the leaf to keep them."""
        return subject.startswith(ALWAYS_SENT) or cached(self._received, self.hub_imports.permits, subject)

    def lets_want(self, subject: str) -> bool:
        """May it ask for ``subject``?  A wildcard may reach beyond what it gets."""
        if is_wildcard(subject) or subject.startswith(ALWAYS_ASKED):
            return True
        return self.exported(subject)

    def asks(self, subject: str) -> bool:
        """A leaf that has no domain of its own may use our JetStream by its plain name."""
        return subject == API or super().asks(subject)


def plain(entries: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Without those that are about queue groups alone."""
    return None if entries is None else tuple(entry for entry in entries if " " not in entry)


def told(permissions: Permissions | None) -> dict[str, object]:
    """``import`` and ``export`` of INFO: what the leaf is to go by."""
    if permissions is None:
        return {}
    fields: dict[str, object] = {}
    for name, rule in (("import", permissions.subscribe), ("export", permissions.publish)):
        said = {"allow": rule.allow, "deny": rule.deny or None}
        given = {key: list(subjects) for key, subjects in said.items() if subjects is not None}
        if given:
            fields[name] = given
    return fields
