"""Retained messages: the last one of each topic that was published with RETAIN, for whoever subscribes later."""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from edge.core.values import Done, Values
from edge.errors import StoreError
from edge.subjects import is_wildcard, matches

log = logging.getLogger("edge.mqtt")

PREFIX = "mqtt.retained "
MAX_MESSAGES = 10_000
MAX_BYTES = 16 << 20  # of all payloads: they are held in memory


class Retained(NamedTuple):
    subject: str
    payload: bytes
    qos: int


class RetainedMessages:
    """In memory at once, in the store with the next commit; a commit that fails takes them back."""

    def __init__(self, values: Values, found: Mapping[str, bytes]) -> None:
        self.values = values
        self.current: dict[str, dict[str, Retained]] = {}  # account -> subject -> message
        self.committed: dict[str, Retained] = {}  # by the store's key
        self.messages = self.bytes = 0
        for key, value in found.items():
            if key.startswith(PREFIX) and value:
                account, _, subject = key[len(PREFIX) :].partition(" ")
                self.committed[key] = Retained(subject, value[1:], value[0])
                self._set(account, subject, self.committed[key])

    def put(self, account: str, message: Retained, done: Done) -> bool:
        """Keep it in the place of the one before; an empty payload takes that away.  ``done`` after the commit.

        False where the bounds are reached: it is not kept, ``done`` is not called.
        """
        subject = message.subject
        old = self.current.get(account, {}).get(subject)
        if message.payload:
            size = self.bytes + len(message.payload) - (len(old.payload) if old else 0)
            if size > MAX_BYTES or (old is None and self.messages >= MAX_MESSAGES):
                return False
        key = f"{PREFIX}{account} {subject}"
        kept = message if message.payload else None
        self._set(account, subject, kept)
        if kept is not None:
            self.values.put_value(key, bytes((message.qos,)) + message.payload)
        else:
            self.values.drop_value(key)
        self.values.commit(partial(self._committed, account, key, message, done), urgent=message.qos > 0)
        return True

    def matching(self, account: str, pattern: str) -> Iterator[Retained]:
        kept = self.current.get(account, {})
        if not is_wildcard(pattern):
            if pattern in kept:
                yield kept[pattern]
            return
        for subject, message in list(kept.items()):
            if matches(pattern, subject):
                yield message

    def _committed(self, account: str, key: str, message: Retained, done: Done, error: StoreError | None) -> None:
        if error is not None:
            self._set(account, message.subject, self.committed.get(key))
            log.error("mqtt: the retained message of %s is not kept: %s", message.subject, error)
        elif message.payload:
            self.committed[key] = message
        else:
            self.committed.pop(key, None)
        done(error)

    def _set(self, account: str, subject: str, message: Retained | None) -> None:
        kept = self.current.setdefault(account, {})
        old = kept.pop(subject, None)
        if old is not None:
            self.messages -= 1
            self.bytes -= len(old.payload)
        if message is not None:
            kept[subject] = message
            self.messages += 1
            self.bytes += len(message.payload)
