"""The state of an unfinished training: saved while it runs, loaded by the next run of the same training."""

import hashlib
import io
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any

import torch
from torch import Tensor

from segkit.base.files import atomic_write, remove
from segkit.base.lock import hold, is_held
from segkit.base.workspace import kept

KEEP = 3  # unfinished trainings of one network, besides those that run
DIGEST = hashlib.sha256().digest_size


class SavedState:
    """One file, ``.segkit/training/NAME-FINGERPRINT.state``: what ``torch.save`` writes, the fingerprint (SHA-256 of
    configuration, data and code), and the SHA-256 of both."""

    def __init__(self, name: str, fingerprint: str) -> None:
        self.path = kept() / "training" / f"{name}-{fingerprint[:16]}.state"
        self.lock = kept() / "locks" / self.path.stem
        self._fingerprint = bytes.fromhex(fingerprint)
        self._what = f"the training of {name} with these parameters"

    @contextmanager
    def held(self) -> Iterator["SavedState"]:
        """Keep other processes from using it meanwhile (else InputError), and delete all but the latest states of
        other trainings."""
        with hold(self.lock, self._what):
            self._prune()
            yield self

    def read(self) -> bytes | None:
        """What was saved, for ``parse``; None if there is nothing. A file that is damaged or belongs to another
        training is reported, and None is returned."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        payload, fingerprint = content[: -2 * DIGEST], content[-2 * DIGEST : -DIGEST]
        if len(content) <= 2 * DIGEST or hashlib.sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
            return self.reject("is damaged")
        if fingerprint != self._fingerprint:
            return self.reject("belongs to another training")
        return payload

    def reject(self, fault: str) -> None:
        """Say why the file is not used."""
        print(f"{self.path} {fault}; this training starts over", flush=True)

    def write(self, state: dict[str, Any]) -> None:
        """Write tensors and plain values, nested in dicts and lists, atomically."""
        with atomic_write(self.path) as file:
            hashing = _Hashing(file)
            try:
                torch.save(state, hashing)
            except RuntimeError:
                if hashing.fault:  # torch replaces it by an error of its own
                    raise hashing.fault from None
                raise
            hashing.write(self._fingerprint)
            file.write(hashing.sha256.digest())

    def remove(self) -> None:
        """Delete it, unless another process uses it by now."""
        if not is_held(self.lock):
            remove(self.path)

    def _prune(self) -> None:
        name = self.path.name.rpartition("-")[0]
        others = [path for path in self.path.parent.glob(f"{name}-*.state") if path != self.path]
        free = [path for path in others if not is_held(self.lock.with_name(path.stem))]
        for path in sorted(free, key=lambda path: path.stat().st_mtime)[:-KEEP]:
            remove(path)
        for partial in self.path.parent.glob(f".{name}-*.partial"):  # of a run that was killed while it saved
            if not is_held(self.lock.with_name(partial.name[1:].partition(".")[0])):
                remove(partial)


def parse(content: bytes) -> dict[str, Any]:
    """What ``SavedState.write`` was given, with tensors on the CPU; only tensors and plain values are read."""
    return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


class Saver:
    """Writes states in a thread, one at a time, and says when the next is due."""

    def __init__(self, saved: SavedState, seconds: float) -> None:
        self._saved, self._seconds = saved, seconds
        self._pool = ThreadPoolExecutor(1)
        self._running: Future | None = None
        self._last = time.monotonic()

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def due(self) -> bool:
        """Whether ``seconds`` have passed since the last save, and that one is written."""
        if self._running and self._running.done():
            self.wait()  # a failure is raised soon, not at the next save
        return self._running is None and time.monotonic() - self._last >= self._seconds

    def save(self, state: dict[str, Any]) -> None:
        """Copy ``state`` and write it in the background; raises OSError if the previous save failed."""
        self.wait()
        self._running = self._pool.submit(self._saved.write, snapshot(state))
        self._last = time.monotonic()

    def wait(self) -> None:
        """Wait until the last save is on the disk; raises OSError if it failed."""
        if self._running:
            running, self._running = self._running, None
            running.result()


def snapshot(state: Any) -> Any:
    """A copy on the CPU that later steps do not change."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: snapshot(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [snapshot(value) for value in state]
    return state


class _Hashing:
    """A file object for ``torch.save`` that computes the SHA-256 and keeps the first OSError."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sha256 = file, hashlib.sha256()
        self.flush = file.flush
        self.fault: OSError | None = None

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        try:
            return self._file.write(data)
        except OSError as fault:
            self.fault = fault
            raise
