"""A file that holds room on the disk, so that acks and deletes go on when messages no longer fit."""

import logging
import os

log = logging.getLogger("edge.store")

# The log's 16 MB may all be pages that the database has yet to grow by; the rest is for acks.
RESERVE_BYTES = 24 << 20
TINY_BYTES = 1 << 20


class Reserve:
    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = os.path.join(folder, "reserve")
        self.whole = False

    def free_bytes(self) -> int:
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def is_spent(self) -> bool:
        """Is nothing left on the disk to speak of?"""
        return self.free_bytes() < TINY_BYTES

    def take(self) -> bool:
        """Hold the room (again), if the disk has as much once more; is it held?"""
        if not self.whole and (self._size() == RESERVE_BYTES or self.free_bytes() > 2 * RESERVE_BYTES):
            self.whole = self._fill(RESERVE_BYTES)
        return self.whole

    def release(self) -> None:
        self.whole = False
        if os.path.exists(self.path):
            os.unlink(self.path)

    def keep_some(self) -> None:
        """Before the end: what the next start needs to open the store, however full the disk is by then."""
        if not os.path.exists(self.path):
            self._fill(TINY_BYTES)

    def _size(self) -> int:
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def _fill(self, size: int) -> bool:
        try:
            with open(self.path, "ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as exc:
            log.warning("store: no room for the reserve: %s", exc)
            self.release()
            return False
        return True
