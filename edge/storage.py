"""What is on disk, and the streams over it.  Imported only where there is JetStream."""

import asyncio
import logging
import time
from collections.abc import Iterable

from edge.config.options import JetStream as Options
from edge.core.router import Router
from edge.core.times import Clock
from edge.core.wall_clock import KEY, WallClock
from edge.jetstream.account import Stores
from edge.jetstream.disabled import Disabled
from edge.jetstream.jetstream import JetStream
from edge.jetstream.limits import Limits, ServerLimits
from edge.jetstream.retention import nobody_waits
from edge.net.batch import soon, soon_threadsafe
from edge.net.machine_clock import MachineClock
from edge.net.ticker import Ticker
from edge.store.memory import MemoryStore
from edge.store.sqlite import SqliteStore

log = logging.getLogger("edge")


class Storage:
    """``accounts``: which of them have JetStream, with their limits.  StoreError when there can be no store."""

    def __init__(
        self, router: Router, options: Options, server_name: str, accounts: Iterable[tuple[str, Limits]]
    ) -> None:
        self.router = router
        self.store = SqliteStore(options.store_dir, soon_threadsafe(router), options.commit_window_ns)
        self.ticker = Ticker(asyncio.get_running_loop(), router)
        self.wall_clock = WallClock(MachineClock(), self._keep_time)
        clock = Clock(self.wall_clock.wall, time.monotonic_ns, self.ticker.wake)
        stores = Stores(self.store, MemoryStore(soon(router)))
        self.jetstream = JetStream(stores, clock, options.domain, server_name)
        self.limit(options, accounts)
        found = self.store.load()
        self.values = found.values
        log.info("Starting JetStream")
        log.info("  Store Directory: \"%s\" (%s)", options.store_dir, found.engine)
        for line in found.damage:
            log.error("  %s", line)
        self.jetstream.recover(found)
        self.wall_clock.start(found.values.get(KEY), self._latest_stamp())
        self.clock_ticker = Ticker(asyncio.get_running_loop(), router)
        self.clock_ticker.start(self.wall_clock)
        self.jetstream.start()
        Disabled(router, self.jetstream.accounts).start()
        self.ticker.start(self.jetstream)

    def limit(self, options: Options, accounts: Iterable[tuple[str, Limits]]) -> None:
        """What holds from now on; accounts that have none yet get it."""
        self.jetstream.limits = ServerLimits(
            options.max_file_bytes, options.max_memory_bytes, options.max_ack_pending, options.max_request_batch,
            options.max_window_ns,
        )  # fmt: skip
        for name, limits in accounts:
            known = self.jetstream.accounts.get(name)
            if known is None:
                self.jetstream.add_account(self.router.account(name), limits)
            else:
                known.limits = limits

    def _keep_time(self, value: bytes) -> None:
        self.store.put_value(KEY, value)
        self.store.commit(nobody_waits, False)

    def _latest_stamp(self) -> int:
        """Of what was stamped here."""
        streams = [stream for account in self.jetstream.accounts.values() for stream in account.streams.values()]
        return max((stream.last_ns for stream in streams if stream.config.mirror is None), default=0)

    def close(self) -> None:
        self.clock_ticker.stop()
        self.ticker.stop()
        self.jetstream.settle()
        self.store.close()
