"""An owner of a store, as the event loop is one, that waits for what it was promised."""

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import StoreError
from edge.store.contract import Store
from edge.store.sqlite import SqliteStore


class Owner:
    """The thread that owns a store: callbacks wait here until it looks."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.told: list[tuple[str, StoreError | None]] = []
        self.opened: list[SqliteStore] = []

    def open(self, folder: Path, window_ns: int = 10_000_000) -> SqliteStore:
        store = SqliteStore(str(folder), self.calls.put, window_ns)
        self.opened.append(store)
        return store

    def commit(self, store: Store, name: str = "", urgent: bool = True) -> None:
        store.commit(lambda error: self.told.append((name, error)), urgent)

    def wait(self, count: int = 1) -> list[tuple[str, StoreError | None]]:
        """Until so many commits were told of."""
        while len(self.told) < count:
            self.calls.get(timeout=60)()
        told, self.told = self.told, []
        return told

    def committed(self, store: Store) -> None:
        self.commit(store)
        assert self.wait() == [("", None)]

    def refused(self, store: Store) -> StoreError:
        self.commit(store)
        ((_, error),) = self.wait()
        assert error is not None
        return error

    def close(self, store: SqliteStore) -> None:
        self.opened.remove(store)
        store.close()


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    for store in owner.opened:
        store.close()


@pytest.fixture
def make_rows() -> Callable[..., list[Any]]:
    """Rows whose payload says which one they are."""

    def rows(*seqs: int, subject: str = "a.b", size: int = 0) -> list[Any]:
        return [
            (seq, subject, 1000 + seq, b"NATS/1.0\r\nK: V\r\n\r\n" if seq % 2 else b"", b"payload %d" % seq + b"." * size)
            for seq in seqs
        ]

    return rows
