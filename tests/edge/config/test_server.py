"""What stands at the top of the file and needs no block."""

from collections.abc import Callable

import pytest

from edge.config.options import Config, Listen, Log

Load = Callable[..., Config]
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("client_advertise: 'h:5'", "client_advertise", "h:5"),
        ("server_tags: a", "server_tags", ("a",)),
        ("server_tags: [a, b]", "server_tags", ("a", "b")),
        ("server_metadata { a: b, c: d }", "server_metadata", (("a", "b"), ("c", "d"))),
        ("proxy_protocol: true", "proxy_protocol", True),
        ("no_system_account: true", "no_system_account", True),
        ("no_sys_acc: true", "no_system_account", True),
        ("no_header_support: true", "no_header_support", True),
        ("no_fast_producer_stall: true", "no_fast_producer_stall", True),
        ("max_subscription_tokens: 7", "max_subscription_tokens", 7),
        ("max_closed_clients: 7", "max_closed_clients", 7),
        ("max_closed_clients: 0", "max_closed_clients", 10_000),
        ("lame_duck_duration: '1m'", "lame_duck_duration_ns", 60 * SECOND),
        ("lame_duck_grace_period: '3s'", "lame_duck_grace_period_ns", 3 * SECOND),
        ("lame_duck_grace_period: '0s'", "lame_duck_grace_period_ns", 10 * SECOND),
        ("http: 8222", "http", Listen("127.0.0.1", 8222)),
        ("http: '0.0.0.0:-1'", "http", Listen("0.0.0.0", 0)),
        ("http: 0", "http", None),
        ("http_base_path: x", "http_base_path", "/x"),
        ("http_base_path: /x/y/", "http_base_path", "/x/y"),
        ("http_base_path: /", "http_base_path", ""),
    ],
)
def test_values(text: str, field: str, expected: object, load: Load) -> None:
    config = load(text)
    assert getattr(config, field) == expected and not config.warnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log_file: f, log_size_limit: 10MB, log_max_num: 3", Log(file="f", size_limit=10 << 20, max_num=3)),
        ("logfile: f, logfile_max_num: -1", Log(file="f")),
        ("logtime: false, logtime_utc: true", Log(time=False, utc=True)),
        ("debug: true, trace: true", Log(debug=True, trace=True)),
        ("trace_verbose: true", Log(trace=True, trace_verbose=True)),
        ("trace_headers: true", Log(trace=True, trace_headers=True)),
        ("max_traced_msg_len: 9", Log(max_traced_msg_len=9)),
        ("syslog: true, remote_syslog: 'udp://h:514'", Log(syslog=True, remote_syslog="udp://h:514")),
        ("log_format: json", Log(format="json")),
    ],
)
def test_the_log(text: str, expected: Log, load: Load) -> None:
    assert load(text).log == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-VV",), Log(trace=True, trace_verbose=True)),
        (("-DVV",), Log(debug=True, trace=True, trace_verbose=True)),
        (("-DV=false",), Log()),
        (("-s", "-r", "udp://h:1"), Log(syslog=True, remote_syslog="udp://h:1")),
        (("--logtime_utc", "--log_size_limit", "9", "--max_traced_msg_len=3"), Log(utc=True, size_limit=9, max_traced_msg_len=3)),
    ],
)
def test_flags_of_the_log(flags: tuple[str, ...], expected: Log, load: Load) -> None:
    assert load("", *flags).log == expected


def test_other_flags(load: Load) -> None:
    config = load("", "--client_advertise", "h:5", "-m", "-1", "--profile", "6060")
    assert config.client_advertise == "h:5" and config.http == Listen("127.0.0.1", 0)
    assert "--profile is known to nats-server, has no effect here" in config.warnings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lame_duck_duration: '29s'", "1:1: lame_duck_duration: expected at least 30s"),
        ("lame_duck_duration: 60", "1:21: lame_duck_duration: expected a duration in quotes"),
        ("lame_duck_grace_period: '3m'", "1:1: lame_duck_grace_period: expected less than lame_duck_duration"),
        ("max_subscription_tokens: 256", "1:26: max_subscription_tokens: expected an integer from 1 to 255"),
        ("write_timeout: later", "1:1: write_timeout: expected default, close, retry, found 'later'"),
        ("log_format: xml", "1:1: log_format: expected one of text, json, found 'xml'"),
        ("server_metadata { a: 5 }", "1:22: a: expected a string, found a bare number"),
        ("cluster { port: 6222 }", "1:1: 'cluster' is known to nats-server, but not supported here: clusters are the hub's"),
        ("gateway { name: x }", "1:1: 'gateway' is known to nats-server, but not supported here: clusters are the hub's"),
        ("proxies { trusted: [] }", "1:1: 'proxies' is known to nats-server, but not supported here: clients connect directly"),
        ("ocsp: true", "1:1: 'ocsp' is known to nats-server, but not supported here: the status of certificates"),
        ("default_js_domain { A: x }", "1:1: 'default_js_domain' is known to nats-server"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(text).startswith(problem)


def test_the_fingerprint_is_of_what_is_said(load: Load) -> None:
    one, other, more = load("port: 4222"), load("port = 4222 # the same"), load("port: 4223")
    assert one.digest == other.digest != more.digest and one.digest.startswith("sha256:")
    assert one.loaded_ns > 0
