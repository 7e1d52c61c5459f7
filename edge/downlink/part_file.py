"""A file that is being fetched: what has come is on disk before it counts, and it is in its place when it is whole.

Everything here may wait for the disk: it is called in a thread of its own.
"""

import errno
import os
import sys
from importlib import import_module
from typing import Any

from edge.errors import PetioleError
from edge.store.files import make_folder, sync_folder

FOLDER = ".petiole-parts"
SLICE = 1 << 18
MARGIN = 16 << 20  # bytes of the disk that are left to others


class PartFile:
    """``folder``: where files go; ``nuid`` names this version of the object."""

    def __init__(self, folder: str, nuid: str, size: int) -> None:
        self.folder = folder
        self.size = size
        self.path = os.path.join(folder, FOLDER, nuid)
        self.file = -1
        self.bytes = 0
        self.is_placed = False
        self.hash = _sha256()

    def open(self, known: int, keep: set[str], path: str, digest: bytes) -> None:
        """Go on behind the first ``known`` bytes; parts of others than ``keep`` are thrown away.  OSError: not now.
        ``path`` and ``digest`` as for ``finish``: the power may have gone just behind it."""
        if known == self.size and not os.path.exists(self.path) and self._is_there(path, digest):
            self.bytes, self.is_placed = known, True
            return
        parts = os.path.dirname(self.path)
        make_folder(parts)
        for name in os.listdir(parts):
            if name not in keep:
                os.unlink(os.path.join(parts, name))
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        known = known if known <= os.fstat(self.file).st_size else 0
        os.ftruncate(self.file, known)
        self._want_room(self.size - known)
        while self.bytes < known:
            data = os.read(self.file, min(SLICE, known - self.bytes))
            self.hash.update(data)
            self.bytes += len(data)

    def write(self, chunk: bytes) -> None:
        """Durable on return.  OSError: not now; PetioleError: it is not what it should be."""
        if self.bytes + len(chunk) > self.size:
            raise PetioleError("the hub has more of it than it says")
        self._want_room(self.size - self.bytes)  # others write too
        view = memoryview(chunk)
        while view:
            view = view[os.write(self.file, view) :]
        os.fdatasync(self.file)
        self.hash.update(chunk)
        self.bytes += len(chunk)

    def finish(self, path: str, digest: bytes) -> None:
        """Into its place.  PetioleError, and nothing is left: it is not what it should be."""
        if self.is_placed:
            return
        if self.hash.digest() != digest:
            self.close()
            os.unlink(self.path)
            raise PetioleError("what came has another digest")
        os.fsync(self.file)
        target = os.path.join(self.folder, path)
        make_folder(os.path.dirname(target))
        os.rename(self.path, target)
        sync_folder(os.path.dirname(target))
        self.close()

    def _want_room(self, size: int) -> None:
        space = os.fstatvfs(self.file)
        if space.f_bavail * space.f_frsize < size + MARGIN:
            raise OSError(errno.ENOSPC, f"the disk has no room for {size} bytes more")

    def _is_there(self, path: str, digest: bytes) -> bool:
        found = _sha256()
        try:
            with open(os.path.join(self.folder, path), "rb") as file:
                while data := file.read(SLICE):
                    found.update(data)
        except FileNotFoundError:
            return False
        return bool(found.digest() == digest)

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


def _sha256() -> Any:
    """Without OpenSSL, which hashlib would bring into a process that encrypts nothing."""
    return import_module("_sha2" if sys.version_info >= (3, 12) else "_sha256").sha256()
