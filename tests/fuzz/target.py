"""What is fuzzed: a parser, bytes for it, and what it may do with them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

Take = Callable[[bytes], bool]  # one piece; False: it wants no more


class Target(NamedTuple):
    """``run`` returns whatever the bytes are: errors that are declared it catches, any other is a finding.

    ``open`` for what comes in pieces without end.  ``seeds`` are good inputs, ``words`` what they are made of.
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...]
    open: Callable[[], Take] | None = None


def stream(open: Callable[[], Take], seeds: tuple[bytes, ...], words: tuple[bytes, ...]) -> Target:
    """The first byte says into how large pieces the rest is cut."""

    def run(data: bytes) -> None:
        take = open()
        for piece in pieces(data):
            if not take(piece):
                return

    return Target(run, tuple(b"\x00" + seed for seed in seeds), words, open)


def pieces(data: bytes) -> Iterator[bytes]:
    """0: all at once."""
    step = (data[0] if data else 0) or len(data) + 1
    for at in range(1, len(data), step):
        yield data[at : at + step]
