"""Signals that ask a process to end: Ctrl-C, ``kill``, a closed terminal."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked this process to end. The message is one line, ``status`` the exit status: 128 + signal."""

    def __init__(self, number: int, message: str = "", again: str = "run the same command again to resume") -> None:
        name = {signal.SIGINT: "interrupted"}.get(number, f"ended by {signal.Signals(number).name}")
        super().__init__(f"{name}{message}; {again}")
        self.status = 128 + number


class Stop:
    """A pending signal; ``number`` is 0 until one arrives."""

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def raised(again: str = "run the same command again to resume") -> Iterator[None]:
    """While the block runs, a signal raises ``Interrupted`` in the main thread; ``again``: how to go on."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, "; finished files are kept", again)

    with _handled(handle):
        yield


@contextmanager
def deferred(*, patient: bool = False) -> Iterator[Stop]:
    """Within the block a signal only marks the yielded ``Stop``; a second has its former effect, unless ``patient``."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.number and not patient:
            signal.signal(number, before[number])
            os.kill(os.getpid(), number)
        stop.number = stop.number or number

    with _handled(handle) as before:
        yield stop


@contextmanager
def _handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[dict[int, Any]]:
    """Install ``handle`` for every signal that is not ignored (as under nohup); yields the former handlers."""
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, handle)
        yield before
    finally:
        for number, former in before.items():
            signal.signal(number, former)
