"""How every command ends: exit 0, or one clear line on stderr and exit 2; a traceback on request."""

import os
import sys
from collections.abc import Callable

from segkit.errors import InputError


def run_command(name: str, work: Callable[[], object]) -> int:
    """Call ``work`` and turn what it raises into an exit status.

    Returns 0 on success, 2 on bad input, 130 after Ctrl-C. Anything else is a bug of ours and is raised.
    With ``SEGKIT_DEBUG=1`` bad input is raised too, so that its traceback shows.
    """
    try:
        work()
    except InputError as error:
        if os.environ.get("SEGKIT_DEBUG") == "1":
            raise
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if os.environ.get("SEGKIT_DEBUG") == "1" or (error.name or "").split(".")[0] in ("segkit", "stages"):
            raise
        print(
            f"{name}: Python package {error.name!r} is missing for {sys.executable}; run 'make setup', then "
            "'source .venv/bin/activate' (or call dvc through make)",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; finished files are kept, run the same command again", file=sys.stderr)
        return 130
    return 0
