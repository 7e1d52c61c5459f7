"""Operator mode: who may come in is said by JWTs, from the user's over the account's to the operator's."""

import logging

from edge.core.account_claims import AccountRules
from edge.core.auth import Answer, Credentials, Login, Refusal, signed_nonce
from edge.core.jwt import Claims, ClaimsError, decode
from edge.core.operator_accounts import Accounts
from edge.core.permissions import Permissions
from edge.core.times import SECOND
from edge.core.user_claims import UserRules, account_of, read_user

log = logging.getLogger("edge")

PLAIN = Refusal()
REVOKED = Refusal(reason="Authentication Failure", withdrawn=("User Authentication Revoked", "Credentials Revoked"))
ACCOUNT_EXPIRED = Refusal(
    reason="Authentication Failure", withdrawn=("Account Authentication Expired", "Authentication Expired")
)


class OperatorUsers:
    """``pinned``: accounts that users may come from, empty: any.  ``sentinel``: the JWT of those who bring none.

    ``account``: where connections are before they have logged in.
    """

    required = True
    challenges = True

    def __init__(
        self, accounts: Accounts, account: str, pinned: frozenset[str] = frozenset(), sentinel: str = ""
    ) -> None:
        self.accounts = accounts
        self.account = account
        self.pinned = pinned
        self.sentinel = sentinel

    def login(self, credentials: Credentials, answer: Answer) -> None:
        def refuse(reason: str, refusal: Refusal = PLAIN) -> None:
            log.debug("cid:%d - %s", credentials.cid, reason)
            answer(refusal)

        jwt = credentials.jwt or self.sentinel
        if not jwt:
            refuse("Authentication requires a user JWT")
            return
        try:
            claims = decode(jwt)
            claims.refuse_untimely(self.accounts.now())
        except ClaimsError as exc:
            refuse(f"User JWT not valid: {exc}")
            return
        if claims.type != "user":
            refuse("User JWT not valid: not claims of a user")
            return
        account = account_of(claims)
        if self.pinned and account not in self.pinned:
            refuse(f"Account {account} not listed as operator pinned account")
            return

        def judge(rules: AccountRules | None) -> None:
            try:
                answer(self._judge(claims, rules, credentials._replace(jwt=jwt)))
            except ClaimsError as exc:
                refuse(str(exc))
            except Withdrawn as exc:
                refuse(str(exc), exc.refusal)

        self.accounts.lookup(account, judge)

    def account_of(self, credentials: Credentials) -> AccountRules | None:
        """That which a user's JWT is about, once it was asked for."""
        try:
            claims = decode(credentials.jwt or self.sentinel)
        except ClaimsError:
            return None
        return self.accounts.rules.get(account_of(claims)) if claims.type == "user" else None

    def _judge(self, claims: Claims, account: AccountRules | None, credentials: Credentials) -> Login:
        """ClaimsError, or Withdrawn where this may be said to who is in already."""
        if account is None:
            raise ClaimsError("Account JWT lookup error")
        user = read_user(claims, account)
        if self.accounts.is_expired(account.key):
            raise Withdrawn("Account JWT has expired", ACCOUNT_EXPIRED)
        if user.is_bearer and account.disallow_bearer:
            raise ClaimsError("Account does not allow bearer tokens")
        if not user.is_bearer and not signed_nonce(user.key, credentials):
            raise ClaimsError("Signature not verified" if credentials.signature else "Signature missing")
        if account.is_revoked(user.key, user.issued_at):
            raise Withdrawn("User authentication revoked", REVOKED)
        return admit_user(user, account.default_permissions, credentials, self.accounts.now())


class Withdrawn(Exception):
    def __init__(self, text: str, refusal: Refusal) -> None:
        super().__init__(text)
        self.refusal = refusal


def admit_user(user: UserRules, defaults: Permissions | None, credentials: Credentials, now: int) -> Login:
    """What was signed is believed; where it may come from, and when, is still to be seen.  ClaimsError.

    ``defaults``: what the account permits where the user's JWT says nothing.
    """
    if user.kinds and credentials.kind not in user.kinds:
        raise ClaimsError("Connection type not allowed")
    if not user.may_come_from(credentials.ip):
        raise ClaimsError(f"Bad src Ip {credentials.ip}")
    until = user.stays_until(now)
    if until is None:
        raise ClaimsError("Outside connect times")
    return Login(
        user.account, user.key, user.permissions or defaults, user.max_subscriptions, user.max_payload,
        until * SECOND or None, user.key, credentials.jwt, user.issuer, user.name, user.tags,
    )  # fmt: skip
