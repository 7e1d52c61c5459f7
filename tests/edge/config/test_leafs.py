from collections.abc import Callable

import pytest

from edge.config.leaf_remotes import IGNORED as IGNORED_REMOTE
from edge.config.options import Config, LeafListen, LeafNodes, LeafProxy, LeafRemote, LeafUrl, Listen
from edge.config.units import SECOND
from edge.core.auth import User
from edge.core.compression_spec import Compression

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
        ("url: ws://h", LeafRemote((LeafUrl("h", 7422, websocket=True),))),
        ("url: wss://u:p@h:443/a/b, ws_compression: true, ws_no_masking: true",
         LeafRemote((LeafUrl("h", 443, "u", "p", True, True, "/a/b"),), ws_compression=True, ws_no_masking=True)),
        ("url: nats://h, hub: true, isolate: true, request_isolation: true", HUB._replace(hub=True, isolate=True, request_isolation=True)),
        ("url: nats://h, compression: false", HUB._replace(compression=Compression("off"))),
        ("url: nats://h, compression: Fast", HUB._replace(compression=Compression("s2_fast"))),
        ("url: nats://h, compression: accept", HUB._replace(compression=Compression("accept"))),
        ("url: nats://h, compression { mode: best }", HUB._replace(compression=Compression("s2_best"))),
        ('url: nats://h, compression { rtt_thresholds: ["0s", "-3ms", "9ms", "0s"] }', HUB._replace(compression=Compression(thresholds_ns=(0, 0, 9_000_000)))),
        ("url: nats://h, proxy { url: 'http://p' }", HUB._replace(proxy=LeafProxy("p", 80))),
        ("url: nats://h, proxy { url: 'https://p' }", HUB._replace(proxy=LeafProxy("p", 443, encrypted=True))),
        ("url: nats://h, proxy { url: 'http://p:3128', username: u, password: w, timeout: '5s' }",
         HUB._replace(proxy=LeafProxy("p", 3128, "u", "w", 5 * SECOND))),
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
        ("{ url: nats://h, compression: fastest }", "1:41: compression: expected one of s2_auto, s2_fast"),
        ("{ url: nats://h, compression { rtts: ['9ms', '2ms'] } }", "1:41: rtt_thresholds: expected them in ascending order"),
        ("{ url: nats://h, compression { rtts: ['0s'] } }", "1:41: rtt_thresholds: expected at least one"),
        ("{ url: nats://h, compression { rtts: ['1s', '2s', '3s', '4s', '5s'] } }", "1:41: rtt_thresholds: expected at least one, and no more than 4"),
        ("{ url: nats://h, proxy {} }", "1:41: proxy: expected a url"),
        ("{ url: nats://h, proxy { url: 'p:80' } }", '1:49: proxy: expected a url such as "http://proxy.example:3128"'),
        ("{ url: nats://h, proxy { url: 'http://p', username: u } }", "1:49: proxy: expected both username and password"),
        ("{ url: nats://h }, { url: nats://h }", "1:43: duplicate remote: h has an earlier one"),
        ("{ url: 5 }", "1:31: url: expected a string or a list of strings, found the number 5"),
        ("{ url: nats://h, deny_imports: a..b }", "1:55: deny_imports: 'a..b' is not a valid subject"),
        ("{ ulr: nats://h }", "1:26: unknown key 'ulr' in remote"),
        ("nats://h", "1:24: remote: expected a block { ... }, found the string 'nats://h'"),
    ],
)
def test_mistakes(remote: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(f"leafnodes {{ remotes:  [{remote}] }}").startswith(problem)


OURS = LeafListen(Listen("127.0.0.1", 7422), timeout_ns=2 * SECOND)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("listen: 127.0.0.1:7422", OURS),
        ("port: 7422", OURS),
        ("listen: '127.0.0.1:-1'", OURS._replace(listen=Listen("127.0.0.1", 0))),
        ("listen: 127.0.0.1:7422, isolate: true, no_advertise: true", OURS._replace(isolate=True, no_advertise=True)),
        ("listen: 127.0.0.1:7422, advertise: 'gw:1', min_version: 2.10.0", OURS._replace(advertise="gw:1", min_version="2.10.0")),
        ("listen: 127.0.0.1:7422, compression: off", OURS._replace(compression=Compression("off"))),
        ("listen: 127.0.0.1:7422, write_deadline: '3s', write_timeout: close", OURS._replace(write_deadline_ns=3 * SECOND, ends_slow=True)),
        (
            "listen: 127.0.0.1:7422, authorization { user: u, pass: p, account: $SYS, timeout: 3 }",
            OURS._replace(users=(User("u", "p", "$SYS"),), account="$SYS", timeout_ns=3 * SECOND),
        ),
        (
            "listen: 127.0.0.1:7422, authorization { users: [{user: u, password: p}, {user: v, pass: q, account: $SYS}] }",
            OURS._replace(users=(User("u", "p"), User("v", "q", "$SYS"))),
        ),
        ("compression: off, authorization { user: u, pass: p }", None),
    ],
)
def test_listening(listen: str, expected: LeafListen | None, load: Callable[..., Config]) -> None:
    listen = listen.replace("$SYS", "'$SYS'")
    assert load(f"leafnodes {{ {listen} }}").leafnodes.listen == expected


def test_whoever_has_users_listens_everywhere(load: Callable[..., Config]) -> None:
    leafnodes = load("leafnodes { port: 7422, authorization { user: u, pass: p } }").leafnodes
    assert leafnodes.listen is not None and leafnodes.listen.listen == Listen("0.0.0.0", 7422)


@pytest.mark.parametrize(
    ("listen", "problem"),
    [
        ("authorization { user: u, users: [{user: v}] }", "a single user or nkey and a list of users exclude each other"),
        ("authorization { users: [{user: v}, {user: v}] }", "user 'v' is listed twice"),
        ("authorization { users: [{password: v}] }", "an entry of users needs a user"),
        ("authorization { password: v }", "a password needs a user beside it"),
        ("authorization { nkey: UX }", "nkey: expected the public nkey of a user"),
        ("authorization { user: u, pass: p, account: NONE }", "authorization: no account 'NONE' in accounts"),
        ("min_version: 2.7.0", "min_version: expected at least 2.8.0"),
        ("min_version: new", "min_version: expected such as"),
        ("write_timeout: never", "write_timeout: expected default, close, retry"),
        ("tls {}", "leafnodes: tls: expected cert_file and key_file"),
        ("lisen: 5", "unknown key 'lisen' in leafnodes (did you mean 'listen'?)"),
    ],
)
def test_mistakes_of_listening(listen: str, problem: str, mistake: Callable[..., str]) -> None:
    assert problem in mistake(f"leafnodes {{ port: 7422, {listen} }}")


@pytest.mark.parametrize("key", [*IGNORED_REMOTE])
def test_so_is_every_such_key_of_a_remote(key: str, nats_check: Callable[[bytes], str]) -> None:
    assert "unknown field" not in nats_check(f"leafnodes {{ remotes [{{ {key}: 1 }}] }}".encode())


def test_compression_by_websocket_is_its_own(load: Callable[..., Config]) -> None:
    (warning,) = load("leafnodes { remotes [{ url: ws://h, compression: s2_fast }] }").warnings
    assert "ws_compression is what compresses" in warning
    assert not load("leafnodes { remotes [{ url: ws://h, compression: off }] }").warnings
