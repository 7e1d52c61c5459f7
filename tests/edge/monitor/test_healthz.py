from types import SimpleNamespace
from typing import Any

import pytest

from edge.monitor.healthz import healthz

DISK = "JetStream write error: commit of 3 rows: disk I/O error"
LOST = "JetStream stream 'A > S' could not be recovered"


@pytest.fixture
def jetstream(bench: Any) -> Any:
    account = SimpleNamespace(streams={"S": None}, consumers={"S": {"C": None}})
    bench.jetstream = SimpleNamespace(
        accounts={"A": account}, health=SimpleNamespace(error=""), unrecovered=[], apis={},
        stores=SimpleNamespace(file=SimpleNamespace(damage=[])),
    )  # fmt: skip
    return bench.jetstream


def test_all_is_well(bench: Any, jetstream: Any) -> None:
    well = {"status": "ok", "status_code": 200}
    assert healthz(bench.state, {}) == healthz(bench.state, {"details": True}) == well
    assert healthz(bench.state, {"account": "A", "stream": "S", "consumer": "C"}) == well


def test_before_anybody_can_come_in(bench: Any) -> None:
    bench.listener.server = None
    assert healthz(bench.state, {}) == {"status": "error", "status_code": 500, "error": "not ready for connections"}


def test_a_disk_that_does_not_take_what_it_is_given(bench: Any, jetstream: Any) -> None:
    jetstream.health.error = "commit of 3 rows: disk I/O error"
    assert healthz(bench.state, {}) == {"status": "unavailable", "status_code": 503, "error": DISK}
    assert healthz(bench.state, {"js-enabled-only": True})["status_code"] == 503
    assert healthz(bench.state, {"js-server-only": True})["status_code"] == 200
    assert healthz(bench.state, {"details": True}) == {
        "status": "error", "status_code": 503, "errors": [{"type": "JETSTREAM", "error": DISK}],
    }  # fmt: skip


def test_what_is_lost_is_told_and_no_reason_to_start_anew(bench: Any, jetstream: Any) -> None:
    jetstream.stores.file.damage.append("stream S: message 7 is damaged")
    assert healthz(bench.state, {}) == {"status": "ok", "status_code": 200, "warnings": ["stream S: message 7 is damaged"]}
    jetstream.stores.file.damage += ["stream S: message 8 is damaged"] * 200
    assert healthz(bench.state, {})["warnings"][-1] == "and 101 more: petiole-edge verify names them"


def test_streams_that_did_not_come_back(bench: Any, jetstream: Any) -> None:
    jetstream.unrecovered += [("A", "S"), ("B", "T")]
    assert healthz(bench.state, {})["error"] == LOST
    assert [trouble["stream"] for trouble in healthz(bench.state, {"details": True})["errors"]] == ["S", "T"]
    assert healthz(bench.state, {"account": "A", "details": True})["errors"] == [
        {"type": "STREAM", "account": "A", "stream": "S", "error": LOST}
    ]
    assert healthz(bench.state, {"js-enabled": True})["status_code"] == 200


@pytest.mark.parametrize(
    ("options", "code", "kind"),
    [
        ({"stream": "S"}, 400, "BAD_REQUEST"),
        ({"account": "A", "consumer": "C"}, 400, "BAD_REQUEST"),
        ({"account": "B"}, 404, "ACCOUNT"),
        ({"account": "A", "stream": "T"}, 404, "STREAM"),
        ({"account": "A", "stream": "S", "consumer": "D"}, 404, "CONSUMER"),
    ],
)
def test_what_is_asked_for_and_not_there(bench: Any, jetstream: Any, options: Any, code: int, kind: str) -> None:
    short, long = healthz(bench.state, options), healthz(bench.state, {**options, "details": True})
    assert short["status_code"] == long["status_code"] == code
    assert [trouble["type"] for trouble in long["errors"]] == [kind]
    assert short["error"] == long["errors"][0]["error"]
