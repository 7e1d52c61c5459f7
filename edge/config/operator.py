"""Operator mode: ``operator``, ``trusted_keys`` and where account JWTs come from (``resolver``)."""

import os
import re
from typing import NamedTuple

from edge.config.access import NEEDS_OPERATOR, OPERATOR, RESOLVER, TRUSTED, check_nkey
from edge.config.fields import Fields, fail, fields, text, wrong
from edge.config.parser import Block, Entry
from edge.config.units import duration_ns
from edge.core.auth_spec import Operator

URL = re.compile(r'url\(\s*"?([^\s"]*)"?\s*\)\s*', re.IGNORECASE)
MAX_ACCOUNTS = 2**63 - 1
MAX_JWT_BYTES = 1 << 20


class _Resolver(NamedTuple):
    kind: str
    url: str = ""
    directory: str = ""
    limit: int = 0
    ttl_ns: int = 0
    interval_ns: int = 0
    timeout_ns: int = 0
    allow_delete: bool = False
    hard_delete: bool = False


def read_operator(top: Fields) -> Operator | None:
    """None where accounts and users stand in the configuration itself."""
    jwts = tuple(_jwt(top, written) for written in top.strings(*OPERATOR))
    trusted = top.strings(*TRUSTED)
    for key in trusted:
        check_nkey(key, "O", top.place(*TRUSTED), "trusted_keys: expected an operator's public nkey")
    resolver = _resolver(top)
    preload = _preload(top)
    pinned = top.strings("resolver_pinned_accounts")
    sentinel = top.string("default_sentinel", default="")
    if not jwts and not trusted:
        _refuse_alone(top)
        return None
    operator = _with_resolver(Operator(jwts, trusted, preload=preload, pinned_accounts=pinned), resolver)
    return _with_claims(top, operator._replace(default_sentinel=sentinel))


def _refuse_alone(top: Fields) -> None:
    """nats-server reads these without an operator too, and then asks nobody."""
    for names in NEEDS_OPERATOR:
        entry = top.entry(*names)
        if entry:
            top.warn(entry, "has no effect without an operator or trusted_keys")


def _with_resolver(operator: Operator, resolver: _Resolver | None) -> Operator:
    if resolver is None:
        return operator
    return operator._replace(
        resolver=resolver.kind,
        resolver_url=resolver.url,
        resolver_dir=resolver.directory,
        resolver_limit=resolver.limit,
        resolver_ttl_ns=resolver.ttl_ns,
        resolver_interval_ns=resolver.interval_ns,
        resolver_timeout_ns=resolver.timeout_ns,
        allow_delete=resolver.allow_delete,
        hard_delete=resolver.hard_delete,
    )


def _with_claims(top: Fields, operator: Operator) -> Operator:
    """A single operator's JWT may name the system account, and where accounts are asked for."""
    place = top.place(*OPERATOR)
    named = top.string("system_account", "system", default="")
    theirs = [_claim(jwt, "system_account") for jwt in operator.jwts]
    if named and any(theirs) and named not in theirs:
        fail(place, f"operator: its JWT names another system account than {named!r}")
    if operator.jwts and not operator.resolver:
        server = _claim(operator.jwts[0], "account_server_url") if len(operator.jwts) == 1 else ""
        if not server:
            fail(place, "operator: expected a resolver beside it, such as resolver: MEMORY")
        operator = operator._replace(resolver="URL", resolver_url=f"{server.removesuffix('/')}/accounts")
    if operator.jwts and operator.trusted_keys:
        fail(top.place(*TRUSTED), "trusted_keys: an operator brings its own; expected one of them")
    system = named or (theirs[0] if len(theirs) == 1 else "")
    if not system and operator.resolver in ("FULL", "CACHE"):
        fail(place, "system_account: expected one, here or in the operator's JWT: the resolver is asked over it")
    return operator._replace(system_account=system)


# ---- JWTs


def _jwt(top: Fields, written: str) -> str:
    """A JWT itself, or a file that holds one, perhaps between dashes."""
    place = top.place(*OPERATOR)
    jwt = written if written.startswith("eyJ") else _in_file(top, written)
    from edge.core.jwt import ClaimsError, decode  # where there are JWTs

    try:
        decode(jwt)
    except ClaimsError as exc:
        fail(place, f"operator: not the JWT of an operator: {exc}")
    return jwt


def _in_file(top: Fields, path: str) -> str:
    place = top.place(*OPERATOR)
    try:
        with open(os.path.expanduser(path), encoding="ascii") as file:
            lines = file.read(MAX_JWT_BYTES).splitlines()
    except OSError as exc:
        fail(place, f"operator: cannot read {path}: {exc.strerror}")
    except UnicodeDecodeError:
        fail(place, f"operator: {path} holds no JWT")
    found = [line.strip() for line in lines if line.strip().startswith("eyJ")]
    if len(found) != 1:
        fail(place, f"operator: {path} holds no JWT")
    return found[0]


def _claim(jwt: str, name: str) -> str:
    from edge.core.jwt import decode

    value = decode(jwt).nats.get(name, "")
    return value if isinstance(value, str) else ""


def _preload(top: Fields) -> tuple[tuple[str, str], ...]:
    from edge.core.jwt import ClaimsError, decode

    preload = top.pairs("resolver_preload")
    for key, jwt in preload:
        try:
            decode(jwt)
        except ClaimsError as exc:
            fail(top.place("resolver_preload"), f"resolver_preload: {key}: not the JWT of an account: {exc}")
    return preload


# ---- the resolver


def _resolver(top: Fields) -> _Resolver | None:
    entry = top.entry(*RESOLVER)
    if entry is None:
        return None
    if isinstance(entry.value.data, Block):
        return _block(entry, top.warnings)
    written = text(entry.value, entry.key)
    if "MEM" in written.upper():
        return _Resolver("MEMORY")
    url = URL.fullmatch(written)
    if url is None or not url.group(1).startswith(("http://", "https://")):
        wrong(entry.value, entry.key, "MEMORY, URL(https://...) or { type: full, dir: ... }")
    return _Resolver("URL", url=url.group(1))


def _block(entry: Entry, warnings: list[str]) -> _Resolver:
    block = fields(entry.value, entry.key, warnings)
    kind = block.string("type", default="").upper()
    resolver = _Resolver(
        "MEMORY" if kind == "MEM" else kind,
        directory=block.string("dir", default=""),
        limit=block.integer("limit", lowest=0, highest=MAX_ACCOUNTS, default=0),
        ttl_ns=_duration(block, "ttl"),
        interval_ns=_duration(block, "interval"),
        timeout_ns=_duration(block, "timeout"),
        allow_delete=block.boolean("allow_delete", default=False),
        hard_delete=block.boolean("hard_delete", default=False),
    )
    block.finish()
    if resolver.kind not in ("FULL", "CACHE", "MEMORY"):
        fail(block.place("type"), f"type: expected full, cache or memory, found {kind.lower()!r}")
    if resolver.kind != "MEMORY":
        _check_directory(block, resolver)
    return resolver


def _check_directory(block: Fields, resolver: _Resolver) -> None:
    if not resolver.directory:
        fail(block.block.place, "dir: expected the directory where account JWTs are kept")
    if os.path.exists(resolver.directory) and not (
        os.path.isdir(resolver.directory) and os.access(resolver.directory, os.W_OK)
    ):
        fail(block.place("dir"), f"dir: {resolver.directory} is not a directory that can be written")
    taken = ("interval", "allow_delete", "hard_delete") if resolver.kind == "CACHE" else ("ttl",)
    for name in taken:
        named = block.entry(name)
        if named:
            fail(named.place, f"{name}: a {resolver.kind.lower()} resolver has none")
    if resolver.hard_delete and not resolver.allow_delete:
        fail(block.place("hard_delete"), "hard_delete: has no effect without allow_delete: true")


def _duration(block: Fields, name: str) -> int:
    try:
        return max(duration_ns(block.string(name, default="0")), 0)
    except ValueError as exc:
        fail(block.place(name), f"{name}: {exc}")
