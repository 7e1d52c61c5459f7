"""Account JWTs in a directory, a file each: ``<key>.jwt``, as nats-server's full and cache resolvers keep them."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator

from edge.core.jwt import ClaimsError, decode
from edge.core.nkeys import is_public
from edge.errors import StartError

SUFFIX = ".jwt"
DELETED = ".deleted"


class JwtDirectory:
    """``limit``: how many are kept (0: any number), ``ttl_ns`` for how long (0: for ever).  StartError where there can
    be no such directory."""

    def __init__(self, path: str, limit: int = 0, ttl_ns: int = 0) -> None:
        self.path = path
        self.limit = limit
        self.ttl_ns = ttl_ns
        try:
            os.makedirs(path, mode=0o750, exist_ok=True)
        except OSError as exc:
            raise StartError(f"cannot keep account JWTs in {path}: {exc.strerror}") from exc

    def load(self, key: str) -> str:
        """Empty where there is none."""
        if not is_public(key, "A"):
            return ""
        try:
            with open(self._file(key), encoding="ascii") as file:
                if self.ttl_ns and time.time_ns() - os.fstat(file.fileno()).st_mtime_ns > self.ttl_ns:
                    return ""
                return file.read().strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def save(self, key: str, jwt: str) -> None:
        """On disk when this returns, whole or not at all.  ClaimsError when it cannot be kept."""
        if self.limit and not os.path.exists(self._file(key)) and len(self.keys()) >= self.limit:
            raise ClaimsError("jwt store is full")
        beside = f"{self._file(key)}.new"
        try:
            with open(beside, "w", encoding="ascii") as file:
                file.write(jwt)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._file(key))
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as exc:
            raise ClaimsError(f"cannot write {self._file(key)}: {exc.strerror}") from exc

    def save_newer(self, key: str, jwt: str) -> None:
        """Unless the one that is here was issued later.  ClaimsError."""
        claims = decode(jwt)
        known = self.load(key)
        with contextlib.suppress(ClaimsError):
            if known and decode(known).issued_at > claims.issued_at:
                return
        if known != jwt:
            self.save(key, jwt)

    def delete(self, key: str, hard: bool) -> None:
        """Away, or (not ``hard``) out of the way, under another name.  ClaimsError where there is none."""
        try:
            if hard:
                os.unlink(self._file(key))
            else:
                os.replace(self._file(key), self._file(key) + DELETED)
        except OSError as exc:
            raise ClaimsError(f"{key}: {exc.strerror}") from exc

    def keys(self) -> list[str]:
        try:
            names = os.listdir(self.path)
        except OSError:
            return []
        found = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
        return sorted(key for key in found if is_public(key, "A"))

    def packs(self) -> Iterator[str]:
        """``key|jwt`` of each account."""
        for key in self.keys():
            if jwt := self.load(key):
                yield f"{key}|{jwt}"

    def hash(self) -> bytes:
        """The same for the same JWTs: the digests of all, one over the other."""
        total = 0
        for key in self.keys():
            total ^= int.from_bytes(hashlib.sha256(self.load(key).encode()).digest(), "big")
        return total.to_bytes(32, "big")

    def _file(self, key: str) -> str:
        return os.path.join(self.path, key + SUFFIX)


# ---- resolvers


class MemoryResolver:
    """What the configuration holds."""

    def __init__(self, jwts: dict[str, str]) -> None:
        self.jwts = jwts

    def fetch(self, key: str, answer: Callable[[str], object]) -> None:
        answer(self.jwts.get(key, ""))

    def known(self) -> list[str]:
        return list(self.jwts)


class DirectoryResolver:
    """Every account there is."""

    def __init__(self, directory: JwtDirectory) -> None:
        self.directory = directory

    def fetch(self, key: str, answer: Callable[[str], object]) -> None:
        answer(self.directory.load(key))

    def known(self) -> list[str]:
        return self.directory.keys()
