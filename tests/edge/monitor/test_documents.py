import subprocess
import sys
from typing import Any

import pytest

from edge.monitor.desk import OF_ACCOUNT, OF_SERVER
from edge.monitor.documents import ServerDocuments
from edge.monitor.endpoints import ENDPOINTS
from edge.monitor.jsz import jsz
from edge.monitor.requests import Unanswered

LATE = ("connz", "subsz", "jsz", "leafz", "accountz", "healthz", "absent")


def test_whatever_is_asked_for_is_there(bench: Any) -> None:
    documents = ServerDocuments(bench.state)
    own = {"IDZ", "STATSZ"}  # which requests answer themselves
    assert documents.of_server.keys() == set(OF_SERVER) - own
    assert documents.of_account.keys() == set(OF_ACCOUNT) - {"STATZ", "CONNS"}
    assert {endpoint.document for endpoint in ENDPOINTS.values()} <= documents.by_path.keys()


def test_accounts_without_connections_are_told_of_on_request(bench: Any) -> None:
    bench.client("A")
    documents = ServerDocuments(bench.state)
    shown = [[stat["acc"] for stat in documents.by_path["accstatz"](options)["account_statz"]] for options in (
        {}, {"include_unused": True}, {"accounts": ["SYS", "A", "nope"]},
    )]  # fmt: skip
    assert shown == [["A"], ["SYS", "$G", "A"], ["A"]]


def test_who_does_not_lead_says_nothing(bench: Any) -> None:
    with pytest.raises(Unanswered):
        jsz(bench.state, {"leader_only": True})
    system = bench.client("SYS")
    bench.system._requests().documents = ServerDocuments(bench.state)
    assert bench.ask(system, "$SYS.REQ.SERVER.PING.JSZ", '{"leader_only":true}') is None
    assert bench.ask(system, "$SYS.REQ.SERVER.PING.JSZ")["data"]["disabled"]


def test_who_is_not_asked_does_not_pay() -> None:
    code = "import sys, edge.monitor.documents; print(*[name for name in sys.modules if 'edge.' in name])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {f"edge.monitor.{name}" for name in LATE} & set(loaded)
    assert not [name for name in loaded if name.startswith(("edge.jetstream", "edge.config"))]
