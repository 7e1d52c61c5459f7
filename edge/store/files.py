"""Files that are there whole or not at all, whenever the power goes."""

import os


def replace_file(path: str, content: bytes, mode: int = 0o640) -> None:
    """Put ``content`` in the place of whatever is at ``path``; durable on return.  OSError: the old file stands."""
    beside = f"{path}.new"
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(file, mode)
        with open(file, "wb", closefd=False) as stream:
            stream.write(content)
        os.fsync(file)
        os.rename(beside, path)
    except OSError:
        os.unlink(beside)
        raise
    finally:
        os.close(file)
    sync_folder(os.path.dirname(path))


def make_folder(path: str, mode: int = 0o750) -> None:
    """With the folders above it; an entry is durable once the folder it stands in is synced."""
    path = os.path.abspath(path)
    missing = []
    while not os.path.exists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        os.mkdir(folder, mode)
        sync_folder(os.path.dirname(folder))


def sync_folder(path: str) -> None:
    folder = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
