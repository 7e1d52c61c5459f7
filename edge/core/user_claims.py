"""A user as its JWT says it: what it may do, and from where and when it may come."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from ipaddress import ip_address, ip_network
from itertools import product
from math import prod
from typing import NamedTuple

from edge.core.account_claims import AccountRules, read_permissions
from edge.core.jwt import Claims, ClaimsError, Fields, get, texts
from edge.core.nkeys import is_public
from edge.core.permissions import Permissions
from edge.subjects import is_valid

NO_LIMIT = -1
MAX_EXPANSIONS = 4096  # subjects that one template may become
PLACEHOLDER = re.compile(r"\{\{.+?\}\}")
PERMISSIONS = (("pub", "allow"), ("pub", "deny"), ("sub", "allow"), ("sub", "deny"))
OF_THE_SCOPE = (
    "resp", "src", "times", "times_location", "subs", "data", "payload", "bearer_token", "allowed_connection_types",
    "proxy_required",
)  # fmt: skip


class UserRules(NamedTuple):
    """``permissions`` None: those of the account.  ``kinds`` empty: all."""

    key: str
    account: str
    issuer: str
    issued_at: int
    name: str
    tags: tuple[str, ...]
    is_bearer: bool
    permissions: Permissions | None
    max_subscriptions: int | None
    max_payload: int | None
    kinds: frozenset[str]
    sources: tuple[str, ...]
    times: tuple[tuple[str, str], ...]
    zone: str
    expires: int  # seconds since 1970; 0: never

    def may_come_from(self, ip: str) -> bool:
        if not self.sources:
            return True
        try:
            address = ip_address(ip)
            return any(address in ip_network(source, strict=False) for source in self.sources)
        except ValueError:
            return False

    def stays_until(self, now: int) -> int | None:
        """Seconds since 1970 at which it has to go, 0: it may stay.  None: it may not come now."""
        if not self.times:
            return self.expires
        until = end_of_visit(self.times, now, self.zone)
        return None if until is None else min(until, self.expires or until)


def account_of(claims: Claims) -> str:
    """The account for which this user was made."""
    return get(claims.nats, "issuer_account", "") or claims.issuer


def read_user(claims: Claims, account: AccountRules) -> UserRules:
    """What holds for this user of ``account``.  ClaimsError when it was not made by whom the account lets make users,
    or carries rights that only its signer's template may give."""
    if claims.type != "user" or not is_public(claims.subject, "U"):
        raise ClaimsError("not the JWT of a user")
    if claims.issuer not in account.signers:
        raise ClaimsError("User JWT issuer is not known")
    rights = claims.nats
    template = account.signers[claims.issuer]
    if template is not None:
        _refuse_own_rights(rights)
        rights = fill_in(template, claims, account)
    return make_user(claims, rights, account.key)


def make_user(claims: Claims, rights: Fields, account: str) -> UserRules:
    """``rights``: its own claims, or those that its signer's template says."""
    return UserRules(
        claims.subject, account, claims.issuer, claims.issued_at, claims.name, texts(claims.nats, "tags"),
        get(rights, "bearer_token", False), read_permissions(rights),
        _limit(rights, "subs"), _limit(rights, "payload"),
        frozenset(kind.upper() for kind in texts(rights, "allowed_connection_types")),
        _sources(rights), tuple(_times(rights)), get(rights, "times_location", ""), claims.expires,
    )  # fmt: skip


def _limit(rights: Fields, name: str) -> int | None:
    limit = get(rights, name, 0)
    return None if limit == NO_LIMIT else limit


def _sources(rights: Fields) -> tuple[str, ...]:
    """A list, or as it once was written: one text with commas."""
    written = rights.get("src")
    if isinstance(written, str):
        return tuple(part.strip() for part in written.split(",") if part.strip())
    return texts(rights, "src")


def _refuse_own_rights(rights: Fields) -> None:
    own = [name for name in OF_THE_SCOPE if rights.get(name)]
    own += [f"{kind}.{name}" for kind, name in PERMISSIONS if get(get(rights, kind, {}), name, [])]
    if own:
        raise ClaimsError(f"scoped users require no permissions or limits set: {', '.join(own)}")


# ---- when


def _times(rights: Fields) -> Iterable[tuple[str, str]]:
    for item in get(rights, "times", []):
        if not isinstance(item, dict):
            raise ClaimsError("times: expected a start and an end")
        yield get(item, "start", ""), get(item, "end", "")


def end_of_visit(times: Iterable[tuple[str, str]], now: int, zone: str) -> int | None:
    """When the range of the day that ``now`` is in ends (seconds since 1970); None outside of all.

    A range may pass midnight.  In ``zone``, or where this server is.
    """
    try:
        here = datetime.fromtimestamp(now, _zone(zone)) if zone else datetime.fromtimestamp(now).astimezone()
        ranges = [(_clock(here, start), _clock(here, end)) for start, end in times]
    except (ValueError, OverflowError, KeyError, OSError):
        return None
    for start, end in ranges:
        last = end + timedelta(days=1) if start > end else end
        if start < here < last:
            return int(last.timestamp())
    return None


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _clock(day: datetime, text: str) -> datetime:
    hour, minute, second = (int(part) for part in text.split(":"))
    return day.replace(hour=hour, minute=minute, second=second, microsecond=0)


# ---- templates of signing keys


def fill_in(template: Fields, claims: Claims, account: AccountRules) -> Fields:
    """The template's rights, with what its placeholders stand for in this user.  Where no allowed subject is left,
    everything is denied."""
    rights = dict(template)
    for kind in ("pub", "sub"):
        rule = get(template, kind, {})
        allow, deny = texts(rule, "allow"), list(_expand(texts(rule, "deny"), claims, account, must=True))
        allowed = list(_expand(allow, claims, account, must=False))
        if allow and not allowed:
            deny.append(">")
        rights[kind] = {"allow": allowed, "deny": deny}
    return rights


def _expand(subjects: Iterable[str], claims: Claims, account: AccountRules, must: bool) -> Iterable[str]:
    """``must``: a subject that comes to nothing is an error, and not left out."""
    count = 0
    for subject in subjects:
        places = PLACEHOLDER.findall(subject)
        choices = [_values(place[2:-2].strip(), claims, account) for place in places]
        count += prod(map(len, choices))
        if count > MAX_EXPANSIONS:
            raise ClaimsError(f"a template of more than {MAX_EXPANSIONS} subjects")
        expanded = [_filled(subject, places, values) for values in product(*choices)]
        if must and not (expanded and all(map(is_valid, expanded))):
            raise ClaimsError(f"the template {subject!r} comes to no subject")
        yield from filter(is_valid, expanded)


def _filled(subject: str, places: list[str], values: Iterable[str]) -> str:
    for place, value in zip(places, values, strict=True):
        subject = subject.replace(place, value)
    return subject


def _values(operation: str, claims: Claims, account: AccountRules) -> tuple[str, ...]:
    name, _, argument = operation.partition("(")
    name, argument = name.lower(), argument.removesuffix(")")
    plain = {
        "name": claims.name,
        "subject": claims.subject,
        "account-name": account.name,
        "account-subject": account.key,
    }
    if operation.endswith("()") and name in plain:
        return (plain[name],)
    tags = {"tag": texts(claims.nats, "tags"), "account-tag": account.tags}
    if operation.endswith(")") and name in tags:
        prefix = f"{argument.lower()}:"
        return tuple(tag.removeprefix(prefix) for tag in tags[name] if tag.startswith(prefix))
    raise ClaimsError(f"template operation {operation!r} is not defined")
