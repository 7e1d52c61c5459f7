"""All sessions of a server: by account and client id, one connection each, the persistent ones in the store."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from edge.core.account import Account
from edge.core.mqtt_session import Session
from edge.core.router import Router
from edge.core.values import Done, Values
from edge.errors import PetioleError, StoreError

log = logging.getLogger("edge.mqtt")

PREFIX = "mqtt.session "
MAX_PERSISTENT = 10_000


class Opened(NamedTuple):
    """``is_present``: its state is of an earlier connection.  ``has_dropped``: one in the store is to go: commit."""

    session: Session
    is_present: bool
    has_dropped: bool


class TooManySessions(PetioleError):
    """No room for one more persistent session."""


class Sessions:
    def __init__(self, router: Router, values: Values, found: Mapping[str, bytes], max_unacked: int) -> None:
        self.values = values
        self.max_unacked = max_unacked
        self.sessions: dict[tuple[str, str], Session] = {}
        self.stored: set[tuple[str, str]] = set()
        for key, value in found.items():
            if key.startswith(PREFIX):
                account, _, client_id = key[len(PREFIX) :].partition(" ")
                self._restore(router.account(account), client_id, value)

    def get(self, account: Account, client_id: str) -> Session | None:
        return self.sessions.get((account.name, client_id))

    def open(self, account: Account, client_id: str, clean: bool) -> Opened:
        """After the connection that had it is gone.  TooManySessions where this would be one more to keep."""
        key = (account.name, client_id)
        old = self.sessions.get(key)
        if old is not None and not clean:
            return Opened(old, True, False)
        if old is not None:
            old.end()
        elif not clean and len(self.stored) >= MAX_PERSISTENT:
            raise TooManySessions(f"{MAX_PERSISTENT} persistent sessions are the most that are kept")
        session = self.sessions[key] = self._make(account, client_id, clean)
        if not clean:
            self.save(session, _nobody_waits, urgent=False)
            return Opened(session, False, False)
        if key not in self.stored:
            return Opened(session, False, False)
        self.stored.discard(key)
        self.values.drop_value(_name(key))
        return Opened(session, False, True)

    def close(self, session: Session) -> None:
        """Its connection is gone."""
        session.detach()
        key = (session.account.name, session.client_id)
        if session.clean and self.sessions.get(key) is session:
            del self.sessions[key]

    def save(self, session: Session, done: Done, urgent: bool = True) -> None:
        """What a persistent session is subscribed to, durably."""
        key = (session.account.name, session.client_id)
        self.stored.add(key)
        filters = {held.text: held.qos for held in session.filters.values()}
        self.values.put_value(_name(key), json.dumps(filters).encode())
        self.values.commit(done, urgent)

    def _make(self, account: Account, client_id: str, clean: bool) -> Session:
        say = partial(log.warning, "mqtt client %r: %s", client_id)
        return Session(account, client_id, clean, self.max_unacked, say)

    def _restore(self, account: Account, client_id: str, value: bytes) -> None:
        session = self._make(account, client_id, False)
        try:
            for text, qos in json.loads(value).items():
                session.remember(text, qos)
        except (ValueError, AttributeError, PetioleError) as exc:
            log.error("mqtt: the session of %r cannot be read and begins anew: %s", client_id, exc)
            return
        key = (account.name, client_id)
        self.sessions[key] = session
        self.stored.add(key)


def _name(key: tuple[str, str]) -> str:
    account, client_id = key
    return f"{PREFIX}{account} {client_id}"


def _nobody_waits(error: StoreError | None) -> None:
    """Without its note an empty session is not present after a restart: no promise was made of it."""
