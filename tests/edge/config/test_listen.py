from collections.abc import Callable

import pytest

from edge.config.options import Config, Listen

LOOPBACK = "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listen: 5", Listen(LOOPBACK, 5)),
        ("listen: -1", Listen(LOOPBACK, 0)),
        ("listen: 0", Listen(LOOPBACK, 4222)),
        ("listen: 10.0.0.1:5", Listen("10.0.0.1", 5)),
        ("listen: 10.0.0.1:-1", Listen("10.0.0.1", 0)),
        ('listen: "localhost:5"', Listen("localhost", 5)),
        ('listen: "[::1]:5"', Listen("::1", 5)),
        ('listen: ":5"', Listen("0.0.0.0", 5)),
        ("listen: *:5", Listen("0.0.0.0", 5)),
        ("port: -1", Listen(LOOPBACK, 0)),
        ("port: 0", Listen(LOOPBACK, 4222)),
        ("net: 10.0.0.1", Listen("10.0.0.1", 4222)),
        ("host: 10.0.0.1, port: 5", Listen("10.0.0.1", 5)),
        ("listen: 10.0.0.1:5, port: 5, host: 10.0.0.1", Listen("10.0.0.1", 5)),
        ("listen: 5, host: 10.0.0.1", Listen("10.0.0.1", 5)),
    ],
)
def test_addresses(text: str, expected: Listen, load: Callable[..., Config]) -> None:
    assert load(text).listen == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("listen: localhost", "1:9: listen: expected \"host:port\" (or \"[address]:port\" for IPv6), found the string"),
        ('listen: "::1"', "1:9: listen: expected"),
        ("listen: a:b", "1:1: listen: expected a port from -1 to 65535, found 'b'"),
        ("listen: a:70000", "1:1: listen: expected a port from -1 to 65535, found '70000'"),
        ("listen: a:", "1:1: listen: expected a port from -1 to 65535, found ''"),
        ("listen: 70000", "1:9: listen: expected a port from -1 to 65535, found the number 70000"),
        ("listen: -2", "1:9: listen: expected a port from -1 to 65535, found the number -2"),
        ("listen: []", "1:9: listen: expected a port or \"host:port\", found a list"),
        ("listen: true", "1:9: listen: expected a port or \"host:port\", found true"),
        ("listen: a:5\nhost: b", "2:1: host: contradicts 'listen', which says 'a'"),
        ("listen: a:5\nport: 6", "2:1: port: contradicts 'listen', which says 5"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(text).startswith(problem)
