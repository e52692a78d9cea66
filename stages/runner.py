"""What every stage does around its own line of work."""

import sys
import time
from collections.abc import Callable
from functools import reduce
from typing import Any

from segkit import params
from segkit.command import run_command
from segkit.errors import InputError
from segkit.params import Params


def run_stage(name: str, work: Callable[[Params], str], keys: tuple[str, ...]) -> None:
    """Read params.yaml once, call ``work``, print the one line it returns with the seconds it took, and exit.

    The parameters are read again at the end: DVC records them after the command, so an edit made meanwhile
    would make dvc.lock lie. ``keys``: the parameters that the stage declares in dvc.yaml; others may change.
    """

    def stage() -> None:
        start = time.perf_counter()
        configuration = params.load()
        summary = work(configuration)
        edited = changed(configuration, params.load(), keys)
        if edited:
            raise InputError(
                f"params.yaml: {', '.join(edited)} was edited while this stage ran, so its result belongs to neither "
                "version; run dvc repro again"
            )
        if summary:  # of the processes that torchrun starts, one has something to say
            print(f"{name}: {summary} ({time.perf_counter() - start:.1f} s)", flush=True)

    sys.exit(run_command(name, stage))


def changed(before: Params, after: Params, keys: tuple[str, ...]) -> list[str]:
    """Those of the dotted ``keys`` whose values differ."""

    def value(configuration: Params, key: str) -> Any:
        return reduce(getattr, key.split("."), configuration)

    return [key for key in keys if value(before, key) != value(after, key)]
