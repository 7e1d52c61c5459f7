"""What one account, or the system account, learns about a client of another (reference: core.md sections 4 and 5)."""

from typing import TYPE_CHECKING

from edge.core.leaf_link import LeafLink
from edge.core.peer import Peer, PeerKind
from edge.core.times import rfc3339

if TYPE_CHECKING:
    from edge.core.mqtt_client import MqttClient


def client_info(peer: Peer | None, server: str = "") -> dict[str, object] | None:
    """``acc`` and ``rtt`` (nanoseconds); with the ``server``'s name also who it is.  None: the server itself."""
    from edge.core.client import Client  # which needs accounts, which need this

    if isinstance(peer, LeafLink):
        return _leaf_info(peer, server)
    if not isinstance(peer, Client):
        return _mqtt_info(peer, server) if peer is not None and peer.kind is PeerKind.MQTT else None
    info: dict[str, object] = {}
    shell, connect, login = peer.shell, peer.connect, peer.login
    if server:
        info |= {"start": rfc3339(shell.started_ns), "host": shell.ip, "id": peer.cid}
    info["acc"] = peer.account.name
    if server:
        info |= _filled({"user": peer.user, "name": connect.name, "lang": connect.lang, "ver": connect.version})
    if shell.rtt_ns:
        info["rtt"] = shell.rtt_ns
    if server:
        info["server"] = server
        info |= _filled(
            {"jwt": login.jwt, "issuer_key": login.issuer_key, "name_tag": login.name_tag, "tags": list(login.tags)}
        )
        info |= {"kind": "Client", "client_type": "websocket" if shell.kind == "WEBSOCKET" else "nats"}
    return info


def _leaf_info(link: LeafLink, server: str) -> dict[str, object]:
    info: dict[str, object] = {"acc": link.account.name}
    if link.rtt:
        info["rtt"] = link.rtt
    if server:
        info |= {"server": server, "kind": "Leafnode"}
    return info


def _mqtt_info(peer: Peer, server: str) -> dict[str, object]:
    client: MqttClient = peer  # type: ignore[assignment]
    account: dict[str, object] = {"acc": client.account.name}
    if not server:
        return account
    shell = client.shell
    info: dict[str, object] = {"start": rfc3339(shell.started_ns), "host": shell.ip, "id": shell.number}
    info |= account | _filled({"user": client.user})
    return info | {"server": server, "kind": "Client", "client_type": "mqtt"}


def _filled(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}
