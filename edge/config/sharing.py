"""``exports`` and ``imports`` of accounts, and whether they fit together.

    exports: [ {stream: "a.>"}, {service: "s", accounts: [B], response: stream, latency: {subject: "lat"}} ]
    imports: [ {stream: {account: A, subject: "a.>"}, prefix: "from.a"}, {service: {account: A, subject: s}, to: my.s} ]
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from edge.config.fields import Fields, fail, fields, wrong
from edge.config.lexer import Place
from edge.config.parser import Block, Entry, Value
from edge.core.account_spec import AccountSpec, Export, Import, Latency
from edge.subjects import is_valid, is_wildcard, overlap, subset

RESPONSES = {
    **dict.fromkeys(("single", "singleton"), "Singleton"),
    "stream": "Stream",
    **dict.fromkeys(("chunk", "chunked"), "Chunked"),
}
THRESHOLD = ("threshold", "response_threshold", "response_max_time", "response_time")
MAX_TOKENS = 255


class PlacedImport(NamedTuple):
    account: str  # the importing one
    imported: Import
    place: Place


# ---- exports


def read_exports(block: Fields) -> tuple[Export, ...]:
    found: dict[tuple[bool, str], Export] = {}
    for value in block.items("exports") or []:
        export = _export(value, block.warnings)
        key = export.service, export.subject
        found[key] = _both(found[key], export) if key in found else export
    return tuple(found.values())


def _both(first: Export, second: Export) -> Export:
    """What is exported twice is one export, as nats-server has it: for the accounts of both."""
    restricts = second.accounts is not None or second.account_position
    return second._replace(
        accounts=first.accounts if second.accounts is None else second.accounts | (first.accounts or frozenset()),
        response=first.response if second.response == "Singleton" else second.response,
        latency=second.latency or first.latency,
        account_position=second.account_position if restricts else first.account_position,
        allow_trace=first.allow_trace or second.allow_trace,
    )


def _export(value: Value, warnings: list[str]) -> Export:
    block = fields(value, "an export", warnings)
    service = _is_service(block, "an export")
    subject = _subject(block, "service" if service else "stream")
    accounts = block.entry("accounts")
    export = Export(
        subject,
        service,
        accounts=frozenset(block.strings("accounts")) if accounts else None,
        response=_response(block),
        threshold_ns=block.quoted_duration_ns(*THRESHOLD, default=0),
        latency=_latency(block),
        account_position=_account_position(block, subject),
        allow_trace=block.boolean("allow_trace", default=False),
    )
    block.finish()
    if not service:
        _refuse(block, "stream", "response", "response_type", *THRESHOLD, "latency", "allow_trace")
    if export.latency and export.response != "Singleton":
        fail(block.place("latency"), "latency: only services with single responses are measured")
    return export


def _is_service(block: Fields, noun: str) -> bool:
    stream, service = block.entry("stream"), block.entry("service")
    if stream and service:
        fail(service.place, f"{noun} is either of a stream or of a service")
    if not stream and not service:
        fail(block.block.place, f"{noun} needs a stream or a service")
    return service is not None


def _refuse(block: Fields, noun: str, *names: str) -> None:
    for name in names:
        entry = block.entry(name)
        if entry:
            fail(entry.place, f"{entry.key}: a {noun} has none")


def _subject(block: Fields, name: str) -> str:
    subject = block.string(name, default="")
    if not is_valid(subject):
        fail(block.place(name), f"{name}: {subject!r} is not a valid subject")
    return subject


def _response(block: Fields) -> str:
    entry = block.entry("response", "response_type")
    if entry is None:
        return "Singleton"
    word = entry.value.data
    if not isinstance(word, str) or word.lower() not in RESPONSES:
        wrong(entry.value, entry.key, f"one of {', '.join(RESPONSES)}")
    return RESPONSES[word.lower()]


def _account_position(block: Fields, subject: str) -> int:
    position = block.integer("account_token_position", lowest=0, highest=MAX_TOKENS, default=0)
    tokens = subject.split(".")
    if position and (position > len(tokens) or tokens[position - 1] != "*"):
        fail(
            block.place("account_token_position"),
            f"account_token_position: token {position} of {subject!r} is not '*'",
        )
    return position


def _latency(block: Fields) -> Latency | None:
    """A subject, or ``{ subject: ..., sampling: 50% }``; ``sampling: headers`` asks the requests themselves."""
    entry = block.entry("latency")
    if entry is None:
        return None
    if isinstance(entry.value.data, str):
        latency = Latency(entry.value.data)
    else:
        inner = fields(entry.value, entry.key, block.warnings)
        sampling = inner.entry("sampling")
        latency = Latency(inner.string("subject", default=""), _sampling(sampling) if sampling else 100)
        inner.finish()
    if not is_valid(latency.subject) or is_wildcard(latency.subject):
        fail(entry.place, f"latency: expected a subject without wildcards, found {latency.subject!r}")
    return latency


def _sampling(entry: Entry) -> int:
    match entry.value.data:
        case str() as word if word.strip().lower() == "headers":
            return 0
        case str() as word if word.removesuffix("%").isdecimal():
            percent = int(word.removesuffix("%"))
        case int() as percent if not isinstance(percent, bool):
            pass
        case _:
            wrong(entry.value, entry.key, "percent, or headers")
    if not 1 <= percent <= 100:
        wrong(entry.value, entry.key, "1 to 100 percent")
    return percent


# ---- imports


def read_imports(block: Fields, account: str) -> tuple[PlacedImport, ...]:
    return tuple(
        PlacedImport(account, _import(value, block.warnings), value.place) for value in block.items("imports") or []
    )


def _import(value: Value, warnings: list[str]) -> Import:
    block = fields(value, "an import", warnings)
    service = _is_service(block, "an import")
    account, subject = _source(block, "service" if service else "stream")
    prefix, to = block.string("prefix", default=""), block.string("to", default="")
    imported = Import(
        account,
        subject,
        service,
        to=to or (f"{prefix.removesuffix('.')}.{subject}" if prefix and not service else subject),
        share=block.boolean("share", default=False),
        allow_trace=block.boolean("allow_trace", default=False),
    )
    block.finish()
    if service:
        _refuse(block, "service", "allow_trace")
    elif prefix and to:
        fail(block.place("prefix"), "prefix and to exclude each other")
    elif is_wildcard(prefix):
        fail(block.place("prefix"), f"prefix: expected a subject without wildcards, found {prefix!r}")
    return imported


def _source(block: Fields, name: str) -> tuple[str, str]:
    entry = block.entry(name)
    assert entry is not None
    if not isinstance(entry.value.data, Block):
        wrong(entry.value, name, "{ account: ..., subject: ... }")
    inner = fields(entry.value, name, block.warnings)
    account, subject = inner.string("account", default=""), inner.string("subject", default="")
    inner.finish()
    if not account or not subject:
        fail(entry.place, f"{name}: expected an account and a subject")
    if not is_valid(subject):
        fail(inner.place("subject"), f"subject: {subject!r} is not a valid subject")
    return account, subject


# ---- do they fit together?


def check_sharing(specs: Sequence[AccountSpec], imports: Iterable[PlacedImport]) -> None:
    """Every import is allowed by an export, none is there twice, none leads back to where it began."""
    accounts = {spec.name: spec for spec in specs}
    known: dict[str, list[Import]] = {}  # by importing account
    for placed in imports:
        exporter = accounts.get(placed.imported.account)
        if exporter is None:
            fail(placed.place, f"import: no account {placed.imported.account!r} in accounts")
        _check_exported(exporter, placed)
        _check_once(placed, known.get(placed.account, ()))
        _check_names(placed)
        _check_cycles(placed, known, accounts)
        known.setdefault(placed.account, []).append(placed.imported)


def check_exports(spec: AccountSpec, names: Container[str], place: Place) -> None:
    """Of one account, among all that there are."""
    services = [export.subject for export in spec.exports if export.service]
    for export in spec.exports:
        for account in sorted(export.accounts or ()):
            if account not in names:
                fail(place, f"export {export.subject}: no account {account!r} in accounts")
        if export.latency and any(subset(export.latency.subject, service) for service in services):
            fail(place, f"latency: {export.latency.subject!r} is a service of this account itself")


def _check_exported(exporter: AccountSpec, placed: PlacedImport) -> None:
    from edge.core.exports import find_export

    imported = placed.imported
    if find_export(exporter, placed.account, imported) is None:
        noun = "service" if imported.service else "stream"
        fail(
            placed.place,
            f"import: account {exporter.name} does not export the {noun} {imported.subject!r} to {placed.account}",
        )


def _check_once(placed: PlacedImport, known: Iterable[Import]) -> None:
    new = placed.imported
    for old in known:
        if (old.service, old.account) != (new.service, new.account):
            continue
        if new.to in (old.to, _local(old)) if new.service else (old.subject == new.subject):
            fail(placed.place, f"import: {new.to if new.service else new.subject!r} is imported already")


def _check_names(placed: PlacedImport) -> None:
    from edge.core.stream_imports import import_transform

    imported = placed.imported
    try:
        if imported.to != imported.subject:
            import_transform(imported)
    except ValueError as exc:
        fail(placed.place, f"import: {imported.subject!r} cannot become {imported.to!r}: {exc}")


def _check_cycles(
    placed: PlacedImport, known: Mapping[str, Sequence[Import]], accounts: Mapping[str, AccountSpec]
) -> None:
    new = placed.imported

    def comes_back(account: str, name: str, seen: set[str]) -> bool:
        """Follow ``name`` from import to import, as nats-server does: is an account that was ``seen`` the exporter?"""
        if not new.service and not _exports_stream(accounts[account], name):
            return False
        for imported in known.get(account, ()):
            local = _local(imported)
            if imported.service != new.service or not overlap(name, imported.subject if new.service else local):
                continue
            if imported.account in seen:
                return True
            seen.add(account)
            if comes_back(imported.account, local if subset(local, name) else name, seen):
                return True
        return False

    for name in (_local(new),) if new.service else (new.to, new.subject):
        if comes_back(new.account, name, {placed.account}):
            fail(placed.place, f"import: {new.subject!r} leads back to account {placed.account}")


def _local(imported: Import) -> str:
    """The subjects that it has in the importing account: ``a.$1`` is ``a.*``."""
    from edge.core.transforms import placeholder

    if not is_wildcard(imported.subject):
        return imported.to
    return ".".join("*" if placeholder(token) else token for token in imported.to.split("."))


def _exports_stream(spec: AccountSpec, name: str) -> bool:
    return any(not export.service and subset(name, export.subject) for export in spec.exports)
