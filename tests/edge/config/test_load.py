"""From a file and flags to a Config: defaults, what overrides what, and what is said about the rest."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from edge.config.load import IGNORED, REFUSED, load_config
from edge.config.options import Config, Listen
from edge.config.units import SECOND
from edge.errors import ConfigError
from edge.flags import Flags, parse_flags

Load = Callable[..., Config]
Mistake = Callable[..., str]

LEAF = """
# A leaf as nats-server runs it: nothing here is ours.
server_name: pi-7
listen: "0.0.0.0:4222"
http_port: 8222
max_payload: 1MB; max_pending: 64MB
max_connections: 100
max_subscriptions: 1000
ping_interval: "30s"
ping_max: 3
write_deadline: "5s"
log_file: "/var/log/edge.log"
pid_file: /run/edge.pid
debug: yes, trace: off

ADMIN_PASSWORD: "s3 cret"
accounts {
  SITE {
    jetstream: enabled
    default_permissions: { subscribe: ["_INBOX.>"] }
    users: [
      { user: sensor, password: $WORD, permissions: { publish: "telemetry.>", subscribe: { deny: [">"] } } }
      { user: admin, password: $ADMIN_PASSWORD }
    ]
  }
  $SYS { users: [ { user: sys, password: sys } ] }
}
jetstream {
  store_dir: /var/lib/edge
  domain: pi7
  max_file_store: 10GB
}
leafnodes {
  reconnect: "2s"
  remotes: [ { urls: ["nats-leaf://pi7:pw@hub1:7422", "nats-leaf://pi7:pw@hub2:7422"], account: SITE } ]
}
mqtt { port: 1883 }
"""


def test_a_leaf_configuration_of_nats_server_works_as_it_is(
    load: Load, nats_check: Callable[[bytes], str]
) -> None:
    assert not nats_check(LEAF.encode())
    config = load(LEAF)
    assert config.warnings == ()
    assert config.server_name == "pi-7"
    assert config.listen == Listen("0.0.0.0", 4222)
    assert config.mqtt is not None and config.mqtt.listen == Listen("0.0.0.0", 1883)
    assert (config.max_payload_bytes, config.max_pending_bytes) == (1 << 20, 64 << 20)
    assert (config.max_connections, config.max_subscriptions) == (100, 1000)
    assert (config.ping_interval_ns, config.ping_max, config.write_deadline_ns) == (30 * SECOND, 3, 5 * SECOND)
    assert (config.log.debug, config.log.trace, config.log.file) == (True, False, "/var/log/edge.log")
    assert [(user.name, user.password, user.account) for user in config.authorization.users] == [
        ("sensor", "word", "SITE"),
        ("admin", "s3 cret", "SITE"),
        ("sys", "sys", "$SYS"),
    ]
    assert [account.name for account in config.accounts] == ["SITE", "$SYS"]
    assert config.jetstream is not None
    assert (config.jetstream.store_dir, config.jetstream.domain) == ("/var/lib/edge", "pi7")
    assert [url.host for url in config.leafnodes.remotes[0].urls] == ["hub1", "hub2"]


def test_defaults(load: Load) -> None:
    config = load("# nothing\n")
    assert config.listen == Listen("127.0.0.1", 4222)
    assert (config.max_payload_bytes, config.max_control_line_bytes) == (1048576, 4096)
    assert (config.max_connections, config.max_subscriptions) == (65536, None)
    assert (config.ping_interval_ns, config.ping_max) == (120 * SECOND, 2)
    assert config.authorization.timeout_ns == 2 * SECOND
    assert config.log.time
    assert config.jetstream is None and config.mqtt is None and config.http is None
    assert len(config.warnings) == 1 and config.warnings[0].endswith("x.conf: the configuration is empty")


def test_without_a_file() -> None:
    assert load_config(None, Flags(), {}).listen == Listen("127.0.0.1", 4222)


# ---- nothing listens on other than loopback without credentials


@pytest.mark.parametrize(
    ("text", "flags", "host"),
    [
        ("port: 1", [], "127.0.0.1"),
        ("listen: 1", [], "127.0.0.1"),
        ("authorization { user: a, password: b }", [], "0.0.0.0"),
        ("authorization { token: t }", [], "0.0.0.0"),
        ("authorization { users: [{user: a}] }", [], "0.0.0.0"),
        ("accounts { A { users: [{user: a}] } }", [], "0.0.0.0"),
        ("authorization { users: [{user: a}] }\nno_auth_user: a", [], "127.0.0.1"),
        ("port: 1", ["--user", "a", "--pass", "b"], "0.0.0.0"),
        ("port: 1", ["--auth", "t"], "0.0.0.0"),
        ("host: 0.0.0.0", [], "0.0.0.0"),
        ('listen: ":1"', [], "0.0.0.0"),
        ("listen: *:1", [], "0.0.0.0"),
        ("port: 1", ["-a", "0.0.0.0"], "0.0.0.0"),
        ("authorization { token: t }\nhost: localhost", [], "localhost"),
    ],
)
def test_where_clients_are_listened_for(text: str, flags: list[str], host: str, load: Load) -> None:
    assert load(text, *flags).listen.host == host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("mqtt {}", "127.0.0.1"),
        ("authorization { token: t }\nmqtt {}", "0.0.0.0"),
        ("authorization { users: [{user: a}] }\nmqtt { no_auth_user: a }", "127.0.0.1"),
        ("mqtt { authorization { user: a, password: b } }", "0.0.0.0"),
        ("mqtt { host: 10.0.0.1 }", "10.0.0.1"),
        ("mqtt {}\nhost: 10.0.0.1", "10.0.0.1"),
    ],
)
def test_where_mqtt_is_listened_for(text: str, host: str, load: Load) -> None:
    mqtt = load(text).mqtt
    assert mqtt is not None and mqtt.listen == Listen(host, 1883)


@pytest.mark.parametrize(
    ("text", "http"),
    [
        ("http: 8222", Listen("127.0.0.1", 8222)),
        ("http_port: 8222\nauthorization { token: t }", Listen("127.0.0.1", 8222)),
        ("http: 0.0.0.0:8222", Listen("0.0.0.0", 8222)),
        ("http: -1", Listen("127.0.0.1", 0)),
        ("http_port: -1", Listen("127.0.0.1", 0)),
        ("http_port: 0", None),
        ("http: 0", None),
    ],
)
def test_where_monitoring_is(text: str, http: Listen | None, load: Load) -> None:
    assert load(text).http == http


# ---- flags over the file


def test_flags_override_the_file(load: Load) -> None:
    text = "port: 1\nserver_name: a\ndebug: true\nlogtime: true\njetstream { store_dir: x, domain: d }\nlog_file: f"
    config = load(text, "-p", "2", "-n", "b", "-D=false", "-V", "-T=false", "-sd", "y", "-l", "g", "-m", "3")
    assert config.listen.port == 2
    assert (config.server_name, config.log.file) == ("b", "g")
    assert (config.log.debug, config.log.trace, config.log.time) == (False, True, False)
    assert config.jetstream is not None
    assert (config.jetstream.store_dir, config.jetstream.domain) == ("y", "d")
    assert config.http == Listen("127.0.0.1", 3)


@pytest.mark.parametrize(
    ("text", "flags", "store_dir"),
    [
        ("a: 1\nport: $a", ["-js"], "jetstream"),
        ("a: 1\nport: $a", ["-js", "-sd", "x"], "x"),
        ("a: 1\nport: $a", ["-sd", "x"], None),
        ("jetstream: true", ["-js=false"], None),
        ("jetstream: false", ["-js"], "jetstream"),
        ("jetstream: true\nstore_dir: y", [], "y"),
        ("jetstream { enabled: false, store_dir: y }", [], None),
    ],
)
def test_jetstream_from_file_and_flags(text: str, flags: list[str], store_dir: str | None, load: Load) -> None:
    jetstream = load(text, *flags).jetstream
    assert (jetstream and jetstream.store_dir) == store_dir


def test_systemd_names_the_store() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/petiole:/var/lib/other"}
    jetstream = load_config(None, parse_flags(["-js"]), environ).jetstream
    assert jetstream is not None and jetstream.store_dir == "/var/lib/petiole/jetstream"


def test_a_user_flag_replaces_the_single_user(load: Load) -> None:
    config = load("authorization { user: a, password: b }", "--user", "c", "--pass", "d")
    assert [(user.name, user.password) for user in config.authorization.users] == [("c", "d")]


def test_a_user_flag_does_not_go_with_a_list_of_users(mistake: Mistake) -> None:
    text = "authorization { users: [{user: a}, {user: b}] }"
    assert "do not go with the list of users" in mistake(text, "--user", "c")


# ---- what cannot be


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prot: 1", "1:1: unknown key 'prot' in the configuration (did you mean 'port'?)"),
        ("\n  jetstreem {}", "2:3: unknown key 'jetstreem' in the configuration (did you mean 'jetstream'?)"),
        ("zzz: 1", "1:1: unknown key 'zzz' in the configuration"),
        ("mqtt { pot: 1 }", "1:8: unknown key 'pot' in mqtt (did you mean 'port'?)"),
        ("jetstream { stor_dir: x }", "1:13: unknown key 'stor_dir' in jetstream (did you mean 'store_dir'?)"),
        ("leafnodes { remote: [] }", "1:13: unknown key 'remote' in leafnodes (did you mean 'remotes'?)"),
        ("uplink { A { subject: [a], max_byte: 5 } }", "1:28: unknown key 'max_byte' in uplink A (did you mean 'max_bytes'?)"),
        ('port: "4222"', "1:7: port: expected an integer, found the string '4222'"),
        ("port: 4222.5", "1:7: port: expected an integer, found the number 4222.5"),
        ("port: true", "1:7: port: expected an integer, found true"),
        ("port: 70000", "1:7: port: expected an integer from -1 to 65535, found the number 70000"),
        ("debug: 1", "1:8: debug: expected true or false, found the number 1"),
        ("server_name: {}", "1:14: server_name: expected a string, found a block"),
        ("server_name: 'a b'", "1:1: server_name: expected a name without white space, found 'a b'"),
        ("server_name: 7", "1:14: server_name: expected a string, found a bare number or boolean; put it in quotes"),
        ("jetstream: [a]", "1:12: jetstream: expected enabled, disabled or a block { ... }, found a list"),
        ("mqtt: on", "1:7: mqtt: expected a block { ... }, found true"),
        ("mqtt: 2026-01-01T00:00:00Z", "1:7: mqtt: expected a block { ... }, found a datetime"),
        ("ping_interval: '5'", "1:1: ping_interval: a duration needs a unit (ns, us, ms, s, m, h), found ''"),
        ("ping_interval: '-5s'", "1:1: ping_interval: expected a duration that is not negative, found -5s"),
        ("ping_interval: 1.5", "1:16: ping_interval: expected a duration such as \"10s\", found the number 1.5"),
        ("host: a\nnet: b", "2:1: 'net' says the same as 'host' in line 1"),
        ("Port: 1\nport: 2", "2:1: 'port' says the same as 'Port' in line 1"),
        ("http: 1\nhttp_port: 2", "2:1: 'http_port' says the same as 'http' in line 1"),
        ("max_payload: 2MB\nmax_pending: 1MB", "1:1: max_payload: cannot be higher than max_pending"),
        ("no_auth_user: x", "1:1: no_auth_user: no user 'x' is configured"),
        ("mqtt { no_auth_user: x }", "1:1: no_auth_user: no user 'x' is configured"),
        ("system_account: X", "1:1: system_account: no account 'X' in accounts"),
        ("system_account: $G", "1:17: $G is not defined: expected a key of that name before, or an environment variable"),
        ("system_account: '$G'", "1:1: system_account: the global account cannot be the system account"),
        ("leafnodes { remotes [{url: nats-leaf://h, account: X}] }", "1:1: remote: no account 'X' in accounts"),
        ("jetstream { store_dir: a }\nstore_dir: b", "2:1: store_dir is given here and in jetstream { ... }"),
        ("uplink { A { subjects: a } }", "0:0: uplink needs a store: add jetstream { store_dir: ... }"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Mistake) -> None:
    assert mistake(text).startswith(problem)


@pytest.mark.parametrize("key", REFUSED)
def test_what_would_change_a_promise_is_refused(key: str, mistake: Mistake) -> None:
    assert mistake(f"port: 1\n{key}: on").startswith(f"2:1: {key!r} is known to nats-server, but not supported here: ")


@pytest.mark.parametrize("key", IGNORED)
def test_what_changes_none_is_a_warning(key: str, load: Load) -> None:
    (warning,) = load(f"port: 1\n  {key}: 1").warnings
    assert warning.endswith(f"x.conf:2:3: {key}: known to nats-server, has no effect here")


def test_every_key_that_is_refused_or_ignored_is_nats_servers(nats_check: Callable[[bytes], str]) -> None:
    for key in (*REFUSED, *IGNORED):
        assert "unknown field" not in nats_check(f"{key}: 1".encode()), key


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("ping_interval: 20", 'ping_interval: 20 is taken for seconds; write a duration such as "10s" in quotes'),
        ("ping_interval: 2m", "ping_interval: 2000000 is taken for seconds"),
        ("authorization { user: a, timeout: 1m }", "timeout: 1000000 seconds is long"),
        ("jetstream: on\nuplink { A { subjects: a } }", "uplink without a remote in leafnodes"),
    ],
)
def test_odd_but_harmless(text: str, warning: str, load: Load) -> None:
    assert warning in load(text).warnings[0]


def test_secrets_do_not_get_into_messages(mistake: Mistake) -> None:
    for text in (
        "authorization { user: a, password: 987654 }",
        "authorization { token: 987654 }",
        "authorization { password: x987654 }",
        'leafnodes { remotes [{url: "wss://u:x987654@h?x"}] }',
        'leafnodes { remotes [{url: "nats-leaf://u:x987654@h/path"}] }',
        'leafnodes { remotes [{url: "nats-leaf://u:x987654@h:port"}] }',
    ):
        assert "987654" not in mistake(text)


def test_variables_may_have_any_name(load: Load) -> None:
    assert load("MY_PORT: 4333\nport: $MY_PORT").listen.port == 4333


def test_the_file_is_read_anew_each_time(load: Load) -> None:
    assert [load(f"port: {port}").listen.port for port in (1, 2)] == [1, 2]


def test_a_config_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Config().path = "x"  # type: ignore[misc]


def test_little_is_imported_to_read_a_configuration() -> None:
    script = (
        "import sys; before = set(sys.modules); import edge.config.load; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    heavy = {"argparse", "asyncio", "click", "datetime", "difflib", "logging", "tempfile", "urllib.parse"}
    assert not heavy & set(done.stdout.split())


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^cannot read /no/such\.conf: No such file or directory$"):
        load_config("/no/such.conf", Flags(), {})
