"""What every stage does around its own line of work."""

import sys
import time
from collections.abc import Callable

from segkit import params
from segkit.command import run_command
from segkit.errors import InputError
from segkit.params import Params


def run_stage(name: str, work: Callable[[Params], str]) -> None:
    """Read params.yaml once, call ``work``, print the one line it returns with the seconds it took, and exit.

    The parameters are read again at the end: DVC records them after the command, so an edit made meanwhile
    would make dvc.lock lie.
    """

    def stage() -> None:
        start = time.perf_counter()
        configuration = params.load()
        summary = work(configuration)
        if params.load() != configuration:
            raise InputError(
                "params.yaml was edited while this stage ran, so its result belongs to neither version; "
                "run dvc repro again"
            )
        print(f"{name}: {summary} ({time.perf_counter() - start:.1f} s)", flush=True)

    sys.exit(run_command(name, stage))
