"""ACCOUNTZ and INFO: the accounts, and what one of them gives and takes (source: nats-server's monitor.go)."""

from collections.abc import Mapping as Reading
from itertools import accumulate

from edge.core.account import Account
from edge.core.account_spec import AccountSpec, Destination, Export, Import, Latency, Mapping
from edge.core.exports import find_export
from edge.core.times import SECOND, rfc3339
from edge.monitor.account_statz import clients, leafs
from edge.monitor.requests import DocumentError
from edge.monitor.stamp import Fields
from edge.monitor.state import State
from edge.monitor.subsz import sublist_stats

RESPONSES = {"Singleton": "Singleton", "Stream": "Streamed", "Chunked": "Chunked"}


def accountz(state: State, options: Fields) -> Fields:
    """DocumentError where there is no such account."""
    fields = state.head()
    system = state.settings().system_account
    if system:
        fields["system_account"] = system
    name = options.get("account", "")
    if name:
        return fields | {"account_detail": account_info(state, {"account": name})}
    return fields | {"accounts": list(state.router.accounts)}


def account_info(state: State, options: Fields) -> Fields:
    name = options["account"]
    account = state.router.accounts.get(name)
    if account is None:
        raise DocumentError(f"Account {name} does not exist")
    specs = state.specs()
    spec = specs.get(name) or AccountSpec(name)
    fields = _beginning(state, account)
    lists = {
        "mappings": {mapping.source: _destinations(mapping) for mapping in spec.mappings},
        "exports": [_export(export, spec) for export in spec.exports],
        "imports": [_import(imported, name, specs) for imported in spec.imports],
    }
    fields |= {key: value for key, value in lists.items() if value}
    return fields | _claims(state, name) | {"sublist_stats": sublist_stats([account])}


def _beginning(state: State, account: Account) -> Fields:
    settings, signed, jetstream = state.settings(), state.signed(), state.jetstream()
    fields: Fields = {"account_name": account.name, "update_time": settings.varz["config_load_time"]}
    if account.name == settings.system_account:
        fields["is_system"] = True
    return fields | {
        "expired": signed is not None and signed.is_expired(account.name),
        "complete": True,
        "jetstream_enabled": jetstream is not None and account.name in jetstream.accounts,
        "leafnode_connections": leafs(account),
        "client_connections": clients(account),
        "subscriptions": len(account.sublist),
    }


def _claims(state: State, name: str) -> Fields:
    signed = state.signed()
    rules = signed.rules.get(name) if signed is not None else None
    if signed is None or rules is None:
        return {"name_tag": name}
    from edge.core.jwt import payload

    said = signed.jwts[name]
    fields: Fields = {"jwt": said, "issuer_key": rules.issuer, "name_tag": rules.name}
    if rules.tags:
        fields["tags"] = list(rules.tags)
    fields["decoded_jwt"] = payload(said)
    if rules.revocations:
        revoked = rules.revocations.items()
        fields["revoked_user"] = {user: rfc3339(max(until, 0) * SECOND) for user, until in revoked}
    return fields


# ---- mappings, exports, imports


def _destinations(mapping: Mapping) -> list[Fields]:
    """Of each cluster, those for any cluster first."""
    places = dict.fromkeys(["", *(destination.cluster for destination in mapping.destinations)])
    return [fields for place in places for fields in _weighted(mapping, place)]


def _weighted(mapping: Mapping, cluster: str) -> list[Fields]:
    """As nats-server holds them: by weight, which is summed up; what is left over stays as it is."""
    found = [destination for destination in mapping.destinations if destination.cluster == cluster]
    left = 100 - sum(destination.weight for destination in found)
    if found and left > 0 and all(destination.subject != mapping.source for destination in found):
        found.append(Destination(mapping.source, left, cluster))
    found.sort(key=lambda destination: destination.weight)
    place: Fields = {"cluster": cluster} if cluster else {}
    sums = accumulate(destination.weight for destination in found)
    return [
        {"subject": destination.subject, "weight": weight, **place}
        for destination, weight in zip(found, sums, strict=True)
    ]


def _export(export: Export, spec: AccountSpec) -> Fields:
    """Who is let in: in operator mode who brings a token, else who is named."""
    fields: Fields = {"subject": export.subject, "type": "service" if export.service else "stream"}
    if export.accounts is not None and spec.issuer:
        fields["token_req"] = True
    if export.service:
        fields["response_type"] = RESPONSES[export.response]
    if export.latency is not None:
        fields["service_latency"] = _latency(export.latency)
    if export.accounts and not spec.issuer:
        fields["approved_accounts"] = sorted(export.accounts)
    return fields


def _import(imported: Import, importer: str, specs: Reading[str, AccountSpec]) -> Fields:
    fields: Fields = {"subject": imported.subject, "account": imported.account}
    if imported.service:
        fields["to"] = imported.to  # its older name
    fields |= {"local_subject": imported.to, "type": "service" if imported.service else "stream"}
    exporter = specs.get(imported.account)
    export = find_export(exporter, importer, imported) if exporter is not None else None
    fields |= {"invalid": export is None, "share": imported.share, "tracking": False}
    if imported.service and export is not None and export.latency is not None:
        fields["latency"] = _latency(export.latency)
    return fields


def _latency(latency: Latency) -> Fields:
    """``sampling``: percent, or the word for those whose headers ask for it."""
    return {"sampling": latency.sampling or "headers", "results": latency.subject}
