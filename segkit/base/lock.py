"""One writer at a time: a lock that ends with the process that holds it."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from segkit.base.errors import InputError


@contextmanager
def hold(path: Path, what: str, patience: float = 0.2) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs.

    what: names the work for another process that comes meanwhile; it gets InputError with the holder's process
    number after ``patience`` seconds, for the holder may be ``is_held``, which only looks. The kernel gives the lock
    (``flock``) back when its holder ends, however it ends, so none is left over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, what, patience) as file:
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
        with hold(path, "", patience=0):
            return False
    except InputError:
        return True


def _locked(path: Path, what: str, patience: float) -> IO[str]:
    deadline = time.monotonic() + patience
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (closed by the caller)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "unknown"
            file.close()
            if time.monotonic() < deadline:
                time.sleep(patience / 10)
                continue
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
