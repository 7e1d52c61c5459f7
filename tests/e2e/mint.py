"""Operators, accounts and users for the tests: keys, JWTs and the files that clients log in with."""

import time
from pathlib import Path
from typing import Any

from edge.core.jwt import encode
from edge.core.nkeys import KeyPair

NO_LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
JETSTREAM = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


def key(kind: str, number: int) -> KeyPair:
    """Always the same for the same number: what differs between two runs is what the servers make different."""
    return KeyPair(kind, bytes([ord(kind)]) * 16 + number.to_bytes(16, "big"))


class Account:
    def __init__(self, operator: "Operator", number: int, name: str) -> None:
        self.operator = operator
        self.key = key("A", number)
        self.public = self.key.public
        self.name = name
        self.claims: dict[str, Any] = {"limits": {**NO_LIMITS, "wildcards": True}}
        self.times: dict[str, int] = {}
        self.issued = int(time.time())

    def jwt(self, signer: KeyPair | None = None, **claims: Any) -> str:
        """``claims`` replace those of the account."""
        fields = {
            "sub": self.public, "name": self.name, "iat": self.issued, **self.times,
            "nats": {**self.claims, **claims, "type": "account"},
        }  # fmt: skip
        return encode(fields, signer or self.operator.signer)

    def user(self, number: int, name: str = "u", signer: KeyPair | None = None, **claims: Any) -> str:
        """The user's JWT; ``exp``, ``nbf`` and ``iat`` go where they belong."""
        times = {when: claims.pop(when) for when in ("exp", "nbf", "iat", "aud") if when in claims}
        rights = {} if claims.pop("scoped", False) else {"subs": -1, "data": -1, "payload": -1}
        if signer is not None:
            rights["issuer_account"] = self.public
        fields = {
            "sub": key("U", number).public, "name": name, "iat": self.issued, **times,
            "nats": {**rights, **claims, "type": "user"},
        }  # fmt: skip
        return encode(fields, signer or self.key)


class Operator:
    def __init__(self, number: int = 1) -> None:
        self.key = self.signer = key("O", number)
        self.accounts = [Account(self, 100 * number, "SYS")]

    @property
    def system(self) -> Account:
        return self.accounts[0]

    def account(self, name: str) -> Account:
        self.accounts.append(Account(self, self.accounts[-1].key.raw[-1] + 1, name))
        return self.accounts[-1]

    def jwt(self, **claims: Any) -> str:
        fields = {"sub": self.key.public, "name": "op", "nats": {**claims, "type": "operator"}}
        return encode(fields, self.key)

    def config(self, resolver: str = "MEMORY", more: str = "", **claims: Any) -> str:
        preload = "\n".join(f"  {account.public}: {account.jwt()}" for account in self.accounts)
        return (
            f"listen: 127.0.0.1:-1\nserver_name: S\noperator: {self.jwt(**claims)}\n"
            f"system_account: {self.system.public}\nresolver: {resolver}\nresolver_preload {{\n{preload}\n}}\n{more}\n"
        )


def creds(folder: Path, jwt: str, number: int) -> str:
    """As nsc writes them."""
    path = folder / f"{number}-{abs(hash(jwt))}.creds"
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{key('U', number).seed}\n------END USER NKEY SEED------\n\n"
    )
    return str(path)
