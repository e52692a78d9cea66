"""How every command ends: exit 0, or one clear line on stderr and exit 2; a traceback on request."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from segkit.base import interrupts
from segkit.base.errors import InputError, one_line


def run_command(name: str, work: Callable[[], object]) -> int:
    """Call ``work`` and turn what it raises into an exit status.

    Returns 0 on success, 2 on bad input, 130 after Ctrl-C, 143 after SIGTERM. Anything else is a bug of ours and is
    raised.
    A file system that refuses and a device without memory count as bad input. With ``SEGKIT_DEBUG=1`` bad input is
    raised too, so that its traceback shows. A reader that has closed its pipe (``| head``) is no fault: what is printed
    after that goes nowhere, and the work goes on.
    """
    with _unbreakable_output():
        return _run(name, work)


def _run(name: str, work: Callable[[], object]) -> int:
    try:
        with interrupts.raised():
            work()
        sys.stdout.flush()  # a full disk is told here
    except InputError as error:
        if _debug():
            raise
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if _debug():
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error
        print(f"{name}: {one_line(what)}; free space there or mend its permissions, then run it again", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if _debug() or (error.name or "").split(".")[0] in ("segkit", "stages"):
            raise
        print(
            f"{name}: Python package {error.name!r} is missing for {sys.executable}; run 'make setup', then "
            "'source .venv/bin/activate' (or call dvc through make)",
            file=sys.stderr,
        )
        return 2
    except (RuntimeError, MemoryError) as error:
        # torch's class, by name, so that commands without torch need not import it; on the CPU it raises no such class
        full = type(error).__name__ in ("OutOfMemoryError", "MemoryError") or "can't allocate memory" in str(error)
        if not full or _debug():
            raise
        print(f"{name}: the device has no memory left; lower train.batch_size or preprocess.size", file=sys.stderr)
        return 2
    except interrupts.Interrupted as interrupted:
        print(f"\n{name}: {interrupted}", file=sys.stderr)
        return interrupted.status
    return 0


def _debug() -> bool:
    return os.environ.get("SEGKIT_DEBUG") == "1"


@contextmanager
def _unbreakable_output() -> Iterator[None]:
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_Unbreakable, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Unbreakable:
    """A text stream that goes on without a word when nobody reads it any more, or nobody did (``>&-``)."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for the rest of the process)
        if hasattr(self._stream, "reconfigure"):  # a name that the terminal cannot show is no reason to fail
            self._stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._tried(lambda: self._stream.write(text)) or len(text)

    def flush(self) -> None:
        self._tried(self._stream.flush)

    def _tried(self, call: Callable[[], int | None]) -> int | None:
        try:
            return call()
        except OSError as error:
            # Python flushes the file once more at the end: lead it to nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            return None
