from collections.abc import Callable

import pytest

from edge.config.jetstream import IGNORED, REFUSED
from edge.config.options import Config, JetStream
from edge.config.units import SECOND

STORE = JetStream(store_dir="jetstream")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("on", STORE), ("enabled", STORE), ("Enable", STORE), ("disabled", None), ("off", None), ("{}", STORE)],
        *[("{ enabled: false }", None), ("{ store_dir: x }", JetStream("x")), ("{ storedir: x }", JetStream("x"))],
        ("{ domain: d }", STORE._replace(domain="d")),
        ("{ max_file: 10GB, max_mem: 1MB }", STORE._replace(max_file_bytes=10 << 30, max_memory_bytes=1 << 20)),
        ('{ max_file_store: "10G" }', STORE._replace(max_file_bytes=10 << 30)),
        ("{ max_file_store: 10G }", STORE._replace(max_file_bytes=10**10)),
        ("{ max_file_store: -1, max_memory_store: 0 }", STORE._replace(max_memory_bytes=0)),
        (
            '{ limits: { max_ack_pending: 5, max_request_batch: 6, duplicate_window: "30s" } }',
            STORE._replace(max_ack_pending=5, max_request_batch=6, max_window_ns=30 * SECOND),
        ),
        ("{ limits: { max_ack_pending: -1, max_ha_assets: 3 } }", STORE),
        ("{ sync_interval: always }", STORE._replace(sync_always=True)),
        ('{ sync: "10s" }', STORE._replace(sync_interval_ns=10 * SECOND)),
        ('{ commit_window: "0s" }', STORE._replace(commit_window_ns=0)),
        ('{ commit_window: "250ms" }', STORE._replace(commit_window_ns=SECOND // 4)),
    ],
)
def test_jetstream(text: str, expected: JetStream | None, load: Callable[..., Config]) -> None:
    assert load(f"jetstream: {text}").jetstream == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("maybe", "1:12: jetstream: expected enabled, disabled or a block { ... }, found the string 'maybe'"),
        ("{ max_file: x }", "1:14: max_file: a size is a number with a unit"),
        ("{ max_file: 1.5 }", "1:24: max_file: expected a size such as 64MB, found the number 1.5"),
        ("{ max_file: 1GB, max_file_store: 1GB }", "1:14: 'max_file' says the same as 'max_file_store'"),
        ("{ commit_window: '2m' }", "1:14: commit_window: expected at most 1m"),
        ("{ domain: a.b }", "1:14: domain: 'a.b' becomes one token of a subject"),
        ("{ limits: { max_ack_pending: x } }", "1:41: max_ack_pending: expected an integer"),
        ("{ limits: { max_pending: 1 } }", "1:24: unknown key 'max_pending'"),
        ("{ enabled: enabled }", "1:23: enabled: expected true or false, found the string 'enabled'"),
        *[(f"{{ {key}: x }}", f"1:14: {key!r} is known to nats-server, but not supported here") for key in REFUSED],
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(f"jetstream: {text}").startswith(problem)


@pytest.mark.parametrize("key", [*REFUSED, *IGNORED])
def test_every_key_that_is_refused_or_ignored_is_nats_servers(
    key: str, nats_check: Callable[[bytes], str]
) -> None:
    assert "unknown field" not in nats_check(f"jetstream {{ {key}: 1 }}".encode())
