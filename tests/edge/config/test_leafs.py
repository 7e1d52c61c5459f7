from collections.abc import Callable

import pytest

from edge.config.leaf_remotes import IGNORED as IGNORED_REMOTE
from edge.config.leafs import IGNORED, REFUSED
from edge.config.options import Config, LeafNodes, LeafRemote, LeafUrl
from edge.config.units import SECOND

HUB = LeafRemote((LeafUrl("h", 7422),))


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("url: nats-leaf://h", HUB),
        ("url: nats://h", HUB),
        ('urls: ["nats-leaf://h"]', HUB),
        ("url: nats-leaf://h/", HUB),
        ("url: nats-leaf://h:5", LeafRemote((LeafUrl("h", 5),))),
        ('url: "nats-leaf://[::1]:5"', LeafRemote((LeafUrl("::1", 5),))),
        ("url: nats-leaf://u:p@h", LeafRemote((LeafUrl("h", 7422, "u", "p"),))),
        ('url: "nats-leaf://u:p%40%3A%2F@h"', LeafRemote((LeafUrl("h", 7422, "u", "p@:/"),))),
        ("url: nats-leaf://token@h", LeafRemote((LeafUrl("h", 7422, "token"),))),
        ('urls: ["nats://a:1", "nats://b:2"]', LeafRemote((LeafUrl("a", 1), LeafUrl("b", 2)))),
        ("url: nats://h, account: $SYS", None),
        ("url: nats://h, account: '$SYS'", HUB._replace(account="$SYS")),
        ("url: nats://h, deny_imports: a, deny_exports: [b, 'c.>']", HUB._replace(deny_imports=("a",), deny_exports=("b", "c.>"))),
        ("url: nats://h, no_randomize: true, hub: false", HUB._replace(no_randomize=True)),
        ('url: nats://h, first_info_timeout: "3s"', HUB._replace(first_info_timeout_ns=3 * SECOND)),
    ],
)
def test_remotes(remote: str, expected: LeafRemote | None, load: Callable[..., Config], mistake: Callable[..., str]) -> None:
    text = f"leafnodes {{ remotes: [ {{ {remote} }} ] }}"
    if expected is None:
        assert "$SYS is not defined" in mistake(text)
    else:
        assert load(text).leafnodes == LeafNodes((expected,))


def test_intervals(load: Callable[..., Config]) -> None:
    leafnodes = load('leafnodes { reconnect: "5s", dial_timeout: "2s", remotes [{url: nats://h}] }').leafnodes
    assert leafnodes == LeafNodes((HUB._replace(dial_timeout_ns=2 * SECOND),), 5 * SECOND)


def test_a_disabled_remote_is_checked_and_left_out(load: Callable[..., Config], mistake: Callable[..., str]) -> None:
    assert load("leafnodes { remotes [{url: nats://h, disabled: true}] }").leafnodes == LeafNodes()
    assert "not a valid subject" in mistake("leafnodes { remotes [{url: nats://h, disabled: true, deny_imports: a..b}] }")


@pytest.mark.parametrize(
    ("remote", "problem"),
    [
        ("{}", "1:24: a remote needs a url"),
        ("{ url: h }", '1:31: url: expected "nats-leaf://host:port"'),
        ("{ url: h:7422 }", '1:31: url: expected "nats-leaf://host:port"'),
        ("{ url: http://h }", '1:31: url: expected "nats-leaf://host:port"'),
        ("{ url: nats://h/x }", "1:31: url: expected nothing after the port"),
        ("{ url: nats://h:x }", "1:31: url: Port could not be cast to integer value"),
        ("{ urls: [nats://h, wss://h] }", "1:26: urls: expected all of them with ws:// or wss://, or none"),
        ("{ url: 5 }", "1:31: url: expected a string or a list of strings, found the number 5"),
        ("{ url: nats://h, deny_imports: a..b }", "1:55: deny_imports: 'a..b' is not a valid subject"),
        ("{ ulr: nats://h }", "1:26: unknown key 'ulr' in remote"),
        ("nats://h", "1:24: remote: expected a block { ... }, found the string 'nats://h'"),
    ],
)
def test_mistakes(remote: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(f"leafnodes {{ remotes:  [{remote}] }}").startswith(problem)


@pytest.mark.parametrize("key", [*REFUSED, *IGNORED])
def test_every_key_that_is_refused_or_ignored_is_nats_servers(
    key: str, nats_check: Callable[[bytes], str]
) -> None:
    assert "unknown field" not in nats_check(f"leafnodes {{ {key}: 1 }}".encode())


@pytest.mark.parametrize("key", [*IGNORED_REMOTE])
def test_so_is_every_such_key_of_a_remote(key: str, nats_check: Callable[[bytes], str]) -> None:
    assert "unknown field" not in nats_check(f"leafnodes {{ remotes [{{ {key}: 1 }}] }}".encode())
