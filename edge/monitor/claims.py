"""Requests to the system account that change account JWTs, and ask for them: ``nsc push`` and ``nsc pull``."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edge.core.account import Account
from edge.core.go_json import dumps
from edge.core.jwt import Claims, ClaimsError, decode
from edge.core.nkeys import is_public
from edge.core.operator_accounts import Accounts
from edge.monitor.stamp import Stamp

if TYPE_CHECKING:
    from edge.net.jwt_directory import JwtDirectory

log = logging.getLogger("edge")

OK, SERVER_ERROR = 200, 500
NEW_SUBJECT, OLD_SUBJECT = "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", "$SYS.ACCOUNT.*.CLAIMS.UPDATE"


class ClaimsDesk:
    """``directory`` None: accounts that are known are changed, for as long as this server runs.

    ``may_delete`` and ``hard``: as the resolver's configuration says.
    """

    def __init__(
        self,
        system: Account,
        accounts: Accounts,
        stamp: Stamp,
        directory: "JwtDirectory | None",
        may_delete: bool = False,
        hard: bool = False,
    ) -> None:
        self.system = system
        self.accounts = accounts
        self.stamp = stamp
        self.directory = directory
        self.may_delete = may_delete
        self.hard = hard

    def open(self) -> None:
        take = self.system.subscribe
        take(NEW_SUBJECT, self._on_update)
        take(OLD_SUBJECT, self._on_update)
        if self.directory is not None:
            take("$SYS.REQ.CLAIMS.UPDATE", self._on_update)
            take("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", self._on_lookup)
            take("$SYS.REQ.CLAIMS.LIST", self._on_list)
            take("$SYS.REQ.CLAIMS.DELETE", self._on_delete)
            take("$SYS.REQ.CLAIMS.PACK", self._on_pack, queue="responder")

    # ---- changes

    def _on_update(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        named = _account_in(subject)
        if not payload and self.directory is None:
            self._refuse(reply, named, "jwt update error", "request body is empty")
            return
        jwt = payload.decode("ascii", "replace").strip()
        try:
            claims = decode(jwt)
        except ClaimsError as exc:
            self._refuse(reply, "n/a" if self.directory else named, "jwt update resulted in error", str(exc))
            return
        problem, text = self._problem(claims, named)
        if problem:
            self._refuse(reply, named or claims.subject, problem, text)
            return
        try:
            message = self._update(claims.subject, jwt)
        except ClaimsError as exc:
            self._refuse(reply, claims.subject, "jwt update resulted in error", str(exc))
        else:
            self._say(reply, claims.subject, message)

    def _problem(self, claims: Claims, named: str) -> tuple[str, str]:
        try:
            self.accounts.check(claims)
        except ClaimsError as exc:
            return "jwt validation failed", f"validation errors: [{exc}]"
        if named and claims.subject != named:
            return "jwt update resulted in error", "subject does not match jwt content"
        if self.accounts.trust.is_strict and claims.issuer == self.accounts.trust.operator:
            return "jwt update resulted in error", "operator requires issuer to be a signing key"
        return "", ""

    def _update(self, key: str, jwt: str) -> str:
        if self.directory is None:
            return "jwt updated" if self.accounts.update(key, jwt) else "jwt update skipped"
        if decode(jwt).issuer not in self.accounts.trust.keys:
            raise ClaimsError("not trusted")
        self.directory.save(key, jwt)
        self.accounts.update(key, jwt)
        return "jwt updated"

    def _on_delete(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        asker = ""
        try:
            claims = decode(payload.decode("ascii", "replace").strip())
            asker = claims.subject
            keys = self._to_delete(claims)
        except ClaimsError as exc:
            self._refuse(reply, "", f"delete accounts request by {asker} failed", str(exc))
            return
        errors = []
        for key in keys:
            assert self.directory is not None
            try:
                self.directory.delete(key, self.hard)
                self.accounts.remove(key)
            except ClaimsError as exc:
                errors.append(str(exc))
        if errors:
            done = f"deleted {len(keys) - len(errors)} accounts, failed for {len(errors)}"
            self._refuse(reply, "", done, "\n".join(errors))
        else:
            self._say(reply, "", f"deleted {len(keys)} accounts")

    def _to_delete(self, claims: Claims) -> list[str]:
        """Operators alone may ask, and sign themselves."""
        if not self.may_delete:
            raise ClaimsError("delete must be enabled in server config")
        if claims.subject != claims.issuer:
            raise ClaimsError("not self signed")
        if claims.issuer not in self.accounts.trust.keys:
            raise ClaimsError("not trusted")
        keys = claims.nats.get("accounts")
        if not isinstance(keys, list) or not all(isinstance(key, str) and is_public(key, "A") for key in keys):
            raise ClaimsError("malformed request")
        if self.system.name in keys:
            raise ClaimsError("not allowed to delete system account")
        return keys

    # ---- questions

    def _on_lookup(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """Nothing, for an account that is not here, so that whoever asks knows."""
        assert self.directory is not None
        if reply:
            self.system.publish(reply, self.directory.load(_account_in(subject)).encode())

    def _on_list(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        assert self.directory is not None
        if reply:
            self._publish(reply, {"server": self.stamp.server(), "data": self.directory.keys()})

    def _on_pack(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        """Each account in a message of its own, and an empty one after them; that alone for who has the same."""
        assert self.directory is not None
        if not reply:
            return
        if payload != self.directory.hash():
            self._publish_all(reply, self.directory.packs())
        self.system.publish(reply)

    def _publish_all(self, reply: str, texts: Iterable[str]) -> None:
        for text in texts:
            self.system.publish(reply, text.encode())

    # ---- answers

    def _say(self, reply: str, key: str, message: str) -> None:
        log.debug("%s%s", message, f" - {key}" if key else "")
        named = {"account": key} if key else {}
        if reply:
            data = {**named, "code": OK, "message": message}
            self._publish(reply, {"server": self.stamp.server(), "data": data})

    def _refuse(self, reply: str, key: str, message: str, problem: str) -> None:
        log.error("%s%s - %s", message, f" - {key}" if key else "", problem)
        named = {"account": key} if key else {}
        if reply:
            error = {**named, "code": SERVER_ERROR, "description": f"{message} - {problem}"}
            self._publish(reply, {"server": self.stamp.server(), "error": error})

    def _publish(self, reply: str, fields: Mapping[str, object]) -> None:
        self.system.publish(reply, dumps(fields))


def _account_in(subject: str) -> str:
    """``$SYS.REQ.ACCOUNT.<key>...`` and the older ``$SYS.ACCOUNT.<key>...``; empty where it names none."""
    tokens = subject.split(".")
    return tokens[tokens.index("ACCOUNT") + 1] if "ACCOUNT" in tokens else ""

