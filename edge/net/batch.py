"""Work for a later turn of the loop, as a batch of its own: whoever it touched is flushed at its end."""

import asyncio
from collections.abc import Callable

from edge.core.router import Router

Call = Callable[[], None]


def soon(router: Router) -> Callable[[Call], None]:
    """From this thread."""
    loop = asyncio.get_running_loop()

    def later(call: Call) -> None:
        loop.call_soon(run, router, call)

    return later


def soon_threadsafe(router: Router) -> Callable[[Call], None]:
    """From another one."""
    loop = asyncio.get_running_loop()

    def later(call: Call) -> None:
        try:
            loop.call_soon_threadsafe(run, router, call)
        except RuntimeError:
            if not loop.is_closed():  # a start that failed leaves nobody to be told
                raise

    return later


def run(router: Router, call: Call) -> None:
    call()
    router.flush()
