"""JSZ: JetStream, of the server or of one account (source: nats-server's monitor.go)."""

from typing import TYPE_CHECKING

from edge.core.times import rfc3339
from edge.monitor.requests import Unanswered
from edge.monitor.stamp import Fields
from edge.monitor.state import LIMIT, State

if TYPE_CHECKING:  # loaded where there is JetStream
    from edge.jetstream.account import JetStreamAccount
    from edge.jetstream.jetstream import JetStream
    from edge.jetstream.stream import Stream

NO_CONFIG = {"max_memory": 0, "max_storage": 0}
UNSIGNED = (1 << 64) - 1  # no limit, as nats-server says it here


def jsz(state: State, options: Fields) -> Fields:
    """Unanswered by a server without JetStream that is asked whether it leads."""
    jetstream = state.jetstream()
    if jetstream is None:
        if options.get("leader_only"):
            raise Unanswered("filtered response: not leader")
        return usage(None) | state.head() | {"disabled": True, "config": NO_CONFIG, **_sums([], {}), "total": 0}
    accounts = list(jetstream.accounts.values())
    if options.get("consumer"):
        options = options | {"streams": True}
    fields = usage(jetstream) | state.head() | {"config": state.settings().jetstream, "limits": {}}
    fields |= _sums(accounts, options)
    chosen = _chosen(accounts, options)
    if chosen:
        fields["account_details"] = [_account(state, jetstream, account, options) for account in chosen]
    return fields | {"total": len(accounts)}


def jsz_of_account(state: State, options: Fields) -> Fields:
    """DocumentError where it has no JetStream."""
    account = state.jetstream_account(options["account"])
    jetstream = state.jetstream()
    assert jetstream is not None
    return _account(state, jetstream, account, options)


def usage(jetstream: "JetStream | None") -> Fields:
    """What all accounts have together."""
    accounts = list(jetstream.accounts.values()) if jetstream is not None else []
    return {
        "memory": sum(account.used_bytes("memory") for account in accounts),
        "storage": sum(account.used_bytes("file") for account in accounts),
        "reserved_memory": sum(account.reserved_bytes("memory") for account in accounts),
        "reserved_storage": sum(account.reserved_bytes("file") for account in accounts),
        "accounts": len(accounts),
        "ha_assets": 0,
        "api": _api(jetstream),
    }


def _api(jetstream: "JetStream | None") -> Fields:
    if jetstream is None:
        return {"level": 0, "total": 0, "errors": 0}
    from edge.version import API_LEVEL

    apis = jetstream.apis.values()
    return {
        "level": API_LEVEL, "total": sum(api.total for api in apis), "errors": sum(api.failed for api in apis)
    }  # fmt: skip


def _sums(accounts: "list[JetStreamAccount]", options: Fields) -> Fields:
    """Alone, this server leads all that it has."""
    streams = [stream for account in accounts for stream in account.streams.values()]
    consumers = sum(len(found) for account in accounts for found in account.consumers.values())
    fields: Fields = {"streams": len(streams)}
    if options.get("raft") and streams:
        fields["streams_leader"] = len(streams)
    fields["consumers"] = consumers
    if options.get("raft") and consumers:
        fields["consumers_leader"] = consumers
    return fields | {
        "messages": sum(stream.messages for stream in streams),
        "bytes": sum(stream.bytes for stream in streams),
    }


def _chosen(accounts: "list[JetStreamAccount]", options: Fields) -> "list[JetStreamAccount]":
    """The one that is named, if it is there; else all, where they are asked for."""
    name = options.get("account", "")
    named = [account for account in accounts if account.account.name == name]
    if named:
        return named
    if not (options.get("accounts") or (options.get("streams") and not name)):
        return []
    limit, offset = options.get("limit") or LIMIT, max(options.get("offset", 0), 0)
    accounts.sort(key=lambda account: account.account.name)
    return accounts[offset : offset + limit] if limit > 0 else accounts


def _account(state: State, jetstream: "JetStream", account: "JetStreamAccount", options: Fields) -> Fields:
    name, limits = account.account.name, account.limits
    api = jetstream.apis.get(name)
    fields: Fields = {
        "name": state.tag(name),
        "id": name,
        "memory": account.used_bytes("memory"),
        "storage": account.used_bytes("file"),
        "reserved_memory": UNSIGNED if limits.max_memory_bytes is None else limits.max_memory_bytes,
        "reserved_storage": UNSIGNED if limits.max_file_bytes is None else limits.max_file_bytes,
        "accounts": 0,
        "ha_assets": 0,
        "api": {"level": 0, "total": api.total if api else 0, "errors": api.failed if api else 0},
    }
    streams = list(account.streams.values()) if options.get("streams") else []
    if streams:
        fields["stream_detail"] = [_stream(state, account, stream, options) for stream in streams]
    return fields


def _stream(state: State, account: "JetStreamAccount", stream: "Stream", options: Fields) -> Fields:
    from edge.jetstream.info import listed_stream, stream_state

    consumers = account.consumers[stream.name]
    now, identity = state.stamp.wall(), state.stamp.identity
    fields: Fields = {"name": stream.name, "created": rfc3339(stream.created_ns)}
    fields["cluster"] = {"name": identity.cluster} if identity.cluster else {}
    fields["cluster"]["leader"] = identity.name
    if options.get("config"):
        fields["config"] = listed_stream(stream, len(consumers), now)["config"]
    fields["state"] = stream_state(stream, len(consumers), {})
    if options.get("consumer") and consumers:
        fields["consumer_detail"] = _consumers(account, stream, bool(options.get("config")), now)
    return fields


def _consumers(account: "JetStreamAccount", stream: "Stream", with_config: bool, now: int) -> list[Fields]:
    from edge.jetstream.info import listed_consumer

    found = [listed_consumer(consumer, now) for consumer in list(account.consumers[stream.name].values())]
    for fields in () if with_config else found:
        del fields["config"]
    return found
