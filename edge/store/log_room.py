"""Room in SQLite's log ahead of what is written, and its checkpoints.

A sync of a file that grows also has to sync the file system's own records of it: on ext4 half as much time again, and
on flash more wear than the message itself.  So for small commits that somebody waits for the log is made longer a step
ahead, with zeros, which SQLite takes for its end.  What has been made long once stays: after a checkpoint the log is
written anew from its beginning.  Large commits have no use for it, and what nobody waits for is not worth the bytes.
"""

import os
from contextlib import suppress

import apsw

CHECKPOINT_FRAMES = 4000  # 16 MB, as in ``database.WRITER_PRAGMAS``
HEADER, FRAME = 32, 24 + 4096
SMALL = 4  # frames of a commit
STEP = 128  # pages, each by itself: what is written at once the kernel keeps, and counts as written, as one
PAGE = 4096


class LogRoom:
    """Of the connection that writes, on its thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.path = connection.filename_wal
        self.frames = self.last_commit = 0
        self.end = 0  # bytes that the log is known to have
        connection.set_wal_hook(self._committed)

    def _committed(self, connection: apsw.Connection, database: str, frames: int) -> int:
        """Instead of ``wal_autocheckpoint``, which is such a hook too."""
        if frames < self.frames:  # from its beginning, and it may have been cut short
            self.frames = self.end = 0
        self.last_commit, self.frames = frames - self.frames, frames
        if frames >= CHECKPOINT_FRAMES:
            with suppress(apsw.Error):  # a reader is in the way: with one of the next commits
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return apsw.SQLITE_OK

    def grow(self) -> None:
        """After a commit: for the next one, if that is alike."""
        wanted = HEADER + (self.frames + SMALL) * FRAME
        if self.last_commit > SMALL or wanted <= self.end or self.frames >= CHECKPOINT_FRAMES:
            return
        with suppress(OSError):  # no room
            log = os.open(self.path, os.O_WRONLY)
            try:
                self.end = os.fstat(log).st_size
                for _ in range(STEP if self.end < wanted else 0):
                    self.end += os.pwrite(log, bytes(PAGE - self.end % PAGE), self.end)
            finally:
                os.close(log)
