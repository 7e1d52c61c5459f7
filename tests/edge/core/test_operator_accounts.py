from collections.abc import Callable, Iterable
from typing import Any

import pytest

from edge.core.account_claims import AccountRules
from edge.core.account_spec import AccountSpec
from edge.core.auth_spec import Operator
from edge.core.jwt import ClaimsError, encode
from edge.core.nkeys import KeyPair
from edge.core.operator_accounts import Accounts, read_trust
from edge.core.times import SECOND, Clock

OPERATOR, SIGNER, STRANGER = (KeyPair("O", bytes([i]) * 32) for i in range(3))
A, B, C = (KeyPair("A", bytes([i]) * 32) for i in range(3))


def account(key: KeyPair, signer: KeyPair = OPERATOR, exp: int = 0, **nats: Any) -> str:
    return encode({"sub": key.public, "exp": exp, "nats": {**nats, "type": "account"}}, signer)


def importing(*keys: KeyPair) -> list[dict[str, str]]:
    return [{"subject": "s", "type": "stream", "account": key.public} for key in keys]


class Slow:
    """Answers when it is told to."""

    def __init__(self, jwts: dict[str, str], known: Iterable[str] = ()) -> None:
        self.jwts = jwts
        self.at_hand = known
        self.asked: list[tuple[str, Callable[[str], object]]] = []

    def known(self) -> Iterable[str]:
        return self.at_hand

    def fetch(self, key: str, answer: Callable[[str], object]) -> None:
        self.asked.append((key, answer))

    def settle(self) -> list[str]:
        asked, self.asked = self.asked, []
        for key, answer in asked:
            answer(self.jwts.get(key, ""))
        return [key for key, _ in asked]


class Bench:
    def __init__(self, *jwts: tuple[KeyPair, str]) -> None:
        self.wall = 100 * SECOND
        self.resolver = Slow({key.public: jwt for key, jwt in jwts})
        self.changes: list[tuple[list[AccountSpec], list[str]]] = []
        clock = Clock(lambda: self.wall, lambda: self.wall, lambda: None)
        trust = read_trust(Operator(trusted_keys=(OPERATOR.public,)))
        self.accounts = Accounts(trust, self.resolver, clock, lambda specs, keys: self.changes.append((specs, list(keys))))

    def lookup(self, key: KeyPair) -> list[AccountRules | None]:
        found: list[AccountRules | None] = []
        self.accounts.lookup(key.public, found.append)
        return found


def operator(strict: bool = False) -> Operator:
    claims = {"signing_keys": [SIGNER.public], "strict_signing_key_usage": strict, "type": "operator"}
    return Operator((encode({"sub": OPERATOR.public, "name": "op", "nats": claims}, OPERATOR),))


def test_whom_the_server_trusts() -> None:
    trust = read_trust(operator())
    assert trust.keys == {OPERATOR.public, SIGNER.public} and trust.operator == OPERATOR.public and not trust.is_strict
    strict = read_trust(operator(True))
    assert strict.keys == strict.strict == {SIGNER.public} and strict.is_strict
    with pytest.raises(ClaimsError):
        read_trust(Operator((account(A),)))


def test_everybody_waits_for_one_question() -> None:
    bench = Bench((A, account(A)))
    first, second = bench.lookup(A), bench.lookup(A)
    assert bench.resolver.settle() == [A.public] and not bench.resolver.asked
    assert first == second == [bench.accounts.rules[A.public]]
    assert bench.lookup(A) == first and not bench.resolver.asked
    assert [spec.name for spec in bench.changes[-1][0]] == [A.public]


def test_what_it_imports_is_there_before_it() -> None:
    bench = Bench((A, account(A, imports=importing(B, C))), (B, account(B, imports=importing(A))), (C, ""))
    found = bench.lookup(A)
    bench.resolver.settle()
    assert not found
    assert sorted(bench.resolver.settle()) == sorted([B.public, C.public])
    assert len(found) == 1 and {spec.name for spec in bench.changes[-1][0]} == {A.public, B.public}


@pytest.mark.parametrize("jwt", [account(A, STRANGER), account(B), "nonsense", ""])
def test_nobody_vouches_for_it(jwt: str) -> None:
    bench = Bench((A, jwt))
    found = bench.lookup(A)
    bench.resolver.settle()
    assert found == [None] and not bench.accounts.rules


def test_updates() -> None:
    bench = Bench((A, account(A)))
    assert not bench.accounts.update(A.public, account(A))  # nobody has asked for it
    bench.lookup(A)
    bench.resolver.settle()
    new = account(A, limits={"conn": 1})
    assert bench.accounts.update(A.public, new) and bench.changes[-1][1] == [A.public]
    assert bench.accounts.rules[A.public].spec.limits.max_connections == 1
    for wrong in (account(A, STRANGER), account(B), "x"):
        with pytest.raises(ClaimsError):
            bench.accounts.update(A.public, wrong)
    assert bench.accounts.jwts[A.public] == new
    bench.accounts.remove(A.public)
    assert not bench.accounts.rules and bench.changes[-1] == ([], [A.public])


def test_it_expires() -> None:
    bench = Bench((A, account(A, exp=110)), (B, account(B)))
    bench.lookup(A)
    bench.lookup(B)
    bench.resolver.settle()
    accounts = bench.accounts
    assert accounts.deadline() == 110 * SECOND and not accounts.is_expired(A.public)
    bench.wall = 110 * SECOND
    accounts.tick(bench.wall)
    assert accounts.is_expired(A.public) and bench.changes[-1][1] == [A.public] and accounts.deadline() is None
    accounts.update(A.public, account(A, exp=200))
    assert not accounts.is_expired(A.public) and accounts.deadline() == 200 * SECOND


def test_what_is_at_hand_at_the_start() -> None:
    bench = Bench((A, account(A)), (B, account(B)))
    bench.resolver.at_hand = [A.public]
    bench.accounts.load_known()
    bench.resolver.settle()
    assert list(bench.accounts.rules) == [A.public]
