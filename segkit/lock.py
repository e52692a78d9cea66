"""One writer at a time: a lock that ends with the process that holds it."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from segkit.errors import InputError


@contextmanager
def hold(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs.

    what: names the work for another process that comes meanwhile; it gets InputError with the holder's process
    number. The kernel gives the lock (``flock``) back when its holder ends, however it ends, so none is left over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, what) as file:
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock now."""
    try:
        with hold(path, ""):
            return False
    except InputError:
        return True


def _locked(path: Path, what: str) -> IO[str]:
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed by the caller)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "unknown"
            file.close()
            raise InputError(
                f"process {holder} is at work on {what}; wait until it has ended, or end it with "
                f"'kill {holder.split()[0]}' (it keeps what it has done), then run the same command again"
            ) from None
        if _is_still(path, file):
            return file
        file.close()  # its holder removed it between our two calls


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
