"""The documents of this server by the names under which they are asked for.

Each is loaded when somebody asks for it the first time.
"""

from edge.monitor.account_statz import account_statz
from edge.monitor.requests import Document
from edge.monitor.stamp import Fields
from edge.monitor.state import State


class ServerDocuments:
    """``of_server`` and ``of_account``: by the last token of the request; ``by_path``: of the monitoring port.

    All take options as they are named in the bodies of requests.  DocumentError.
    """

    def __init__(self, state: State) -> None:
        from edge.monitor.varz import Processor

        self.state = state
        self.stamp = state.stamp
        self.processor = Processor(state.ledger.began)
        self.http_requests: dict[str, int] = {}  # by path, for varz
        self.of_server: dict[str, Document] = {
            "VARZ": self._varz,
            "CONNZ": self._connz,
            "SUBSZ": self._subsz,
            "ROUTEZ": self._routez,
            "GATEWAYZ": self._gatewayz,
            "LEAFZ": self._leafz,
            "ACCOUNTZ": self._accountz,
            "JSZ": self._jsz,
            "HEALTHZ": self._healthz,
            "PROFILEZ": self._profilez,
            "EXPVARZ": self._expvarz,
            "IPQUEUESZ": nothing,
            "RAFTZ": nothing,
        }
        self.of_account: dict[str, Document] = {
            "CONNZ": lambda options: self._connz({**options, "acc": options["account"]}),
            "SUBSZ": lambda options: self._subsz({**options, "subscriptions": True}),
            "LEAFZ": self._leafz,
            "JSZ": self._jsz_of_account,
            "INFO": self._account_info,
        }
        self.by_path: dict[str, Document] = {name.lower(): document for name, document in self.of_server.items()}
        self.by_path["accstatz"] = lambda options: account_statz(state.stamp, state.router.accounts, options)

    def server(self, name: str) -> Document | None:
        return self.of_server.get(name)

    def account(self, name: str) -> Document | None:
        return self.of_account.get(name)

    def _varz(self, options: Fields) -> Fields:
        from edge.monitor.varz import varz

        return varz(self.state, self.processor, self.http_requests)

    def _connz(self, options: Fields) -> Fields:
        from edge.monitor.connz import connz

        return connz(self.state, options)

    def _subsz(self, options: Fields) -> Fields:
        from edge.monitor.subsz import subsz

        return subsz(self.state, options)

    def _leafz(self, options: Fields) -> Fields:
        from edge.monitor.leafz import leafz

        return leafz(self.state, options)

    def _accountz(self, options: Fields) -> Fields:
        from edge.monitor.accountz import accountz

        return accountz(self.state, options)

    def _account_info(self, options: Fields) -> Fields:
        from edge.monitor.accountz import account_info

        return account_info(self.state, options)

    def _jsz(self, options: Fields) -> Fields:
        from edge.monitor.jsz import jsz

        return jsz(self.state, options)

    def _jsz_of_account(self, options: Fields) -> Fields:
        from edge.monitor.jsz import jsz_of_account

        return jsz_of_account(self.state, options)

    def _healthz(self, options: Fields) -> Fields:
        from edge.monitor.healthz import healthz

        return healthz(self.state, options)

    def _routez(self, options: Fields) -> Fields:
        from edge.monitor.absent import routez

        return routez(self.stamp)

    def _gatewayz(self, options: Fields) -> Fields:
        from edge.monitor.absent import gatewayz

        return gatewayz(self.stamp)

    def _profilez(self, options: Fields) -> Fields:
        from edge.monitor.absent import profilez

        return profilez(options)

    def _expvarz(self, options: Fields) -> Fields:
        from edge.monitor.absent import expvarz
        from edge.monitor.process import resident_bytes

        return expvarz(resident_bytes())


def nothing(options: Fields) -> Fields:
    """Of queues between threads, and of Raft groups, there are none."""
    return {}
