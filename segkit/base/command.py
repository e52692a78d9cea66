"""How every command ends: exit 0, or one clear line on stderr and exit 2; a traceback on request."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from segkit.base import interrupts
from segkit.base.errors import InputError, brief

# What few commands need: the extras export, demo and report of pyproject.toml.
OPTIONAL = (("onnx", "onnxscript", "onnxruntime"), ("gradio",), ("matplotlib", "jinja2"))


def run_command(name: str, work: Callable[[], object], again: str = "run the same command again to resume") -> int:
    """Call ``work`` and turn what it raises into an exit status; ``again``: what to do after an interruption.

    Returns 0 on success, 2 on bad input, 130 after Ctrl-C, 143 after SIGTERM. Bad input includes errors of the file
    system, a missing package and a device without free memory; any other exception is a bug and is raised. With
    ``SEGKIT_DEBUG=1`` bad input is raised too, to show its traceback. A reader that closes its pipe (``| head``) is not
    an error: the work continues, and further output is dropped.
    """
    with _unbreakable_output():
        try:
            with interrupts.raised(again):
                work()
            sys.stdout.flush()  # a full disk is reported here
        except interrupts.Interrupted as interrupted:
            print(f"\n{name}: {interrupted}", file=sys.stderr)
            return interrupted.status
        except Exception as error:
            line = _explain(error)
            if line is None or os.environ.get("SEGKIT_DEBUG") == "1":
                raise
            with suppress(OSError):
                print(f"{name}: {line}", file=sys.stderr)
            return 2
    return 0


def _explain(error: Exception) -> str | None:
    """One line for an error that is not a bug."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError):
        place = error.filename2 or error.filename  # the second is where a copy goes
        what = f"{brief(place, 300)}: {error.strerror}" if place and error.strerror else error
        return f"{brief(what, 500)}; free space there or fix its permissions, then run the same command again"
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in ("segkit", "stages"):
        return f"Python package {error.name!r} is missing for {sys.executable}; {_installing(error.name)}"
    # torch's class, by name, so that commands without torch need not import it; on the CPU it is a RuntimeError
    memory = type(error).__name__ in ("OutOfMemoryError", "MemoryError")
    if memory or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "the device is out of memory; lower train.batch_size or preprocess.size"
    return None


def _installing(module: str | None) -> str:
    for packages in OPTIONAL:
        if (module or "").split(".")[0] in packages:
            return f"it is optional; install it with '{sys.executable} -m pip install {' '.join(packages)}'"
    return "run 'make setup', then 'source .venv/bin/activate' (or call dvc through make)"


@contextmanager
def _unbreakable_output() -> Iterator[None]:
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_Unbreakable, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class _Unbreakable:
    """A text stream that drops its output once nobody reads it any more, or nobody ever did (``>&-``)."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for the rest of the process)
        if hasattr(self._stream, "reconfigure"):  # characters that the terminal cannot show are escaped
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
            # Python flushes the file once more at exit: redirect it to /dev/null.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                error.filename = error.filename or "standard output"
                raise
            return None
