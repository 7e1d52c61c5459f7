"""What has changed between two configurations, and what needs a restart."""

import pytest

from edge.config.options import (
    Authorization,
    Config,
    JetStream,
    LeafNodes,
    LeafRemote,
    LeafUrl,
    Listen,
    Log,
    Mqtt,
    Uplink,
    WebSocket,
)
from edge.core.account_spec import AccountSpec
from edge.core.auth import User
from edge.core.auth_spec import AuthCallout, Operator
from edge.core.tls_spec import Tls
from edge.errors import ConfigError
from edge.reload import LINES, NOT_COMPARED, compare

CONFIG = Config(
    path="x.conf",
    tls=Tls("c", "k"),
    authorization=Authorization((User("a", "a"),)),
    jetstream=JetStream("/s", "d"),
    leafnodes=LeafNodes((LeafRemote((LeafUrl("one", 1),)),)),
    mqtt=Mqtt(Listen("h", 1883)),
    websocket=WebSocket(Listen("h", 80), tls=Tls("c", "k")),
)


def lines(**changes: object) -> list[str]:
    found = compare(CONFIG, CONFIG._replace(**changes))
    return [line.removeprefix("Reloaded: ") for line in found if line != "Reloaded: tls = enabled"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"path": "y.conf", "digest": "d", "loaded_ns": 5, "warnings": ("w",)}, []),
        ({"max_payload_bytes": 5}, ["max_payload = 5"]),
        ({"ping_interval_ns": 7 * 10**9, "ping_max": 3}, ["ping_interval = 7s", "ping_max = 3"]),
        ({"log": Log(debug=True, file="f")}, ["log_file = f", "debug = true"]),
        ({"authorization": Authorization((User("b"),))}, ["authorization users"]),
        ({"authorization": Authorization((User("a", "a"), User("", nkey="U")))}, ["authorization nkey users"]),
        ({"authorization": Authorization((), "t")}, ["authorization token", "authorization users"]),
        ({"authorization": Authorization((User("a", "a"),), timeout_ns=10**9)}, ["authorization timeout = 1"]),
        (
            {"authorization": Authorization((User("a", "a"),), auth_callout=AuthCallout("A", "$G", ("a",)))},
            ["authorization callout"],
        ),
        ({"accounts": (AccountSpec("A"),)}, ["accounts"]),
        ({"jetstream": JetStream("/s", "d", 100)}, ["JetStream max_mem_store = None, max_file_store = 100"]),
        ({"mqtt": Mqtt(Listen("h", 1883), max_ack_pending=5)}, ["MQTT"]),
        ({"websocket": WebSocket(Listen("h", 80), tls=Tls("d", "k"))}, ["websocket tls"]),
        (
            {"leafnodes": LeafNodes((LeafRemote((LeafUrl("two", 2, "me", "secret"),)),))},
            ["LeafNode Remote one:1 removed", "LeafNode Remote two:2 added"],
        ),
        ({"pid_file": "p", "ports_file_dir": "d"}, ["pid_file = p", "ports_file_dir = d"]),
    ],
)
def test_changes(changes: dict[str, object], expected: list[str]) -> None:
    assert lines(**changes) == expected


def test_certificates_are_read_again_though_nothing_has_changed() -> None:
    assert compare(CONFIG, CONFIG) == ["Reloaded: tls = enabled"]
    assert compare(CONFIG, CONFIG._replace(tls=Tls("c2", "k2"))) == ["Reloaded: tls = enabled"]
    assert compare(Config(), Config()) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"listen": Listen("h", 1)}, "listen"),
        ({"server_name": "n"}, "server_name"),
        ({"http": Listen("h", 1)}, "http"),
        ({"system_account": "S"}, "system_account"),
        ({"no_system_account": True}, "no_system_account"),
        ({"operator": Operator(("jwt",))}, "switching operator mode"),
        ({"tls": None}, "switching tls"),
        ({"jetstream": None}, "switching jetstream"),
        ({"jetstream": JetStream("/t", "d")}, "jetstream store_dir"),
        ({"jetstream": JetStream("/s", "e")}, "jetstream domain"),
        ({"mqtt": None}, "mqtt"),
        ({"mqtt": Mqtt(Listen("h", 1884))}, "mqtt"),
        ({"mqtt": Mqtt(Listen("h", 1883), tls=Tls())}, "tls of mqtt"),
        ({"websocket": None}, "websocket"),
        ({"websocket": WebSocket(Listen("h", 80), tls=Tls("c", "k"), compression=True)}, "websocket"),
        ({"leafnodes": LeafNodes(reconnect_ns=5)}, "leafnodes reconnect"),
        ({"uplinks": (Uplink("u", ("a",), "U"),)}, "uplinks"),
        ({"authorization": Authorization((User("a", "a"),), no_auth_user="a")}, "no_auth_user"),
    ],
)
def test_what_needs_a_restart(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=f"^config reload not supported for {named}"):
        lines(**changes)


def test_uplinks_go_over_the_first_remote() -> None:
    config = CONFIG._replace(uplinks=(Uplink("u", ("a",), "U"),))
    more = LeafNodes((*config.leafnodes.remotes, LeafRemote((LeafUrl("two", 2),))))
    assert "Reloaded: LeafNode Remote two:2 added" in compare(config, config._replace(leafnodes=more))
    changed = LeafNodes((config.leafnodes.remotes[0]._replace(deny_imports=("x",)),))
    assert "Reloaded: LeafNode Remote one:1 added" in compare(config, config._replace(leafnodes=changed))
    other = LeafNodes((changed.remotes[0]._replace(account="B"),))
    for wrong in (LeafNodes(more.remotes[1:]), other):
        with pytest.raises(ConfigError, match="account of the first remote"):
            compare(config._replace(leafnodes=more), config._replace(leafnodes=wrong))


def test_every_line_is_of_a_field() -> None:
    assert set(LINES) | NOT_COMPARED <= set(Config._fields)


def test_passwords_are_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        compare(CONFIG._replace(operator=Operator(("jwt1",))), CONFIG._replace(operator=Operator(("jwt2",))))
    assert "jwt1" not in str(caught.value)
