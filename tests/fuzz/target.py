"""What is fuzzed, and what must hold for any input."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

# Each target by name, with the packages whose branches guide the search for inputs.
TARGETS = {
    "params": ("segkit", "yaml"),
    "images": ("segkit", "PIL"),
    "own": ("segkit", "PIL"),
    "lists": ("segkit",),
    "checkpoint": ("segkit",),
    "archive": ("segkit", "tarfile", "gzip"),
}
SLOWEST = 20  # seconds that an input may take; a machine may be busy, what must not be is minutes


@dataclass(frozen=True)
class Target:
    """A reader and what its contract allows."""

    seeds: Callable[[], list[bytes]]  # small inputs that the reader accepts
    run: Callable[[bytes, Path], object]  # hand an input to the reader, with an empty folder for its files
    refusal: type[Exception]  # the only exception that may come out
    longest: int  # characters of its message
    max_len: int  # bytes of an input
    memory: int  # MiB that the process may take, Python and its packages included
    words: tuple[str, ...] = ()  # that are worth inserting


def load(name: str) -> Target:
    """The target of that name."""
    return import_module(f"tests.fuzz.{name}").TARGET


def hold(target: Target, content: bytes, folder: Path) -> bool:
    """Hand ``content`` to the target's reader; whether it was accepted. Raises whatever breaks the contract.

    ``folder`` is empty, and is again afterwards.
    """
    started = time.perf_counter()
    accepted = True
    with _confined(folder):
        try:
            target.run(content, folder)
        except target.refusal as refusal:
            accepted = False
            message = str(refusal)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not accepted:
        shown = message.replace(str(folder), "")
        assert shown and shown.isprintable(), f"not one printable line: {shown!r}"
        assert len(shown) <= target.longest, f"a message of {len(shown)} characters: {shown!r}"
    seconds = time.perf_counter() - started
    assert seconds < SLOWEST, f"it took {seconds:.1f} s"
    return accepted


_FORBIDDEN = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "pty.spawn"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class", "ctypes.dlopen"),
)
_CHANGES = (
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "shutil.rmtree", "shutil.move"),
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_folder: str | None = None  # the one that may be written to; None while nothing is watched
_trespasses: list[str] = []


@contextmanager
def _confined(folder: Path) -> Iterator[None]:
    """Raises AssertionError where the block starts a program, uses the network or writes outside ``folder``."""
    global _folder
    _watch()
    _trespasses.clear()
    _folder = os.path.realpath(folder)
    try:
        yield
    finally:
        _folder = None
        assert not _trespasses, f"it did what no reader may: {_trespasses[:3]}"


def _watch() -> None:
    """Have Python report what is opened and started; there is no way to end that, so it is asked for once."""
    if not hasattr(sys, "_segkit_watched"):
        sys._segkit_watched = True
        sys.addaudithook(_on_event)


def _on_event(event: str, details: tuple) -> None:
    # To raise here would not do: a reader may catch it, like anything that comes of a bad file.
    if _folder is None:
        return
    if event in _FORBIDDEN:
        _trespasses.append(f"{event} {details!r:.200}")
    elif event == "open":
        path, _, flags = details
        if isinstance(path, str | bytes | os.PathLike) and flags & _WRITES and _is_outside(path):
            _trespasses.append(f"writes {path!r:.200}")
    elif event in _CHANGES:
        paths = [path for path in details[:2] if isinstance(path, str | bytes | os.PathLike)]
        if any(_is_outside(path) for path in paths):
            _trespasses.append(f"{event} {details!r:.200}")


def _is_outside(path: str | bytes | os.PathLike) -> bool:
    return not os.path.abspath(os.fsdecode(path)).startswith(f"{_folder}{os.sep}")
