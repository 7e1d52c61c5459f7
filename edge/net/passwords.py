"""bcrypt in a thread of its own: one comparison takes a tenth of a second of a core."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

MAX_WAITING = 256  # comparisons; more than that are refused: a flood of logins must not hold memory or hours


class Passwords:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")
        self.waiting = 0

    def check(self, password: str, hashed: str, verdict: Callable[[bool], None]) -> None:
        """Call ``verdict`` in a later turn of the loop, or now when too many wait already."""
        if self.waiting >= MAX_WAITING:
            verdict(False)
            return
        self.waiting += 1

        def done(future: "asyncio.Future[bool]") -> None:
            self.waiting -= 1
            if not future.cancelled():
                verdict(future.exception() is None and future.result())

        self.loop.run_in_executor(self.thread, compare, password, hashed).add_done_callback(done)

    def close(self) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)


def compare(password: str, hashed: str) -> bool:
    """As nats-server: bytes after the 72 that bcrypt takes do not count."""
    import bcrypt

    data = password.encode("utf-8", "surrogateescape")[:72]
    return bcrypt.checkpw(data, hashed.replace("$2y$", "$2b$", 1).replace("$2x$", "$2b$", 1).encode())
