from types import SimpleNamespace
from typing import Any

from edge.config.options import (
    Authorization,
    Config,
    JetStream,
    LeafNodes,
    LeafRemote,
    LeafUrl,
    Listen,
    Mqtt,
    WebSocket,
)
from edge.core.auth import User
from edge.core.times import SECOND
from edge.core.tls_spec import Tls
from edge.varz_settings import settings


def daemon(**fields: Any) -> Any:
    config = Config(listen=Listen("127.0.0.1", 4222), loaded_ns=1_700_000_000 * SECOND)._replace(**fields)
    encryption = SimpleNamespace(not_after_ns=1_800_000_000 * SECOND)
    return SimpleNamespace(config=config, monitoring_port=8222, mqtt=None, websocket=None, encryption=lambda block: encryption)


def test_nothing_is_configured() -> None:
    shown = settings(daemon())
    assert (shown.jetstream, shown.system_account) == ({}, "$SYS")
    assert shown.varz["leaf"] == shown.varz["mqtt"] == shown.varz["websocket"] == shown.varz["cluster"] == {}
    assert (shown.varz["http_host"], shown.varz["http_port"]) == ("127.0.0.1", 0)
    assert shown.varz["config_load_time"] == "2023-11-14T22:13:20Z"
    assert not {"auth_required", "max_subscriptions", "tags", "metadata", "tls_cert_not_after"} & shown.varz.keys()


def test_no_system_account() -> None:
    shown = settings(daemon(no_system_account=True))
    assert shown.system_account == "" and "system_account" not in shown.varz


def test_who_must_say_who_it_is() -> None:
    """Even where there is a user for those who do not."""
    users = Authorization(users=(User("u", "p"),), no_auth_user="u", timeout_ns=SECOND // 2)
    varz = settings(daemon(authorization=users)).varz
    assert (varz["auth_required"], varz["auth_timeout"]) == (True, 0.5)


def test_what_has_no_limit() -> None:
    shown = settings(daemon(jetstream=JetStream("/data", max_file_bytes=5, sync_always=True), max_connections=None))
    assert shown.jetstream == {
        "max_memory": -1, "max_storage": 5, "store_dir": "/data", "sync_interval": 120 * SECOND, "sync_always": True,
        "strict": True,
    }  # fmt: skip
    assert shown.varz["max_connections"] == 0


def test_hubs_without_their_secrets() -> None:
    remote = LeafRemote((LeafUrl("hub", 7422, "user", "secret"), LeafUrl("::1", 7422)), "A", deny_exports=("x",))
    leaf = settings(daemon(leafnodes=LeafNodes((remote,)))).varz["leaf"]
    assert leaf == {"remotes": [{"local_account": "A", "urls": ["hub:7422", "[::1]:7422"], "deny": {"exports": ["x"]}}]}


def test_listeners() -> None:
    tls = Tls(verify_and_map=True, pinned_certs=frozenset(("b", "a")), timeout_ns=SECOND * 3 // 2)
    shown = settings(
        daemon(
            tls=tls, https=Listen("", 0), http_base_path="/m",
            mqtt=Mqtt(Listen("", 1883), tls=tls, max_ack_pending=5),
            websocket=WebSocket(Listen("h", 0), tls=tls, no_auth_user="n", handshake_timeout_ns=SECOND),
        )
    ).varz  # fmt: skip
    assert (shown["http_port"], shown["https_port"], shown["http_base_path"]) == (0, 8222, "/m")
    assert shown["tls_timeout"] == shown["mqtt"]["tls_timeout"] == 1.5
    common = {"tls_map": True, "tls_pinned_certs": ["a", "b"], "tls_cert_not_after": "2027-01-15T08:00:00Z"}
    assert shown["mqtt"] == {"port": 1883, "tls_timeout": 1.5, "max_ack_pending": 5, **common}
    assert shown["websocket"] == {"host": "h", "no_auth_user": "n", "handshake_timeout": SECOND, **common}
