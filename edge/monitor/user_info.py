"""``$SYS.REQ.USER.INFO``: what a user may know of itself."""

from edge.core.account import Account
from edge.core.client import Client
from edge.core.peer import Peer
from edge.core.permissions import Permissions, SubjectRule
from edge.monitor.events import claimed
from edge.monitor.stamp import Fields

SECOND = 1_000_000_000


def user_info(peer: Peer | None, account: Account, now: int) -> Fields:
    """``now``: wall time.  Who asks over a leaf is known by its account alone."""
    fields: Fields = {"user": "", "account": account.name, "account_name": account.name}
    if not isinstance(peer, Client):
        return fields
    login = peer.login
    fields["user"] = login.nkey or peer.user or claimed(peer)
    if login.name_tag:
        fields["user_name"] = login.name_tag
    if peer.permissions is not None:
        fields["permissions"] = permissions_fields(peer.permissions)
    if login.expires_ns is not None:
        fields["expires"] = max(login.expires_ns - now, 0) // SECOND * SECOND
    return fields


def permissions_fields(permissions: Permissions) -> Fields:
    fields: Fields = {"publish": _rule(permissions.publish), "subscribe": _rule(permissions.subscribe)}
    if permissions.responses is not None:
        fields["responses"] = {"max": permissions.responses.max, "ttl": permissions.responses.expires_ns}
    return fields


def _rule(rule: SubjectRule) -> Fields:
    fields: Fields = {}
    if rule.allow:
        fields["allow"] = list(rule.allow)
    if rule.deny:
        fields["deny"] = list(rule.deny)
    return fields
