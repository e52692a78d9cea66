"""How every command ends: exit 0, or one clear line on stderr and exit 2; a traceback on request."""

import os
import sys
from collections.abc import Callable

from segkit import interrupts
from segkit.errors import InputError, one_line


def run_command(name: str, work: Callable[[], object]) -> int:
    """Call ``work`` and turn what it raises into an exit status.

    Returns 0 on success, 2 on bad input, 130 after Ctrl-C, 143 after SIGTERM. Anything else is a bug of ours and is
    raised.
    A file system that refuses and a device without memory count as bad input. With ``SEGKIT_DEBUG=1`` bad input is
    raised too, so that its traceback shows.
    """
    try:
        with interrupts.raised():
            work()
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
