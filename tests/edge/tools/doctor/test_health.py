"""What a running server says of itself: a real one that is a leaf, and answers that only ours gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.options import Config, LeafNodes, LeafRemote, LeafUrl, Listen
from edge.tools.doctor.health import check_health
from edge.tools.monitoring import Monitoring

Told = Callable[[Any], list[str]]


def config(port: int, remotes: int = 1) -> Config:
    return Config(http=Listen("127.0.0.1", port), leafnodes=LeafNodes((LeafRemote((LeafUrl("h", 1),)),) * remotes))


def test_a_leaf(start_nats: Any, start_monitored: Any, told: Told) -> None:
    hub = start_nats("server_name: hub1\nlisten: 127.0.0.1:-1\nleafnodes { listen: 127.0.0.1:-1 }", "hub")
    port = hub.ports["leafnode"]
    leaf, url = start_monitored(f'leafnodes {{ remotes [ {{ url: "nats://127.0.0.1:{port}" }} ] }}')
    leaf.wait_for_log("Leafnode connection created")
    while not Monitoring(url).get("leafz")["leafs"]:  # its own line comes before that
        pass
    found = told(check_health(config(int(url.rpartition(":")[2]))))
    assert found[0] == "OK health: the server says that it is well"
    assert found[1].startswith(f"OK link: connected to hub1, 127.0.0.1:{port}, ") and len(found) == 2
    found = told(check_health(config(int(url.rpartition(":")[2]), remotes=2)))
    assert found[-1].startswith("FAIL link: 1 of 2 remotes are connected -> its log says why")


def test_no_monitoring(told: Told, free_port: Any, tmp_path: Path) -> None:
    assert told(check_health(Config())) == []
    (found,) = told(check_health(config(free_port())))
    assert found.startswith("FAIL health: nothing listens at ")


def test_what_only_ours_says(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = {"state": "live", "backlog_messages": 0, "oldest_age_s": None, "reason": "", "dead": 0, "lost": 0}
    answers = {
        "healthz": {"status": "unavailable", "error": "the store cannot write"},
        "leafz": {"leafs": []},
        "uplinkz": {"uplinks": {
            "A": fine,
            "B": fine | {"backlog_messages": 12_000, "oldest_age_s": 7300, "reason": "no stream", "state": "waits"},
            "C": fine | {"lost": 3, "dead": 1},
        }},
    }  # fmt: skip
    monkeypatch.setattr(Monitoring, "_load", lambda self, document, query: answers[document])
    assert told(check_health(config(1))) == [
        "FAIL health: the server says: the store cannot write -> its log says why (journalctl -u petiole-edge)",
        "FAIL link: 0 of 1 remotes are connected -> its log says why (journalctl -u petiole-edge): is the login right?",
        "OK uplink: A is live, 0 messages wait",
        "WARN uplink: B is waits, 12.0K messages wait, the oldest for 2h1m: no stream -> docs/uplink.md says what the hub must have",
        "WARN uplink: C is live, 0 messages wait; 3 lost and 1 dead -> docs/uplink.md says what becomes of them",
    ]
