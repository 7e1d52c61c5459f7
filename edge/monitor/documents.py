"""The documents of this server by the names under which the system account asks for them."""

import os
import time

from edge.core.router import Router
from edge.core.times import rfc3339
from edge.monitor.account_statz import total_traffic
from edge.monitor.requests import Document
from edge.monitor.stamp import Fields
from edge.net.listener import ClientListener


class ServerDocuments:
    def __init__(self, router: Router, listener: ClientListener) -> None:
        self.router = router
        self.listener = listener
        self.started_ns = time.time_ns()

    def server(self, name: str) -> Document | None:
        return self._varz if name == "VARZ" else None

    def account(self, name: str) -> Document | None:
        return None

    def _varz(self, options: Fields) -> Fields:
        accounts = self.router.accounts.values()
        of_clients, of_leafs = total_traffic(accounts)
        every = of_clients.plus(of_leafs)
        with open("/proc/self/statm") as statm:
            pages = int(statm.read().split()[1])
        return {
            "start": rfc3339(self.started_ns),
            "mem": pages * os.sysconf("SC_PAGESIZE"),
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
