from typing import Any

import pytest

from edge.core.account_spec import AccountSpec, Destination, Export, Import, Latency, Mapping
from edge.monitor.accountz import account_info, accountz
from edge.monitor.requests import DocumentError


def test_an_account_in_detail(bench: Any) -> None:
    bench.router.account("A")
    bench.specs = {
        "A": AccountSpec(
            "A",
            exports=(
                Export("svc", True, response="Stream", latency=Latency("lat", 0)),
                Export("st.>", False, frozenset({"C", "B"})),
            ),
            imports=(Import("B", "x", True, "y"), Import("NOPE", "z", False, "p.z")),
        ),
        "B": AccountSpec("B", exports=(Export("x", True, latency=Latency("l", 30)),)),
    }
    bench.state = bench.state._replace(specs=lambda: bench.specs)
    info = accountz(bench.state, {"account": "A"})["account_detail"]
    assert info["exports"] == [
        {
            "subject": "svc", "type": "service", "response_type": "Streamed",
            "service_latency": {"sampling": "headers", "results": "lat"},
        },
        {"subject": "st.>", "type": "stream", "approved_accounts": ["B", "C"]},
    ]  # fmt: skip
    assert [(item["subject"], item["local_subject"], item["invalid"]) for item in info["imports"]] == [
        ("x", "y", False), ("z", "p.z", True),
    ]  # fmt: skip
    assert info["imports"][0]["latency"] == {"sampling": 30, "results": "l"}
    assert "mappings" not in info and "is_system" not in info
    assert account_info(bench.state, {"account": "SYS"})["is_system"]


def test_private_exports_of_operator_mode_want_a_token(bench: Any) -> None:
    bench.router.account("A")
    bench.specs["A"] = AccountSpec("A", exports=(Export("x", False, frozenset({"B"})),), issuer="O")
    (export,) = account_info(bench.state, {"account": "A"})["exports"]
    assert export == {"subject": "x", "type": "stream", "token_req": True}


@pytest.mark.parametrize(
    ("destinations", "shown"),
    [
        ([("b", 100, "")], [("b", 100)]),
        ([("b", 50, ""), ("c", 30, "")], [("a", 20), ("c", 50), ("b", 100)]),
        ([("b", 50, ""), ("a", 20, "")], [("a", 20), ("b", 70)]),
        ([("b", 100, ""), ("c", 100, "west")], [("b", 100), ("c", 100, "west")]),
    ],
)
def test_weights_add_up(bench: Any, destinations: Any, shown: Any) -> None:
    """What is left over stays where it is, unless it is to be lost."""
    bench.router.account("A")
    bench.specs["A"] = AccountSpec("A", mappings=(Mapping("a", tuple(Destination(*item) for item in destinations)),))
    found = account_info(bench.state, {"account": "A"})["mappings"]["a"]
    assert [tuple(item.values()) for item in found] == shown


def test_nobody_s_account(bench: Any) -> None:
    with pytest.raises(DocumentError, match="Account nope does not exist"):
        accountz(bench.state, {"account": "nope"})
