"""Exports and imports of accounts, and whether they fit together."""

from collections.abc import Callable

import pytest

from edge.config.options import Config
from edge.core.account_spec import Export, Import, Latency

Load = Callable[..., Config]
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{stream: "a.>"}', Export("a.>", False)),
        ("{stream: a, accounts: [B, C]}", Export("a", False, frozenset("BC"))),
        ("{stream: a, accounts: []}", Export("a", False, frozenset())),
        ("{service: a}", Export("a", True)),
        ("{service: a, response: stream}", Export("a", True, response="Stream")),
        ("{service: a, response_type: CHUNKED}", Export("a", True, response="Chunked")),
        ("{service: a, threshold: '5s'}", Export("a", True, threshold_ns=5 * SECOND)),
        ("{service: a, latency: l}", Export("a", True, latency=Latency("l"))),
        ("{service: a, latency: {subject: l, sampling: 20%}}", Export("a", True, latency=Latency("l", 20))),
        ("{service: a, latency: {subject: l, sampling: 5}}", Export("a", True, latency=Latency("l", 5))),
        ("{service: a, latency: {subject: l, sampling: Headers}}", Export("a", True, latency=Latency("l", 0))),
        ('{service: "a.*", account_token_position: 2}', Export("a.*", True, account_position=2)),
        ("{service: a, allow_trace: true}", Export("a", True, allow_trace=True)),
    ],
)
def test_exports(text: str, expected: Export, load: Load) -> None:
    spec = load(f"accounts {{ A {{ exports: [ {text} ] }}, B {{}}, C {{}} }}").accounts[0]
    assert spec.exports == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{stream: {account: A, subject: "s.>"}}', Import("A", "s.>", False, "s.>")),
        ('{stream: {account: A, subject: "s.1"}}', Import("A", "s.1", False, "s.1")),
        ('{stream: {account: A, subject: "s.>"}, prefix: p}', Import("A", "s.>", False, "p.s.>")),
        ('{stream: {account: A, subject: "s.>"}, prefix: "p."}', Import("A", "s.>", False, "p.s.>")),
        ('{stream: {account: A, subject: "s.*"}, to: "x.$1.y"}', Import("A", "s.*", False, "x.$1.y")),
        ('{stream: {account: A, subject: "s.*"}, to: "x.*.y"}', Import("A", "s.*", False, "x.*.y")),
        ('{stream: {account: A, subject: "s.1"}, allow_trace: true}', Import("A", "s.1", False, "s.1", allow_trace=True)),
        ('{service: {account: A, subject: "r.1"}}', Import("A", "r.1", True, "r.1")),
        ('{service: {account: A, subject: "r.1"}, to: mine}', Import("A", "r.1", True, "mine")),
        ('{service: {account: A, subject: "r.*"}, to: "mine.$1"}', Import("A", "r.*", True, "mine.$1")),
        ('{service: {account: A, subject: "r.1"}, share: true}', Import("A", "r.1", True, "r.1", share=True)),
        ('{service: {account: A, subject: "mine.B"}}', Import("A", "mine.B", True, "mine.B")),
    ],
)
def test_imports(text: str, expected: Import, load: Load) -> None:
    exports = '{stream: "s.>"}, {service: "r.*"}, {service: "mine.*", account_token_position: 2}'
    spec = load(f"accounts {{ A {{ exports: [ {exports} ] }}, B {{ imports: [ {text} ] }} }}").accounts[1]
    assert spec.imports == (expected,)


@pytest.mark.parametrize(
    ("exports", "problem"),
    [
        ("{}", "an export needs a stream or a service"),
        ("{stream: a, service: b}", "an export is either of a stream or of a service"),
        ("{stream: a..b}", "stream: 'a..b' is not a valid subject"),
        ("{stream: a, response: stream}", "response: a stream has none"),
        ("{stream: a, threshold: '1s'}", "threshold: a stream has none"),
        ("{service: a, response: some}", "response: expected one of single"),
        ("{service: a, threshold: 5}", "threshold: expected a duration in quotes"),
        ("{service: a, latency: l, response: chunked}", "latency: only services with single responses"),
        ("{service: a, latency: 'l.*'}", "latency: expected a subject without wildcards"),
        ("{service: a, latency: a}", "latency: 'a' is a service of this account itself"),
        ("{service: a, latency: {subject: l, sampling: 101}}", "sampling: expected 1 to 100 percent"),
        ("{service: a.*, account_token_position: 1}", "account_token_position: token 1 of 'a.*' is not '*'"),
        ("{service: a.*, account_token_position: 3}", "account_token_position: token 3 of 'a.*' is not '*'"),
        ("{stream: a, accounts: [Z]}", "export a: no account 'Z' in accounts"),
        ("{strem: a}", "an export needs a stream or a service"),
        ("{stream: a, acounts: [B]}", "unknown key 'acounts' in an export (did you mean 'accounts'?)"),
    ],
)
def test_mistakes_of_exports(exports: str, problem: str, mistake: Callable[..., str]) -> None:
    found = mistake(f"accounts {{ A {{ exports: [ {exports} ] }}, B {{}} }}")
    assert found.partition(": ")[2].startswith(problem)


@pytest.mark.parametrize(
    ("imports", "problem"),
    [
        ("{stream: {account: Z, subject: s.1}}", "import: no account 'Z' in accounts"),
        ("{stream: {account: A, subject: t}}", "import: account A does not export the stream 't' to B"),
        ("{service: {account: A, subject: s.1}}", "import: account A does not export the service 's.1' to B"),
        ("{stream: {account: A, subject: only.c}}", "import: account A does not export the stream 'only.c' to B"),
        ("{service: {account: A, subject: mine.C}}", "import: account A does not export the service 'mine.C' to B"),
        ("{stream: {account: A, subject: s.1}, prefix: 'p.*'}", "prefix: expected a subject without wildcards"),
        ("{stream: {account: A, subject: s.1}, prefix: p, to: x}", "prefix and to exclude each other"),
        ("{stream: {account: A, subject: s.*}, to: x}", "import: 's.*' cannot become 'x': "),
        ("{stream: {account: A}}", "stream: expected an account and a subject"),
        ("{stream: s.1}", "stream: expected { account: ..., subject: ... }"),
        ("{service: {account: A, subject: r.1}, allow_trace: true}", "allow_trace: a service has none"),
        ("{stream: {account: A, subject: s.1}}, {stream: {account: A, subject: s.1}, to: x}", "import: 's.1' is imported already"),
        ("{service: {account: A, subject: r.1}}, {service: {account: A, subject: r.2}, to: r.1}", "import: 'r.1' is imported already"),
    ],
)
def test_mistakes_of_imports(imports: str, problem: str, mistake: Callable[..., str]) -> None:
    exports = (
        '{stream: "s.>"}, {stream: only.c, accounts: [C]}, {service: "r.*"}, '
        '{service: "mine.*", account_token_position: 2}'
    )
    found = mistake(f"accounts {{ A {{ exports: [ {exports} ] }}, B {{ imports: [ {imports} ] }}, C {{}} }}")
    assert found.partition(": ")[2].startswith(problem)


def chain(length: int, closed: bool) -> str:
    """Each account imports a service of the next; the last one that of the first, if closed."""
    accounts = []
    for i in range(length):
        following = (i + 1) % length
        imports = f"imports: [ {{service: {{account: A{following}, subject: s}}}} ], " if following or closed else ""
        accounts.append(f"A{i} {{ {imports} exports: [ {{service: s}} ] }}")
    return f"accounts {{ {', '.join(accounts)} }}"


@pytest.mark.parametrize("length", [2, 3, 50])
def test_imports_that_lead_back(length: int, load: Load, mistake: Callable[..., str]) -> None:
    assert len(load(chain(length, closed=False)).accounts) == length
    assert "leads back to account" in mistake(chain(length, closed=True))


def test_many_ways_to_the_same_account_are_followed_once(load: Load) -> None:
    """Thirty layers of two: a thousand million ways."""
    layers = []
    for i in range(30):
        imports = ", ".join(f"{{service: {{account: L{i + 1}x{j}, subject: s{j}}}}}" for j in (0, 1)) if i < 29 else ""
        layers += [f"L{i}x{j} {{ imports: [ {imports} ], exports: [ {{service: s{j}}} ] }}" for j in (0, 1)]
    assert len(load(f"accounts {{ {', '.join(layers)} }}").accounts) == 60
