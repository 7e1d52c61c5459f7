"""Small facts kept under a name, as whoever keeps them here needs it of a store."""

from collections.abc import Callable
from typing import Protocol

from edge.errors import StoreError

Done = Callable[[StoreError | None], None]


class Values(Protocol):
    """Writes are durable with the ``commit`` that follows them, and in their order; ``done`` is called after it.

    What is put and not committed goes with the next commit of anybody.
    """

    def put_value(self, key: str, value: bytes) -> None: ...
    def drop_value(self, key: str) -> None: ...
    def commit(self, done: Done, urgent: bool = True) -> None: ...
