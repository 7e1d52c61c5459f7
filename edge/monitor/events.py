"""What the server tells the system account by itself: who comes and goes, and every now and then how it is.

Nothing is made up for nobody: an account that no one listens in costs a look at its interest (reference: core.md
section 5).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from edge.core.account import Account, Traffic
from edge.core.client import Client
from edge.core.go_json import dumps
from edge.core.peer import Peer, PeerKind
from edge.core.router import Watcher
from edge.core.times import SECOND, Clock, rfc3339
from edge.monitor.account_statz import account_stat, connections
from edge.monitor.stamp import Fields, Stamp

if TYPE_CHECKING:  # loaded when there is a hub
    from edge.core.leaf_link import LeafLink
    from edge.core.mqtt_client import MqttClient

CONNS_NS = 30 * SECOND
STATSZ_NS = 10 * SECOND
FIRST_STATSZ_NS = SECOND // 4  # then at growing distances, as nats-server does it
NO_TRAFFIC = Traffic()


class Events(Watcher):
    """Watches the router's connections; ``deadline`` and ``tick`` are for the shell's timer.

    ``unnumbered``: the account whose connections are not counted aloud, the global one.
    """

    def __init__(
        self, system: Account, stamp: Stamp, clock: Clock, statsz: Callable[[], Fields], unnumbered: str
    ) -> None:
        self.system = system
        self.stamp = stamp
        self.clock = clock
        self.statsz = statsz
        self.unnumbered = unnumbered
        self.statsz_every = FIRST_STATSZ_NS
        self.next_statsz = clock.monotonic() + FIRST_STATSZ_NS
        self.next_conns: dict[Account, int] = {}
        self.links: dict[Peer, tuple[int, Traffic]] = {}  # since when, and what they had carried before

    # ---- the router's watcher

    def connected(self, peer: Peer, account: Account) -> None:
        if peer.kind is PeerKind.LEAF:
            link = cast("LeafLink", peer)
            self.links[peer] = link.started_ns or self.clock.wall(), NO_TRAFFIC.plus(link)
            if link.is_inbound:
                self._publish(
                    f"$SYS.ACCOUNT.{account.name}.LEAFNODE.CONNECT",
                    lambda: {"server": self.stamp.server(), "acc": account.name},
                )
        self._publish(
            f"$SYS.ACCOUNT.{account.name}.CONNECT",
            lambda: self._head("client_connect") | {"client": self._client(peer, account, 0)},
        )

    def refused(self, peer: Peer, account: Account, reason: str) -> None:
        self._publish(f"$SYS.SERVER.{self.stamp.identity.id}.CLIENT.AUTH.ERR", lambda: self._end(peer, account, reason))
        subject = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"
        if account.has_interest(subject):
            account.publish(subject, dumps(self._end(peer, account, reason)))

    def disconnected(self, peer: Peer, account: Account, reason: str) -> None:
        self._publish(f"$SYS.ACCOUNT.{account.name}.DISCONNECT", lambda: self._end(peer, account, reason))
        self.links.pop(peer, None)

    def counted(self, account: Account) -> None:
        if account.name == self.unnumbered:
            return
        if connections(account):
            self.next_conns[account] = self.clock.monotonic() + CONNS_NS
            self.clock.wake()
        else:
            self.next_conns.pop(account, None)
        name = account.name
        subjects = (f"$SYS.SERVER.ACCOUNT.{name}.CONNS", f"$SYS.ACCOUNT.{name}.SERVER.CONNS")
        if any(map(self.system.has_interest, subjects)):
            event = self.conns(account)  # one, under an old name and a new
            for subject in subjects:
                self.system.publish(subject, dumps(event))
                event["server"] = self.stamp.server()

    # ---- the server's own

    def shutdown(self) -> None:
        self._publish(f"$SYS.SERVER.{self.stamp.identity.id}.SHUTDOWN", self.stamp.server)

    def lame_duck(self) -> None:
        self._publish(f"$SYS.SERVER.{self.stamp.identity.id}.LAMEDUCK", self.stamp.server)

    def send_statsz(self) -> None:
        """To everybody who listens for it."""
        self._publish(
            f"$SYS.SERVER.{self.stamp.identity.id}.STATSZ",
            lambda: {"server": self.stamp.server(), "statsz": self.statsz()},
        )

    def conns(self, account: Account) -> Fields:
        return self._head("account_connections") | account_stat(account)

    # ---- clocks

    def deadline(self) -> int:
        return min([self.next_statsz, *self.next_conns.values()])

    def tick(self, now: int) -> None:
        if now >= self.next_statsz:
            self.statsz_every = min(max(self.statsz_every * 2, SECOND), STATSZ_NS)
            self.next_statsz = now + self.statsz_every
            self.send_statsz()
        for account in [account for account, due in self.next_conns.items() if now >= due]:
            self.counted(account)

    # ---- small things

    def _publish(self, subject: str, fields: Callable[[], Fields]) -> None:
        if self.system.has_interest(subject):
            self.system.publish(subject, dumps(fields()))

    def _head(self, kind: str) -> Fields:
        return self.stamp.event(kind) | {"server": self.stamp.server()}

    def _end(self, peer: Peer, account: Account, reason: str) -> Fields:
        """``sent`` and ``received`` are as the client sees it."""
        traffic = self._traffic(peer)
        return self._head("client_disconnect") | {
            "client": self._client(peer, account, self.clock.wall()),
            "sent": {"msgs": traffic.in_msgs, "bytes": traffic.in_bytes},
            "received": {"msgs": traffic.out_msgs, "bytes": traffic.out_bytes},
            "reason": reason,
        }

    def _traffic(self, peer: Peer) -> Traffic:
        if isinstance(peer, Client):
            return NO_TRAFFIC.plus(peer)
        if peer.kind is PeerKind.MQTT:
            return NO_TRAFFIC.plus(cast("MqttClient", peer))
        if peer in self.links:
            total, before = NO_TRAFFIC.plus(cast("LeafLink", peer)), self.links[peer][1]
            return Traffic(*(now - then for now, then in zip(total, before, strict=True)))
        return NO_TRAFFIC

    def _client(self, peer: Peer, account: Account, stop: int) -> Fields:
        """``stop``: wall time of its end, 0 while it is here."""
        tail = {"stop": rfc3339(stop)} if stop else {}
        if isinstance(peer, Client):
            return self._of_client(peer, account, tail)
        if peer.kind is PeerKind.MQTT:
            return _of_mqtt_client(cast("MqttClient", peer), account, tail)
        return self._of_link(cast("LeafLink", peer), account, tail)

    def _of_link(self, link: "LeafLink", account: Account, tail: Fields) -> Fields:
        is_known = link in self.links
        fields: Fields = {
            "start": rfc3339(self.links[link][0] if is_known else link.started_ns),
            "host": link.remote.rpartition(":")[0].strip("[]"),
        }
        name, version = link.said
        said = {"user": link.user, "name": name, "ver": version}
        fields |= {"id": link.cid} if link.cid else {}
        fields["acc"] = account.name if link.account is account and (is_known or link.far.server_name) else "N/A"
        fields |= {key: value for key, value in said.items() if value}
        if tail and link.rtt:
            fields["rtt"] = link.rtt
        named = {"name_tag": account.name} if fields["acc"] != "N/A" else {}
        return fields | tail | named | {"kind": "Leafnode"}

    def _of_client(self, client: Client, account: Account, tail: Fields) -> Fields:
        shell, connect, login = client.shell, client.connect, client.login
        fields: Fields = {"start": rfc3339(shell.started_ns), "host": shell.ip, "id": client.cid, "acc": account.name}
        said = {
            "user": client.user or claimed(client), "name": connect.name, "lang": connect.lang, "ver": connect.version,
            "rtt": shell.rtt_ns if tail else 0,
        }  # fmt: skip
        shown = {"jwt": login.jwt, "issuer_key": login.issuer_key}
        fields |= {key: value for key, value in said.items() if value} | tail
        fields |= {key: value for key, value in shown.items() if value}
        fields["name_tag"] = account.name
        if login.tags:
            fields["tags"] = list(login.tags)
        return fields | {"kind": "Client", "client_type": "websocket" if shell.kind == "WEBSOCKET" else "nats"}


def _of_mqtt_client(client: "MqttClient", account: Account, tail: Fields) -> Fields:
    shell = client.shell
    fields: Fields = {"start": rfc3339(shell.started_ns), "host": shell.ip, "id": shell.number, "acc": account.name}
    if client.user:
        fields["user"] = client.user
    fields |= tail | {"name_tag": account.name, "kind": "Client", "client_type": "mqtt"}
    return fields | ({"client_id": client.client_id} if client.client_id else {})


def claimed(client: Client) -> str:
    """Who it says it is, believed or not."""
    connect = client.connect
    return connect.nkey or connect.user or ("[REDACTED]" if connect.auth_token else "")
