"""What one account, or the system account, learns about a client of another (reference: core.md sections 4 and 5)."""

from edge.core.leaf_link import LeafLink
from edge.core.peer import Peer
from edge.core.times import rfc3339


def client_info(peer: Peer | None, server: str = "") -> dict[str, object] | None:
    """``acc`` and ``rtt`` (nanoseconds); with the ``server``'s name also who it is.  None: the server itself."""
    from edge.core.client import Client  # which needs accounts, which need this

    if isinstance(peer, LeafLink):
        return _leaf_info(peer, server)
    if not isinstance(peer, Client):
        return None
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


def _filled(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}
