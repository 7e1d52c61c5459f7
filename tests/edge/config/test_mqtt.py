from collections.abc import Callable

import pytest

from edge.config.mqtt import IGNORED, REFUSED
from edge.config.options import Authorization, Config, Listen, Mqtt
from edge.config.units import SECOND
from edge.core.auth import User

PLAIN = Mqtt(Listen("127.0.0.1", 1883))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", PLAIN),
        ("{ port: -1 }", Mqtt(Listen("127.0.0.1", 0))),
        ("{ listen: localhost:5 }", Mqtt(Listen("localhost", 5))),
        ('{ ack_wait: "1m", max_ack_pending: 7 }', PLAIN._replace(ack_wait_ns=60 * SECOND, max_ack_pending=7)),
        (
            "{ authorization { user: a, password: b, timeout: 3 } }",
            Mqtt(Listen("0.0.0.0", 1883), Authorization((User("a", "b", "$G"),), "", 3 * SECOND)),
        ),
        ("{ authorization { token: t } }", Mqtt(Listen("0.0.0.0", 1883), Authorization((), "t"))),
    ],
)
def test_mqtt(text: str, expected: Mqtt, load: Callable[..., Config]) -> None:
    assert load(f"mqtt {text}").mqtt == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{ max_ack_pending: 70000 }", "1:25: max_ack_pending: expected an integer from 0 to 65535"),
        ("{ authorization { password: b } }", "1:24: a password needs a user beside it"),
        ("{ authorization { user: a, token: b } }", "1:33: a token and a user exclude each other"),
        ("{ authorization { users: [] } }", "1:24: unknown key 'users' in authorization (did you mean 'user'?)"),
        *[(f"{{ {key}: x }}", f"1:8: {key!r} is known to nats-server, but not supported here") for key in REFUSED],
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(f"mqtt {text}").startswith(problem)


@pytest.mark.parametrize("key", [*REFUSED, *IGNORED])
def test_every_key_that_is_refused_or_ignored_is_nats_servers(
    key: str, nats_check: Callable[[bytes], str]
) -> None:
    assert "unknown field" not in nats_check(f"mqtt {{ {key}: 1 }}".encode())
