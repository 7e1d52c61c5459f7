"""Operator mode: the accounts, as JWTs that a trusted operator signed, and where they are asked for."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol

from edge.core.account_claims import AccountRules, open_private, read_account
from edge.core.account_spec import AccountSpec
from edge.core.auth_spec import Operator
from edge.core.jwt import Claims, ClaimsError, decode, get, texts
from edge.core.nkeys import is_public
from edge.core.times import SECOND, Clock

VALIDATION_FAILED = "account validation failed"


class Trust(NamedTuple):
    """``keys`` may sign accounts; users of accounts signed by ``strict`` keys need a signing key of the account."""

    operator: str
    keys: frozenset[str]
    strict: frozenset[str] = frozenset()
    name: str = ""

    @property
    def is_strict(self) -> bool:
        return bool(self.strict)


def read_trust(operator: Operator) -> Trust:
    """ClaimsError for what is not an operator's JWT."""
    keys, strict, first, name = list(operator.trusted_keys), [], "", ""
    for jwt in operator.jwts:
        claims = decode(jwt)
        if claims.type != "operator" or not is_public(claims.subject, "O"):
            raise ClaimsError("not the JWT of an operator")
        signers = list(texts(claims.nats, "signing_keys"))
        first, name = first or claims.subject, name or claims.name
        if get(claims.nats, "strict_signing_key_usage", False):
            strict += signers
            keys += signers
        else:
            keys += [claims.subject, *signers]
    return Trust(first, frozenset(keys), frozenset(strict), name)


class Resolver(Protocol):
    """Where JWTs of accounts are."""

    def fetch(self, key: str, answer: Callable[[str], object]) -> None:
        """Call ``answer`` with the JWT, or nothing where there is none; now or in a later turn of the loop, once."""

    def known(self) -> Iterable[str]:
        """The keys of accounts that are at hand when the server starts."""


Answer = Callable[[AccountRules | None], None]


class Accounts:
    """Those that were asked for.  ``changed`` is told when what they say has changed: first the specifications of all,
    then the key of each account whose clients have to be judged again.

    ``deadline`` and ``tick`` are for the shell's timer: accounts that expire.
    """

    def __init__(
        self,
        trust: Trust,
        resolver: Resolver,
        clock: Clock,
        changed: Callable[[list[AccountSpec], Iterable[str]], None],
    ) -> None:
        self.trust = trust
        self.resolver = resolver
        self.clock = clock
        self.changed = changed
        self.rules: dict[str, AccountRules] = {}
        self.jwts: dict[str, str] = {}
        self.waiting: dict[str, list[Answer]] = {}
        self.expired: set[str] = set()

    def load_known(self) -> None:
        """What is at hand, before anybody comes."""
        for key in self.resolver.known():
            self.resolver.fetch(key, partial(self._found, key))
        self._announce(())

    def lookup(self, key: str, answer: Answer) -> None:
        """None for an account that nobody vouches for."""
        known = self.rules.get(key)
        if known is not None:
            answer(known)
            return
        waiting = self.waiting.setdefault(key, [])
        waiting.append(answer)
        if len(waiting) == 1:
            self.resolver.fetch(key, lambda jwt: self._fetched(key, jwt))

    def _fetched(self, key: str, jwt: str) -> None:
        """Its imports bring others in: they are there before it is."""
        rules = self._found(key, jwt)
        missing = [
            other for other in {imported.account for imported in rules.spec.imports} if other not in self.rules
        ] if rules else []  # fmt: skip
        left = len(missing)

        def one_more(_: AccountRules | None) -> None:
            nonlocal left
            left -= 1
            if not left:
                self._answer(key)

        if not missing:
            self._answer(key)
        for other in missing:
            if other in self.waiting:  # it imports from us
                one_more(None)
            else:
                self.lookup(other, one_more)

    def _answer(self, key: str) -> None:
        self._announce(())
        for answer in self.waiting.pop(key, ()):
            answer(self.rules.get(key))

    def _found(self, key: str, jwt: str) -> AccountRules | None:
        if not jwt:
            return None
        try:
            rules = self._verified(jwt)
        except ClaimsError:
            return None
        if rules.key != key:
            return None
        self.rules[key], self.jwts[key] = rules, jwt
        self._note_expiry(rules)
        return rules

    def _verified(self, jwt: str) -> AccountRules:
        claims = decode(jwt)
        if claims.issuer not in self.trust.keys:
            raise ClaimsError(VALIDATION_FAILED)
        return read_account(claims, strict=claims.issuer in self.trust.strict)

    # ---- changes

    def update(self, key: str, jwt: str) -> bool:
        """Another JWT for an account.  False where nobody has asked for this account yet.  ClaimsError for one that is
        not to be believed; the account is then as before."""
        if key not in self.rules:
            return False
        if self.jwts[key] == jwt:
            return True
        rules = self._verified(jwt)
        if rules.key != key:
            raise ClaimsError(VALIDATION_FAILED)
        self.rules[key], self.jwts[key] = rules, jwt
        self._note_expiry(rules)
        self._announce((key,))
        return True

    def remove(self, key: str) -> None:
        """Its JWT was deleted: who is in it has to go, until there is another."""
        if self.rules.pop(key, None) is not None:
            del self.jwts[key]
            self.expired.discard(key)
            self._announce((key,))

    def check(self, claims: Claims) -> None:
        """ClaimsError for an account JWT that could not be used."""
        read_account(claims)

    def _announce(self, keys: Iterable[str]) -> None:
        self.changed(open_private(self.rules, self.now()), keys)
        self.clock.wake()

    # ---- time

    def now(self) -> int:
        """Seconds since 1970."""
        return self.clock.wall() // SECOND

    def _note_expiry(self, rules: AccountRules) -> None:
        if rules.expires and rules.expires <= self.now():
            self.expired.add(rules.key)
        else:
            self.expired.discard(rules.key)

    def is_expired(self, key: str) -> bool:
        return key in self.expired

    def deadline(self) -> int | None:
        ends = [rules.expires for rules in self.rules.values() if rules.expires and rules.key not in self.expired]
        if not ends:
            return None
        return self.clock.monotonic() + max(min(ends) * SECOND - self.clock.wall(), 0)

    def tick(self, now: int) -> None:
        ended = [key for key, rules in self.rules.items() if rules.expires and rules.expires <= self.now()]
        new = [key for key in ended if key not in self.expired]
        self.expired.update(new)
        if new:
            self._announce(new)
