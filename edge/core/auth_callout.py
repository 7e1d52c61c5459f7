"""Auth callout: a service in an account is asked about each login, and answers with a user's JWT or an error.

Request and answer are JWTs, ours signed by the server's key; where the account has a curve key both are encrypted
(reference: core.md section 3; nats-server's ADR-26).
"""

import logging
import secrets
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple

from edge.core.account import Account
from edge.core.auth import Answer, Authenticator, Credentials, Login, Refusal
from edge.core.auth_spec import AuthCallout
from edge.core.jwt import Claims, ClaimsError, Fields, decode, encode, get
from edge.core.nkeys import KeyPair, encode_public
from edge.core.operator_users import OperatorUsers, admit_user
from edge.core.peer import Subscription
from edge.core.permissions import Permissions, SubjectRule
from edge.core.router import Router
from edge.core.times import SECOND, Clock
from edge.core.user_claims import UserRules, make_user, read_user
from edge.message import header_block

log = logging.getLogger("edge")

SUBJECT = "$SYS.REQ.USER.AUTH"
AUDIENCE = "nats-authorization-request"
XKEY_HEADER = "Nats-Server-Xkey"
CLIENT_TYPES = {"MQTT": "mqtt", "MQTT_WS": "mqtt", "WEBSOCKET": "websocket"}


class ServerKeys(NamedTuple):
    """``signing`` is an nkey of a server, ``sealing`` a curve key."""

    signing: KeyPair
    sealing: KeyPair

    @staticmethod
    def create() -> "ServerKeys":
        return ServerKeys(KeyPair("N", secrets.token_bytes(32)), KeyPair("X", secrets.token_bytes(32)))


class ServerName(NamedTuple):
    name: str
    host: str
    id: str
    version: str
    tags: tuple[str, ...] = ()


class Asked(NamedTuple):
    """One login that the service has been asked about.  ``user`` is the key that its JWT has to be made out to."""

    callout: AuthCallout
    account: Account
    credentials: Credentials
    user: str
    sub: Subscription
    deadline: int  # monotonic ns
    answer: Answer


class Callout:
    """Asks for every login but those of ``auth_users``, whom ``inner`` lets in.

    ``configured`` None: operator mode, where each account's JWT may have its own.  ``has_account``: may users
    be placed in an account of this name?  ``deadline`` and ``tick`` are for the shell's timer: answers that never come.
    """

    required = True

    def __init__(
        self,
        inner: Authenticator,
        configured: AuthCallout | None,
        has_account: Callable[[str], bool],
        router: Router,
        keys: ServerKeys,
        server: ServerName,
        clock: Clock,
        timeout_ns: int,
    ) -> None:
        self.inner = inner
        self.configured = configured
        self.has_account = has_account
        self.router = router
        self.keys = keys
        self.server = server
        self.clock = clock
        self.timeout_ns = timeout_ns
        self.asked: dict[str, Asked] = {}  # by the subject of the answer

    @property
    def account(self) -> str:
        return self.inner.account

    @property
    def challenges(self) -> bool:
        return self.inner.challenges

    def login(self, credentials: Credentials, answer: Answer) -> None:
        self.inner.login(credentials, lambda verdict: self._after(credentials, verdict, answer))

    def _after(self, credentials: Credentials, verdict: Login | Refusal, answer: Answer) -> None:
        callout = self._callout(credentials, verdict)
        if callout is None:
            answer(verdict)
        elif _is_auth_user(callout, credentials, verdict):
            answer(_without_requests(verdict, callout) if isinstance(verdict, Login) else verdict)
        else:
            said = credentials if self.configured is None else credentials._replace(jwt="")  # as nats-server
            self._ask(callout, said, answer)

    def _callout(self, credentials: Credentials, verdict: Login | Refusal) -> AuthCallout | None:
        """Who is asked about this one; None: nobody."""
        if self.configured is None:
            assert isinstance(self.inner, OperatorUsers)
            account = self.inner.account_of(credentials)
            return account.callout if account is not None else None
        delegated = self.configured.allowed_accounts
        known = isinstance(verdict, Login) and verdict.account != self.account
        if known and delegated and isinstance(verdict, Login) and verdict.account not in delegated:
            return None
        return self.configured

    # ---- the question

    def _ask(self, callout: AuthCallout, credentials: Credentials, answer: Answer) -> None:
        account = self.router.account(callout.account)
        user = encode_public("U", secrets.token_bytes(32))  # which nobody can sign for
        reply = f"$SYS._INBOX.{secrets.token_hex(8)}.{secrets.token_hex(4)}"
        sub = account.subscribe(reply, self._on_answer)
        deadline = self.clock.monotonic() + self.timeout_ns
        self.asked[reply] = Asked(callout, account, credentials, user, sub, deadline, answer)
        request = encode(self._request(callout, credentials, user), self.keys.signing).encode()
        headers = b""
        if callout.xkey:
            request = self.keys.sealing.seal(request, callout.xkey)
            headers = header_block([(XKEY_HEADER, self.keys.sealing.public)])
        self.clock.wake()
        account.publish(SUBJECT, request, reply=reply, headers=headers)

    def _request(self, callout: AuthCallout, credentials: Credentials, user: str) -> Fields:
        now = self.clock.wall()
        server: Fields = {"name": self.server.name, "host": self.server.host, "id": self.server.id}
        server |= _filled({"version": self.server.version, "tags": list(self.server.tags)})
        if callout.xkey:
            server["xkey"] = self.keys.sealing.public
        nats = {
            "server_id": server,
            "user_nkey": user,
            "client_info": _client_info(credentials),
            "connect_opts": _connect_options(credentials),
            "type": "authorization_request",
        }
        if credentials.tls:
            nats["client_tls"] = _tls(credentials)
        return {
            "aud": AUDIENCE, "exp": (now + self.timeout_ns) // SECOND + 1, "iat": now // SECOND, "sub": callout.issuer,
            "nats": nats,
        }  # fmt: skip

    # ---- the answer

    def _on_answer(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        asked = self._take(subject)
        if asked is None:
            return
        try:
            login = self._read(asked, payload)
        except (ClaimsError, ValueError) as exc:
            text = str(exc)
            log.warning("%s", text[:1].upper() + text[1:])
            asked.answer(Refusal())
        else:
            asked.answer(_without_requests(login, asked.callout))

    def _read(self, asked: Asked, payload: bytes) -> Login:
        """ClaimsError or ValueError for anything but a user whom this service may let in."""
        account = asked.account.name
        if not payload:
            raise ClaimsError(f'auth callout violation: "no reason supplied" on account "{account}"')
        sealed = bool(asked.callout.xkey) and not payload.startswith(b"eyJ")
        token = self.keys.sealing.open(payload, asked.callout.xkey) if sealed else payload
        response = decode(token.decode("ascii"))
        self._check_response(response, asked, sealed)
        user = decode(get(response.nats, "jwt", ""))
        now = self.clock.wall() // SECOND
        user.refuse_untimely(now)
        if user.type != "user" or user.subject != asked.user:
            raise ClaimsError(
                f'Expected authorized user of "{asked.user}" but got "{user.subject}" on account "{account}"'
            )
        rules, defaults = self._place(user, asked)
        login = admit_user(rules, defaults, asked.credentials._replace(jwt=""), now)
        return Login(
            login.account, user.name or asked.credentials.user or login.user, login.permissions,
            login.max_subscriptions, login.max_payload, login.expires_ns, "", "", login.issuer_key, user.name,
            login.tags,
        )  # fmt: skip

    def _check_response(self, response: Claims, asked: Asked, sealed: bool) -> None:
        if response.type != "authorization_response":
            raise ClaimsError("not an authorization response claim")
        if response.subject != asked.user:
            raise ClaimsError("auth callout violation: auth callout response is not for expected user")
        if response.audience != self.server.id:
            raise ClaimsError("auth callout violation: auth callout response is not for server")
        if error := get(response.nats, "error", ""):
            raise ClaimsError(f"auth callout service returned an error: {error}")
        if self.configured is None and not sealed:
            signer = get(response.nats, "issuer_account", "") or response.issuer
            account = self._operator_users().accounts.rules.get(asked.account.name)
            if signer != asked.account.name and (account is None or signer not in account.signers):
                raise ClaimsError("auth callout signing key is unknown")

    def _place(self, user: Claims, asked: Asked) -> tuple[UserRules, Permissions | None]:
        """Into which account, and what it permits its users."""
        account, callout = asked.account.name, asked.callout
        behind = get(user.nats, "issuer_account", "")
        if self.configured is not None:
            if behind:
                raise ClaimsError(f'error non operator mode account "{account}": attempted to use issuer_account')
            if user.issuer != callout.issuer:
                raise ClaimsError(
                    f'wrong issuer for auth callout response on account "{account}", '
                    f'expected "{callout.issuer}" got "{user.issuer}"'
                )
            if not self.has_account(user.audience):
                raise ClaimsError(
                    f'no valid account "{user.audience}" for auth callout response on account "{account}": '
                    "account missing"
                )
            return make_user(user, user.nats, user.audience), None
        target = behind or user.issuer
        allowed = callout.allowed_accounts
        if target != account and allowed != ("*",) and target not in allowed:
            raise ClaimsError(
                f'account "{user.issuer}" not permitted as valid account option for auth callout for '
                f'account "{account}"'
            )
        rules = self._operator_users().accounts.rules.get(target)
        if rules is None:
            raise ClaimsError(f'no valid account "{target}" for auth callout response on account "{account}"')
        return read_user(user, rules), rules.default_permissions

    def _operator_users(self) -> OperatorUsers:
        assert isinstance(self.inner, OperatorUsers)
        return self.inner

    def _take(self, reply: str) -> Asked | None:
        asked = self.asked.pop(reply, None)
        if asked is not None:
            asked.account.unsubscribe(asked.sub)
        return asked

    # ---- time

    def deadline(self) -> int | None:
        return min((asked.deadline for asked in self.asked.values()), default=None)

    def tick(self, now: int) -> None:
        for reply, asked in list(self.asked.items()):
            if now >= asked.deadline:
                self._take(reply)
                log.debug(
                    "Authorization callout response not received in time on account %s", asked.account.name
                )
                asked.answer(Refusal())


def _is_auth_user(callout: AuthCallout, credentials: Credentials, verdict: Login | Refusal) -> bool:
    """By what it said; else by who it was taken for."""
    said = credentials.nkey or credentials.user
    if not said and isinstance(verdict, Login):
        said = verdict.nkey or verdict.user
    return (said or credentials.token) in callout.auth_users


def _without_requests(login: Login, callout: AuthCallout) -> Login:
    """Who comes into the callout's account may not ask as the server does."""
    if login.account != callout.account:
        return login
    rights = login.permissions or Permissions()
    publish = SubjectRule(rights.publish.allow, (*rights.publish.deny, SUBJECT))
    permissions = Permissions(publish, rights.subscribe, rights.responses)
    from dataclasses import replace

    return replace(login, permissions=permissions)


def _client_info(said: Credentials) -> Fields:
    info: Fields = {"host": said.ip, "id": said.cid, "user": said.nkey or said.user or said.token, "name": said.name}
    if said.kind.startswith("LEAFNODE"):
        info["kind"] = "Leafnode"
    else:
        info |= {"kind": "Client", "type": CLIENT_TYPES.get(said.kind, "nats"), "mqtt_id": said.mqtt_id}
    if said.signature:
        info["nonce"] = said.nonce
    return _filled(info)


def _connect_options(said: Credentials) -> Fields:
    options = {
        "jwt": said.jwt, "nkey": said.nkey, "sig": said.signature, "auth_token": said.token, "user": said.user,
        "pass": said.password, "name": said.name, "lang": said.lang, "version": said.version,
    }  # fmt: skip
    return _filled(options) | {"protocol": said.protocol}


def _tls(said: Credentials) -> Fields:
    assert said.tls is not None
    tls: Fields = {"version": said.tls[0], "cipher": said.tls[1]}
    if said.certificate is not None and said.certificate.der:
        body = b64encode(said.certificate.der).decode()
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        tls["certs"] = [f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"]
    return tls


def _filled(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value}
