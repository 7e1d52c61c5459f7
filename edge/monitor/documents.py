"""The documents of this server by the names under which the system account asks for them."""

import os

from edge.core.router import Router
from edge.core.times import rfc3339
from edge.monitor.absent import expvarz, gatewayz, profilez, routez
from edge.monitor.account_statz import total_traffic
from edge.monitor.requests import Document
from edge.monitor.stamp import Fields, Stamp
from edge.net.listener import ClientListener


class ServerDocuments:
    """``of_server`` and ``of_account``: by the last token of the request."""

    def __init__(self, router: Router, listener: ClientListener, stamp: Stamp) -> None:
        self.router = router
        self.listener = listener
        self.stamp = stamp
        self.of_server: dict[str, Document] = {
            "VARZ": self._varz,
            "ROUTEZ": lambda options: routez(stamp),
            "GATEWAYZ": lambda options: gatewayz(stamp),
            "PROFILEZ": profilez,
            "EXPVARZ": lambda options: expvarz(resident_bytes()),
            "IPQUEUESZ": lambda options: {},
            "RAFTZ": lambda options: {},
        }
        self.of_account: dict[str, Document] = {}
        self.by_path: dict[str, Document] = {name.lower(): document for name, document in self.of_server.items()}
        self.http_requests: dict[str, int] = {}  # by path, for varz

    def server(self, name: str) -> Document | None:
        return self.of_server.get(name)

    def account(self, name: str) -> Document | None:
        return self.of_account.get(name)

    def _varz(self, options: Fields) -> Fields:
        accounts = self.router.accounts.values()
        of_clients, of_leafs = total_traffic(accounts)
        every = of_clients.plus(of_leafs)
        return {
            "start": rfc3339(self.stamp.started_ns),
            "mem": resident_bytes(),
            "cores": os.cpu_count(),
            "cpu": 0,
            "connections": len(self.listener.connections),
            "total_connections": self.listener.total,
            "subscriptions": sum(len(account.sublist) for account in accounts),
            "in_msgs": every.in_msgs,
            "in_bytes": every.in_bytes,
            "out_msgs": every.out_msgs,
            "out_bytes": every.out_bytes,
            "in_client_msgs": of_clients.in_msgs,
            "in_client_bytes": of_clients.in_bytes,
            "out_client_msgs": of_clients.out_msgs,
            "out_client_bytes": of_clients.out_bytes,
            "slow_consumers": self.listener.slow_consumers,
            "gomaxprocs": os.cpu_count(),
        }


def resident_bytes() -> int:
    """The memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
