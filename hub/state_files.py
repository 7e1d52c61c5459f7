"""Files of the hub's state directory: replaced atomically, readable by their owner only."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.errors import HubError


def replace_file(path: Path, content: str) -> None:
    """Put `content` at `path` with mode 0600 so that a power cut leaves the old file or the new.

    The mode is set when the file is made: its passwords are at no moment readable by others.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(fresh, path)
    fsync_directory(path.parent)


def fsync_directory(path: Path) -> None:
    """Make names created, renamed or removed in `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def private_directory(path: Path) -> Path:
    """Create `path` (0700) where it does not exist; answers it absolute, as processes need it."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise HubError(f"{path}: cannot be used as state directory: {exc.strerror}") from exc
    if not os.access(path, os.W_OK | os.X_OK):
        raise HubError(f"{path}: no permission to write; name another directory with --dir")
    return path


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep a second `up` or `down` out of the same directory while this one works."""
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubError(f"{directory}: another petiole-hub up or down is at work; try again") from None
        yield
    finally:
        os.close(fd)
