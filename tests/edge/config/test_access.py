"""Users, accounts, permissions."""

from collections.abc import Callable

import pytest

from edge.config.options import Config
from edge.core.account_spec import AccountLimits, AccountSpec, JetStreamLimits
from edge.core.auth import User
from edge.core.permissions import Permissions, ResponseRule, SubjectRule

Load = Callable[..., Config]


def permissions_of(load: Load, text: str) -> Permissions | None:
    return load(f"authorization {{ users: [{{ user: a, permissions: {text} }}] }}").authorization.users[0].permissions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", Permissions()),
        ("{ publish: a }", Permissions(publish=SubjectRule(("a",)))),
        ("{ pub: [a, 'b.>'] }", Permissions(publish=SubjectRule(("a", "b.>")))),
        ("{ publish: [] }", Permissions(publish=SubjectRule(()))),
        ("{ publish: {} }", Permissions()),
        ("{ subscribe: { allow: a.*, deny: [a.b, a.c] } }", Permissions(subscribe=SubjectRule(("a.*",), ("a.b", "a.c")))),
        ("{ sub: { deny: '>' } }", Permissions(subscribe=SubjectRule(None, (">",)))),
        ("{ import: a, export: b }", Permissions(SubjectRule(("a",)), SubjectRule(("b",)))),
        ("{ subscribe: ['a.* q.*', 'b  x'] }", Permissions(subscribe=SubjectRule(("a.* q.*", "b x")))),
        ("{ subscribe: { deny: '> q' } }", Permissions(subscribe=SubjectRule(None, ("> q",)))),
        ("{ allow_responses: true }", Permissions(SubjectRule(()), responses=ResponseRule())),
        ("{ allow_responses: false }", Permissions()),
        ("{ allow_responses: true, publish: a }", Permissions(SubjectRule(("a",)), responses=ResponseRule())),
        ("{ allow_responses: true, publish: { deny: a } }", Permissions(SubjectRule((), ("a",)), responses=ResponseRule())),
        ("{ allow_responses: { max: 5, expires: '1m' } }", Permissions(SubjectRule(()), responses=ResponseRule(5, 60 * 10**9))),
        ("{ allow_responses: { max: -3, ttl: '-9s' } }", Permissions(SubjectRule(()), responses=ResponseRule(-1, -1))),
        ("{ allow_responses: { max: 0, ttl: '0s' } }", Permissions(SubjectRule(()), responses=ResponseRule())),
    ],
)
def test_permissions(text: str, expected: Permissions, load: Load) -> None:
    assert permissions_of(load, text) == expected


@pytest.mark.parametrize("where", ["default_permissions", "default_permission", "permissions"])
def test_default_permissions_are_for_those_who_have_none(where: str, load: Load) -> None:
    text = f"authorization {{ {where}: {{ publish: x }}, users: [{{ user: a }}, {{ user: b, permissions: {{ publish: y }} }}] }}"
    users = load(text).authorization.users
    assert [user.permissions and user.permissions.publish.allow for user in users] == [("x",), ("y",)]


def test_default_permissions_hold_for_a_single_user(load: Load) -> None:
    (user,) = load("authorization { user: a, default_permissions: { publish: x } }").authorization.users
    assert user.permissions == Permissions(publish=SubjectRule(("x",)))


def test_an_account_has_its_own_defaults(load: Load) -> None:
    text = "accounts { A { default_permissions: { publish: x }, users: [{user: a}] }, B { users: [{user: b}] } }"
    config = load(text)
    assert config.authorization.users == (
        User("a", "", "A", Permissions(publish=SubjectRule(("x",)))),
        User("b", "", "B", None),
    )
    assert config.accounts[0].default_permissions == Permissions(publish=SubjectRule(("x",)))


def test_hashed_passwords_are_kept_as_they_are(load: Load) -> None:
    hashed = "$2a$11$1oJy/wZYNTxr9jNwMNwS3eUGhBpHT3On8CL9o7ey89mpgo88VG6ba"
    assert load(f"authorization {{ users: [{{user: a, password: {hashed}}}] }}").authorization.users[0].password == hashed
    assert load(f"authorization {{ token: {hashed} }}").authorization.token == hashed


@pytest.mark.parametrize("key", ["allowed_connection_types", "connection_types", "clients"])
def test_connection_types(key: str, load: Load) -> None:
    (user,) = load(f"authorization {{ users: [{{user: a, {key}: [mqtt, STANDARD]}}] }}").authorization.users
    assert user.kinds == frozenset(("MQTT", "STANDARD"))


def test_limits_of_an_account(load: Load) -> None:
    limits = "max_conn: 5, max_subscriptions: 0, max_pay: 1KB, max_leafnodes: -1"
    assert load(f"accounts {{ A {{ limits {{ {limits} }} }} }}").accounts[0].limits == AccountLimits(5, 0, 1024, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accounts: [A, B]", (AccountSpec("A"), AccountSpec("B"))),
        ("accounts { A {} }", (AccountSpec("A"),)),
        ("accounts { A { jetstream: enabled } }", (AccountSpec("A", jetstream=JetStreamLimits()),)),
        ("accounts { A { jetstream: true } }", (AccountSpec("A", jetstream=JetStreamLimits()),)),
        ("accounts { A { jetstream: disabled } }", (AccountSpec("A"),)),
        ("accounts { A { jetstream: {} } }", (AccountSpec("A", jetstream=JetStreamLimits()),)),
        (
            "accounts { A { jetstream: { max_mem: 1MB, max_file: 2G, max_streams: 3, consumers: 4 } } }",
            (AccountSpec("A", jetstream=JetStreamLimits(1 << 20, 2 * 10**9, 3, 4)),),
        ),
        (
            "accounts { A { jetstream: { max_ack_pending: 5, mem_max_stream_bytes: 1K, store_max_stream_bytes: 2KB,"
            " max_bytes_required: true } } }",
            (AccountSpec("A", jetstream=JetStreamLimits(None, None, None, None, 5, 1000, 2048, True)),),
        ),
        ("accounts { A { jetstream: { max_mem: -1, max_streams: -1 } } }", (AccountSpec("A", jetstream=JetStreamLimits()),)),
        ("accounts { p: secret, A { users: [{user: a, password: $p}] } }", (AccountSpec("A"),)),
    ],
)
def test_accounts(text: str, expected: tuple[AccountSpec, ...], load: Load) -> None:
    assert load(text).accounts == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("authorization { user: a, token: t }", "1:26: a token and users exclude each other"),
        ("authorization { token: t, users: [] }", "1:17: a token and users exclude each other"),
        ("authorization { user: a, users: [] }", "1:17: a single user and a list of users exclude each other"),
        ("authorization { password: b }", "1:17: a password needs a user beside it"),
        ("authorization { users: [{password: b}] }", "1:25: an entry of users needs a user"),
        ("authorization { users: [{user: a}, {user: a}] }", "1:36: user 'a' is listed twice"),
        ("authorization { users: {} }", "1:24: users: expected a list [ ... ], found a block"),
        ("authorization { users: [a] }", "1:25: user: expected a block { ... }, found the string 'a'"),
        ("authorization { users: [{user: a, passwd: b}] }", "1:35: unknown key 'passwd' in user (did you mean 'password'?)"),
        ("authorization { auth_callout {} }", "1:30: auth_callout: expected an issuer"),
        ("authorization { users: [{user: a, clients: [WIFI]}] }", "1:35: allowed_connection_types: expected some of IN_PROCESS"),
        ("authorization { proxy_required: true }", "1:17: 'proxy_required' is known to nats-server"),
        ("authorization { user: a, timeout: x }", "1:26: timeout: a duration is a number with a unit"),
        ("authorization { user: a, timeout: -1 }", "1:35: timeout: expected seconds, or a duration"),
        ("authorization { default_permissions: { publish: 'a b' } }", "1:40: publish: 'a b' is not a valid subject"),
        ("authorization { default_permissions: { sub: 'a b c' } }", "1:40: sub: 'a b c' is not a valid subject"),
        ("authorization { default_permissions: { sub: 'a b.' } }", "1:40: sub: 'b.' is not a valid queue"),
        ("authorization { default_permissions: { publish: { alow: x } } }", "1:51: unknown key 'alow' in publish (did you mean 'allow'?)"),
        ("authorization { default_permissions: { publish: [1, 2] } }", "1:50: publish: expected a string, found a bare number"),
        ("authorization { default_permissions: { publish: on } }", "1:49: publish: expected a string or a list of strings, found true"),
        ("authorization { default_permissions: { allow_responses: 5 } }", "1:57: allow_responses: expected true, false or a block"),
        ("authorization { default_permissions: { allow_responses: { max: x } } }", "1:64: max: expected an integer"),
        ("authorization { default_permissions: { allow_responses: { ttl: '5' } } }", "1:59: expires: a duration needs a unit"),
        ("accounts { '$G': {} }", "1:12: $G is the global account"),
        ("accounts: [A, A]", "1:12: account 'A' is listed twice"),
        ("accounts: on", "1:11: accounts: expected a block { ... } or a list of names, found true"),
        ("accounts { A: 5 }", "1:15: account A: expected a block { ... }, found the number 5"),
        ("accounts { A { exports: {} } }", "1:25: exports: expected a list"),
        ("authorization { user: x }\naccounts { A { users: [{user: a}] } }", "1:1: a single user and the users of accounts"),
        ("accounts { A { jetstream: { mx_mem: 1 } } }", "1:29: unknown key 'mx_mem' in jetstream"),
        ("accounts { A { users: [{user: a}] }, B { users: [{user: a}] } }", "1:1: user 'a' is in account A and in account B"),
        ("authorization { users: [{user: a}] }\naccounts { A { users: [{user: a}] } }", "2:1: user 'a' is in account $G and"),
        ("authorization { token: t }\naccounts { A { users: [{user: a}] } }", "1:1: a token and the users of accounts"),
    ],
)
def test_mistakes(text: str, problem: str, mistake: Callable[..., str]) -> None:
    assert mistake(text).startswith(problem)
