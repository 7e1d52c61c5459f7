"""What keeps the process small, and quick where that costs nothing.

OpenSSL stays out of a process that encrypts nothing.  asyncio and uvloop import ``ssl`` whether TLS is used or not:
4.4 MB of memory and 10 ms of every start on a machine that has little of both.  While they are imported a placeholder
stands where the module would be; afterwards whoever imports ``ssl`` gets the real one, only asyncio's transports have
no TLS in this process.
"""

import sys
import types


class Placeholder(types.ModuleType):
    """Has whatever is asked of it: names that are bound at import and never used."""

    def __getattr__(self, name: str) -> type | int:
        if name.startswith("__"):
            raise AttributeError(name)
        return 0 if name.isupper() else type(name, (OSError,), {})


def import_loop_without_tls() -> None:
    """Before anything else imports asyncio.  Without effect when ``ssl`` is loaded already."""
    if "ssl" in sys.modules:
        return
    sys.modules["ssl"] = Placeholder("ssl")
    try:
        import asyncio
        import asyncio.sslproto  # noqa: F401

        import uvloop  # noqa: F401
    finally:
        del sys.modules["ssl"]


def keep_freed_heap(size: int = 1 << 20) -> None:
    """Up to twice ``size`` of freed memory stays with the process.

    glibc gives back what is free above 128 KB at once.  What a read chunk is turned into is more than that: the same
    pages would be given back and asked for thousands of times a second, which halves the rate of a fan-out.  The limits
    rise by themselves with the first large block that is freed (mallopt(3), M_MMAP_THRESHOLD): this one.
    """
    block = bytearray(size)
    del block
