"""``accounts``: subject spaces with their users, limits, and what they share."""

from typing import NamedTuple

from edge.config.access import check_nkey, read_users
from edge.config.fields import Fields, fail, fields, text, wrong
from edge.config.lexer import Place
from edge.config.mappings import read_mappings
from edge.config.parser import Block, Entry
from edge.config.permissions import read_permissions
from edge.config.sharing import PlacedImport, check_exports, check_sharing, read_exports, read_imports
from edge.core.account_spec import AccountLimits, AccountSpec, JetStreamLimits
from edge.core.auth import GLOBAL_ACCOUNT, User

UNLIMITED = -1
MAX_COUNT = 2**31 - 1

IGNORED_ACCOUNT = ("msg_trace", "trace_dest")


class Accounts(NamedTuple):
    specs: tuple[AccountSpec, ...] = ()
    users: tuple[User, ...] = ()


class _Account(NamedTuple):
    spec: AccountSpec
    users: tuple[User, ...]
    imports: tuple[PlacedImport, ...]


def read_accounts(entry: Entry, warnings: list[str]) -> Accounts:
    """``accounts { A { users: [...], jetstream: enabled } }``, or just names: ``accounts: [A, B]``."""
    data = entry.value.data
    if isinstance(data, list):
        names = [text(item, entry.key) for item in data]
        for name, item in zip(names, data, strict=True):
            _check_name(name, names, item.place)
        return Accounts(tuple(AccountSpec(name) for name in names))
    if not isinstance(data, Block):
        wrong(entry.value, entry.key, "a block { ... } or a list of names")
    accounts: list[_Account] = []
    for inner in data.entries.values():
        if inner.referenced:
            continue  # a variable
        _check_name(inner.key, [inner.key], inner.place)
        accounts.append(_account(inner, warnings))
    specs = tuple(account.spec for account in accounts)
    defined = frozenset(spec.name for spec in specs)
    for spec in specs:
        check_exports(spec, defined, data.entries[spec.name].place)
    check_sharing(specs, [placed for account in accounts for placed in account.imports])
    return Accounts(specs, tuple(user for account in accounts for user in account.users))


def _check_name(name: str, names: list[str], place: Place) -> None:
    if name == GLOBAL_ACCOUNT:
        fail(place, f"{name} is the global account and cannot be defined; its users stand in authorization")
    if names.count(name) > 1:
        fail(place, f"account {name!r} is listed twice")


def _account(entry: Entry, warnings: list[str]) -> _Account:
    block = fields(entry.value, f"account {entry.key}", warnings)
    default = read_permissions(block, "default_permissions")
    users = read_users(block.items("users") or [], entry.key, default, warnings)
    jetstream = block.entry("jetstream")
    limits = block.inner("limits")
    imports = read_imports(block, entry.key)
    nkey = block.string("nkey", default="")
    if nkey:
        check_nkey(nkey, "A", block.place("nkey"), "nkey: expected the public nkey of an account")
    spec = AccountSpec(
        entry.key,
        exports=read_exports(block),
        imports=tuple(placed.imported for placed in imports),
        mappings=read_mappings(block),
        limits=_limits(limits) if limits else AccountLimits(),
        jetstream=_jetstream(jetstream, warnings) if jetstream else None,
        default_permissions=default,
    )
    block.finish(ignored=IGNORED_ACCOUNT)
    return _Account(spec, users, imports)


def _limits(block: Fields) -> AccountLimits:
    limits = AccountLimits(
        max_connections=_count(block, "max_connections", "max_conn"),
        max_subscriptions=_count(block, "max_subscriptions", "max_subs"),
        max_payload=_count(block, "max_payload", "max_pay"),
        max_leafnodes=_count(block, "max_leafnodes", "max_leafs"),
    )
    block.finish()
    return limits


def _jetstream(entry: Entry, warnings: list[str]) -> JetStreamLimits | None:
    if not isinstance(entry.value.data, Block):
        return JetStreamLimits() if switched_on(entry) else None
    block = fields(entry.value, "jetstream", warnings)
    limits = JetStreamLimits(
        max_memory_bytes=_limit(block.size_bytes("max_memory", "max_mem", "mem", "memory", default=UNLIMITED)),
        max_file_bytes=_limit(
            block.size_bytes("max_file", "max_store", "max_disk", "store", "disk", default=UNLIMITED)
        ),
        max_streams=_count(block, "max_streams", "streams"),
        max_consumers=_count(block, "max_consumers", "consumers"),
        max_ack_pending=_count(block, "max_ack_pending"),
        memory_max_stream_bytes=_limit(
            block.size_bytes("mem_max_stream_bytes", "memory_max_stream_bytes", default=UNLIMITED)
        ),
        file_max_stream_bytes=_limit(
            block.size_bytes("disk_max_stream_bytes", "store_max_stream_bytes", default=UNLIMITED)
        ),
        max_bytes_required=block.boolean("max_bytes_required", "max_stream_bytes", "max_bytes", default=False),
    )
    block.finish({}, ("cluster_traffic",))
    return limits


def switched_on(entry: Entry) -> bool:
    """``true``, ``enabled`` and their opposites."""
    match entry.value.data:
        case bool() as on:
            return on
        case str() as word if word.lower() in ("enabled", "enable"):
            return True
        case str() as word if word.lower() in ("disabled", "disable"):
            return False
    wrong(entry.value, entry.key, "enabled, disabled or a block { ... }")


def _count(block: Fields, *names: str) -> int | None:
    return _limit(block.integer(*names, lowest=UNLIMITED, highest=MAX_COUNT, default=UNLIMITED))


def _limit(number: int) -> int | None:
    return None if number < 0 else number
