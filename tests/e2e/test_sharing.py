"""Accounts that export, import and map at random; hypothesis says what is said in them.  Whoever hears something of our
server hears it of the real one."""

import operator
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.subjects import overlap
from tests.e2e.transcript import Cast, assert_same

Start = Callable[..., Any]

WORDS = ["x", "y"]


class Site(NamedTuple):
    """``patterns``: what its exports, imports and mappings speak of."""

    config: str
    users: list[str]
    patterns: list[str]


class Maker:
    """Each account imports from those before it: there are no circles.  Where nats-server would choose among several
    exports or mappings at random there are no several."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.names = "ABCD"[: self.dice.choice([2, 3, 4])]
        self.exports: dict[str, list[tuple[str, str]]] = {name: [] for name in self.names}
        self.patterns: list[str] = []

    def make(self) -> Site:
        blocks = [self._account(index, name) for index, name in enumerate(self.names)]
        config = "listen: 127.0.0.1:-1\nserver_name: S\naccounts {\n" + "\n".join(blocks) + "\n}\n"
        return Site(config, [name.lower() for name in self.names], self.patterns)

    def _account(self, index: int, name: str) -> str:
        exports = ", ".join(self._export(name) for _ in range(self.dice.randint(2, 4)))
        imports = ", ".join(self._imports(self.names[:index]))
        mappings = "\n".join(self._mappings())
        user = f"users: [{{user: {name.lower()}, password: {name.lower()}}}]"
        return f"{name} {{ {user}\nexports: [{exports}]\nimports: [{imports}]\nmappings {{\n{mappings}\n}} }}"

    def _export(self, name: str) -> str:
        kind = self.dice.choice(["stream", "service"])
        subject = self._new([known for other, known in self.exports[name] if other == kind])
        self.exports[name].append((kind, subject))
        more = ", response: stream" if kind == "service" and self.dice.random() < 0.3 else ""
        return f'{{{kind}: "{subject}"{more}}}'

    def _imports(self, others: str) -> list[str]:
        found: dict[tuple[str, str], list[str]] = {}
        lines = []
        for _ in range(self.dice.randint(2, 4) if others else 0):
            other = self.dice.choice(others)
            kind, subject = self.dice.choice(self.exports[other])
            if self.dice.random() < 0.5:
                subject = self._narrower(subject)
            known = found.setdefault((other, kind), [])
            if not any(overlap(subject, one) for one in known):
                known.append(subject)
                lines.append(f'{{{kind}: {{account: {other}, subject: "{subject}"}}{self._name(kind, subject)}}}')
        return lines

    def _name(self, kind: str, subject: str) -> str:
        """What it is called here."""
        way = self.dice.random()
        if way < 0.3 and kind == "stream":
            prefix = self.dice.choice(["p", "q", "x", "p.q"])
            self.patterns += [f"{prefix}.{subject}"] * 2
            return f", prefix: {prefix}"
        if way < 0.7:
            tokens = subject.split(".")
            numbers = list(range(1, tokens.count("*") + 1))
            if len(numbers) == 2:
                self.dice.shuffle(numbers)
            to = [self.dice.choice(["p", "q", "x"]), *(f"${number}" for number in numbers)]
            to += [">"] if tokens[-1] == ">" else []
            self.patterns += [".".join("*" if token[0] == "$" else token for token in to)] * 2
            return f', to: "{".".join(to)}"' + (", share: true" if kind == "service" and way < 0.4 else "")
        self.patterns += [subject] * 2
        return ""

    def _mappings(self) -> list[str]:
        lines: list[str] = []
        sources: list[str] = []
        for _ in range(self.dice.choice([0, 0, 1, 2])):
            sources.append(self._new(sources))
            stars = sources[-1].split(".").count("*")
            shapes = ["${0}", "{{{{wildcard({0})}}}}", "{{{{partition(3,{0})}}}}", "{{{{left({0},1)}}}}"]
            to = [self.dice.choice(["p", "x", "y"])]
            to += [
                self.dice.choice(shapes).format(number) for number in range(1, stars + 1) if self.dice.random() < 0.8
            ]
            to += [">"] if sources[-1][-1] == ">" else []
            lines.append(f'"{sources[-1]}": "{".".join(to)}"')
        return lines

    def _new(self, known: list[str]) -> str:
        """Overlaps none of the ``known``."""
        while True:
            first = self.dice.choice([*WORDS, "*", f"own{len(self.patterns)}"])
            tokens = [first, *(self.dice.choice([*WORDS, "*", "*"]) for _ in range(self.dice.choice([0, 1, 1, 2])))]
            if len(tokens) > 1 and self.dice.random() < 0.2:
                tokens[-1] = ">"
            subject = ".".join(tokens)
            if not any(overlap(subject, one) for one in known):
                self.patterns.append(subject)
                return subject

    def _narrower(self, subject: str) -> str:
        tokens = [self.dice.choice(["*", "x", "y"]) if token == "*" else token for token in subject.split(".")]
        if tokens[-1] == ">":
            tokens[-1:] = self.dice.choice([["x"], ["*"], [">"], ["x", "*"]])
        return ".".join(tokens)


def lines_of(site: Site) -> st.SearchStrategy[list[str]]:
    """Subscriptions, messages, requests and answers, about what this site knows."""
    users = st.sampled_from(site.users)
    patterns = st.sampled_from([*site.patterns, *WORDS, "*", "*.*", "x.>"])
    subjects = st.builds(_literal, patterns, st.lists(st.sampled_from(WORDS), min_size=4, max_size=4))
    interests = st.builds(_narrowed, patterns, st.lists(st.sampled_from(["x", "*", "*", "*"]), min_size=4, max_size=4))
    sids = st.integers(1, 30)
    listen = st.one_of(
        st.builds("{}: SUB {} {}".format, users, interests, sids),
        st.builds("{0}: SUB {1} q{2} {2}".format, users, interests, sids),
    )
    say = st.one_of(
        st.builds("{}: pub {} = m".format, users, subjects),
        st.builds("{}: hpub {} = k: v = m".format, users, subjects),
        st.builds("{0}: pub {1} r.e.p.l.{0} = q".format, users, subjects),
        st.builds("{0}: pub {1} r.e.p.l.{0} = q".format, users, subjects),
        st.builds("{}: UNSUB {}".format, users, sids),
    )
    answers = [f"{user}: answer a" for user in site.users]
    spoken = st.lists(say, min_size=5, max_size=25).map(lambda lines: [part for line in lines for part in (line, *answers)])
    return st.builds(operator.add, st.lists(listen, min_size=3, max_size=12), spoken)


def _literal(pattern: str, words: list[str]) -> str:
    """Nobody asked for a subject of more than a few tokens."""
    return ".".join(word if token in "*>" else token for token, word in zip(pattern.split("."), words, strict=False))


def _narrowed(pattern: str, words: list[str]) -> str:
    """Nobody listens to everything: inboxes would be heard by two of one client's subscriptions."""
    tokens = [word if token == "*" else token for token, word in zip(pattern.split("."), words, strict=False)]
    return ".".join(tokens) if tokens[-1] != ">" or tokens[0] != "*" else "x.>"


class Player(Cast):
    """Who has not been asked has no answer."""

    def _do(self, user: str, operation: str) -> None:
        if not operation.startswith("answer"):
            self.replies.clear()
            super()._do(user, operation)
        elif user in self.replies:
            super()._do(user, operation)
            del self.replies[user]

    def _hear(self, user: str, wire: Any, line: str) -> None:
        before = self.replies.get(user, "")
        super()._hear(user, wire, line)
        if before.startswith("_R_") and not self.replies[user].startswith("_R_"):
            self.replies[user] = before  # whichever of the two was heard first


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_said_is_heard_alike(seed: int, start_edge: Start, start_nats: Start) -> None:
    site = Maker(seed).make()
    servers = start_edge(site.config), start_nats(site.config)

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(lines_of(site))
    def speak(lines: list[str]) -> None:
        inboxes = [f"{user}: SUB r.e.p.l.{user} 900" for user in site.users]
        assert_same(*(Player(server, site.users).play([*inboxes, *lines]) for server in servers))

    speak()
