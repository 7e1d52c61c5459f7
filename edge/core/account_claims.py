"""An account as its JWT says it (source: the nats-io jwt library, version 2; nats-server's accounts)."""

from collections.abc import Iterable
from collections.abc import Mapping as Reading
from typing import NamedTuple

from edge.core.account_spec import (
    AccountLimits,
    AccountSpec,
    Destination,
    Export,
    Import,
    JetStreamLimits,
    Latency,
    Mapping,
)
from edge.core.auth_spec import AuthCallout
from edge.core.jwt import Claims, ClaimsError, Fields, decode, get, texts
from edge.core.nkeys import is_public
from edge.core.permissions import Permissions, ResponseRule, SubjectRule
from edge.core.stream_imports import import_transform
from edge.core.transforms import check_mapping
from edge.subjects import is_valid, subset

SECOND = 1_000_000_000
EVERYBODY = "*"  # in revocations
NO_LIMIT = -1


class Token(NamedTuple):
    """The activation with which an import asks for a private export."""

    subject: str
    service: bool
    account: str  # the exporting one
    jwt: str


class AccountRules(NamedTuple):
    """``spec`` has private exports closed: ``open_private`` opens them for those who bring a token.

    ``signers``: keys that may sign users, each with the template that its users have (None: what the user's JWT says).
    ``revocations``: users' keys, and until when what was issued to them is void; ``private``: the same of exports.
    """

    key: str
    name: str
    tags: tuple[str, ...]
    issuer: str
    signers: dict[str, Fields | None]
    revocations: dict[str, int]
    disallow_bearer: bool
    default_permissions: Permissions | None
    callout: AuthCallout | None
    spec: AccountSpec
    tokens: tuple[Token, ...]
    private: dict[tuple[str, bool], dict[str, int]]
    expires: int  # seconds since 1970; 0: never

    def is_revoked(self, user: str, issued_at: int) -> bool:
        return is_revoked(self.revocations, user, issued_at)


def is_revoked(revocations: Reading[str, int], key: str, issued_at: int) -> bool:
    return any(revocations.get(name, NO_LIMIT) >= max(issued_at, 0) for name in (key, EVERYBODY))


def read_account(claims: Claims, strict: bool = False) -> AccountRules:
    """``strict``: the operator wants users signed with signing keys only.  ClaimsError for what is no account."""
    if claims.type != "account" or not is_public(claims.subject, "A"):
        raise ClaimsError("not the JWT of an account")
    nats = claims.nats
    limits = get(nats, "limits", {})
    exports = [_export(item) for item in _objects(nats, "exports")]
    imports = [(item, _import(item)) for item in _objects(nats, "imports")]
    spec = AccountSpec(
        claims.subject,
        tuple(export for export, _ in exports),
        tuple(imported for _, imported in imports),
        tuple(_mapping(source, items) for source, items in get(nats, "mappings", {}).items()),
        AccountLimits(
            _limit(limits, "conn"), _limit(limits, "subs"), _limit(limits, "payload"), _limit(limits, "leaf")
        ),
        _jetstream(limits),
        issuer=claims.issuer,
        expires_ns=claims.expires * SECOND or None,
    )
    return AccountRules(
        claims.subject, claims.name or claims.subject, texts(nats, "tags"), claims.issuer,
        _signers(nats, claims.subject, strict), _revocations(nats), get(limits, "disallow_bearer", False),
        read_permissions(get(nats, "default_permissions", {})), _callout(nats, claims.subject), spec,
        tuple(
            Token(imported.subject, imported.service, imported.account, get(item, "token", ""))
            for item, imported in imports if item.get("token")
        ),
        {(export.subject, export.service): _revocations(item) for export, item in zip(
            (export for export, _ in exports), (item for _, item in exports), strict=True
        )},
        claims.expires,
    )  # fmt: skip


def read_permissions(fields: Fields) -> Permissions | None:
    """``pub``, ``sub`` and ``resp`` of a user, a template or an account's defaults; None where nothing is said."""
    publish, subscribe = get(fields, "pub", {}), get(fields, "sub", {})
    said = [texts(rule, name) for rule in (publish, subscribe) for name in ("allow", "deny")]
    answers = get(fields, "resp", {})
    if not any(said) and not answers:
        return None
    allow_publish, deny_publish, allow_subscribe, deny_subscribe = said
    only_answers = () if answers else None  # answers, and nothing but answers
    return Permissions(
        SubjectRule(allow_publish or only_answers, deny_publish),
        SubjectRule(allow_subscribe or None, deny_subscribe),
        ResponseRule(get(answers, "max", 0) or 1, get(answers, "ttl", 0) or 120 * SECOND) if answers else None,
    )


def open_private(rules: Reading[str, AccountRules], now: int) -> list[AccountSpec]:
    """The specifications of all these accounts: private exports are open for those whose imports bring a token that
    holds.  ``now``: seconds since 1970."""
    granted: dict[tuple[str, str, bool], set[str]] = {}
    for importer in rules.values():
        for token in importer.tokens:
            exporter = rules.get(token.account)
            if exporter is not None:
                for export in exporter.spec.exports:
                    if _activates(token, importer, exporter, export, now):
                        granted.setdefault((exporter.key, export.subject, export.service), set()).add(importer.key)
    return [
        account.spec._replace(exports=tuple(_opened(account, export, granted) for export in account.spec.exports))
        for account in rules.values()
    ]


def _opened(account: AccountRules, export: Export, granted: Reading[tuple[str, str, bool], set[str]]) -> Export:
    if export.accounts is None:
        return export
    return export._replace(accounts=frozenset(granted.get((account.key, export.subject, export.service), ())))


def _activates(token: Token, importer: AccountRules, exporter: AccountRules, export: Export, now: int) -> bool:
    """Was the token issued by the exporter, to this importer, for what it imports, and not taken back?"""
    if export.service != token.service or export.accounts is None:
        return False
    try:
        claims = decode(token.jwt)
        claims.refuse_untimely(now)
        behind = get(claims.nats, "issuer_account", "")
        subject, kind = get(claims.nats, "subject", ""), get(claims.nats, "kind", "")
    except ClaimsError:
        return False
    issued: bool = claims.issuer == exporter.key or (behind == exporter.key and claims.issuer in exporter.signers)
    return (
        claims.type == "activation"
        and issued
        and claims.subject in (importer.key, "public")
        and kind == ("service" if token.service else "stream")
        and subset(token.subject, subject)
        and subset(token.subject, export.subject)
        and not is_revoked(exporter.private.get((export.subject, export.service), {}), importer.key, claims.issued_at)
    )


# ---- parts


def _objects(fields: Fields, name: str) -> Iterable[Fields]:
    items = get(fields, name, [])
    if not all(isinstance(item, dict) for item in items):
        raise ClaimsError(f"{name}: expected objects")
    return items  # type: ignore[no-any-return]


def _is_service(fields: Fields) -> bool:
    kind: str = get(fields, "type", "")
    if kind not in ("stream", "service"):
        raise ClaimsError(f"type: expected stream or service, found {kind!r}")
    return kind == "service"


def _subject(fields: Fields, name: str) -> str:
    subject = get(fields, name, "")
    if not is_valid(subject):
        raise ClaimsError(f"{name}: not a subject: {subject!r}")
    return subject  # type: ignore[no-any-return]


def _export(fields: Fields) -> tuple[Export, Fields]:
    export = Export(
        _subject(fields, "subject"),
        _is_service(fields),
        accounts=frozenset() if get(fields, "token_req", False) else None,
        response=get(fields, "response_type", "") or "Singleton",
        threshold_ns=get(fields, "response_threshold", 0),
        latency=_latency(get(fields, "service_latency", {})),
        account_position=get(fields, "account_token_position", 0),
        allow_trace=get(fields, "allow_trace", False),
    )
    return export, fields


def _latency(fields: Fields) -> Latency | None:
    """``sampling`` is percent, or the word ``headers``."""
    if not fields:
        return None
    sampling = fields.get("sampling", 100)
    return Latency(_subject(fields, "results"), sampling if isinstance(sampling, int) else 0)


def _import(fields: Fields) -> Import:
    """``local_subject`` is the name here; ``to``, which is older, goes before a stream's subject, and of a service it
    is the exporter's name."""
    subject, service = _subject(fields, "subject"), _is_service(fields)
    local, to = get(fields, "local_subject", ""), get(fields, "to", "")
    if local:
        here = local
    elif service:
        subject, here = to or subject, subject
    else:
        here = f"{to.removesuffix('.')}.{subject}" if to else subject
    imported = Import(
        get(fields, "account", ""), subject, service, here, get(fields, "share", False),
        get(fields, "allow_trace", False),
    )  # fmt: skip
    try:
        import_transform(imported)
    except ValueError as exc:
        raise ClaimsError(f"imports: {subject!r} cannot become {here!r}: {exc}") from exc
    return imported


def _mapping(source: str, items: object) -> Mapping:
    if not isinstance(items, list):
        raise ClaimsError(f"mappings: {source}: expected a list")
    destinations = tuple(map(_destination, items))
    try:
        for destination in destinations:
            check_mapping(source, destination.subject)
    except ValueError as exc:
        raise ClaimsError(f"mappings: {source}: {exc}") from exc
    weights = [destination.weight for destination in destinations]
    if not is_valid(source) or not all(0 < weight <= 100 for weight in weights):
        raise ClaimsError(f"mappings: {source}: expected a subject, and weights up to 100")
    if any(sum(each.weight for each in destinations if each.cluster == name.cluster) > 100 for name in destinations):
        raise ClaimsError(f"mappings: {source}: the weights exceed 100")
    return Mapping(source, destinations)


def _destination(item: object) -> Destination:
    if not isinstance(item, dict):
        raise ClaimsError("mappings: expected objects")
    return Destination(_subject(item, "subject"), get(item, "weight", 0) or 100, get(item, "cluster", ""))


def _limit(limits: Fields, name: str) -> int | None:
    limit = get(limits, name, 0)
    return None if limit == NO_LIMIT else limit


def _jetstream(limits: Fields) -> JetStreamLimits | None:
    """None where it has no storage.  Of limits by tiers those for one replica hold."""
    tiers = get(limits, "tiered_limits", {})
    mine = get(tiers, "R1", {}) if tiers else limits
    if not get(mine, "mem_storage", 0) and not get(mine, "disk_storage", 0):
        return None
    named = tuple((name, _tier(get(tiers, name, {}))) for name in sorted(tiers))
    return _tier(mine)._replace(tiers=named)


def _tier(fields: Fields) -> JetStreamLimits:
    def most(name: str) -> int | None:
        limit = get(fields, name, 0)
        return limit if limit >= 0 else None

    return JetStreamLimits(
        max_memory_bytes=most("mem_storage"),
        max_file_bytes=most("disk_storage"),
        max_streams=most("streams"),
        max_consumers=most("consumer"),
        max_ack_pending=most("max_ack_pending") or None,
        memory_max_stream_bytes=most("mem_max_stream_bytes") or None,
        file_max_stream_bytes=most("disk_max_stream_bytes") or None,
        max_bytes_required=get(fields, "max_bytes_required", False),
    )


def _signers(nats: Fields, own: str, strict: bool) -> dict[str, Fields | None]:
    signers: dict[str, Fields | None] = {} if strict else {own: None}
    for item in get(nats, "signing_keys", []):
        if isinstance(item, str):
            signers[item] = None
        elif isinstance(item, dict):
            signers[get(item, "key", "")] = get(item, "template", {})
        else:
            raise ClaimsError("signing_keys: expected keys or scopes")
    return signers


def _revocations(fields: Fields) -> dict[str, int]:
    revocations = get(fields, "revocations", {})
    if not all(isinstance(until, int) for until in revocations.values()):
        raise ClaimsError("revocations: expected times")
    return revocations  # type: ignore[no-any-return]


def _callout(nats: Fields, key: str) -> AuthCallout | None:
    fields = get(nats, "authorization", {})
    users = texts(fields, "auth_users")
    if not users:
        return None
    xkey = get(fields, "xkey", "")
    if xkey and not is_public(xkey, "X"):
        raise ClaimsError("authorization: xkey: not a public curve key")
    return AuthCallout(key, key, users, xkey, texts(fields, "allowed_accounts"))
