"""One process at a time: a lock that ends with the process that holds it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from segkit.base.errors import InputError
from segkit.base.files import naming


@contextmanager
def hold(path: Path, what: str, patience: float = 0.2) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; ``what`` names the work in messages.

    Raises InputError with the holder's process number if another process holds it for ``patience`` seconds (it may be a
    call of ``is_held``, which holds the lock for a moment). The kernel releases the lock (``flock``) when its holder
    ends, however it ends. The file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=patience, poll_interval=0.02)
    try:
        lock.acquire()
    except Timeout:
        holder = path.read_text(encoding="utf-8", errors="replace") or "unknown"
        raise InputError(
            f"process {holder} is already running {what}; wait for it, or stop it with 'kill {holder.split()[0]}' (its "
            "progress is kept), then run the same command again"
        ) from None
    try:
        with naming(path):
            path.write_text(f"{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock now."""
    try:
        with hold(path, "", patience=0):
            return False
    except InputError:
        return True
