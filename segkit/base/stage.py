"""What every stage does around its own work."""

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from pathlib import Path
from typing import NoReturn

from segkit.base import params
from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.lock import hold
from segkit.base.params import Params


def argument(script: str, choices: tuple[str, ...]) -> str:
    """The argument of ``python -m stages.SCRIPT CHOICE``; exits with one line and status 2 if it is not a choice."""
    if len(sys.argv) == 2 and sys.argv[1] in choices:
        return sys.argv.pop()
    sys.exit(run_command(script, lambda: _refuse_arguments(f"{script} {'|'.join(choices)}")))


def run_stage(name: str, work: Callable[[Params], str], keys: tuple[str, ...]) -> None:
    """Read params.yaml once, call ``work``, print the line it returns with the seconds it took, and exit.

    ``name``: the stage's name in dvc.yaml. ``keys``: the parameters declared there; an edit of one of them during the
    run is refused. Only one process at a time runs a stage in a folder: a stage outlives a killed DVC, and the next
    ``dvc repro`` would start a second one. The command takes no arguments except the one that ``argument`` read.
    """

    def stage() -> None:
        start = time.perf_counter()
        if len(sys.argv) > 1:
            _refuse_arguments(name)
        configuration = params.load()
        with _only_here(name):
            summary = work(configuration)
            refuse_edited(configuration, keys)
        if summary:  # empty in all ranks but 0
            print(f"{name}: {summary} ({time.perf_counter() - start:.1f} s)", flush=True)

    sys.exit(run_command(name, stage))


def refuse_edited(before: Params, keys: Sequence[str]) -> None:
    """Read params.yaml again; raises InputError if one of the dotted ``keys`` is no longer as in ``before``.

    DVC records parameters after a stage's command, so dvc.lock would record an edit that the result does not include.
    """
    after = params.load() if keys else before
    edited = [key for key in keys if attrgetter(key)(before) != attrgetter(key)(after)]
    if edited:
        raise InputError(
            f"params.yaml: {', '.join(edited)} was edited while this stage ran, so its result belongs to neither "
            "version; run dvc repro again"
        )


def _refuse_arguments(usage: str) -> NoReturn:
    raise InputError(f"usage: python -m stages.{usage}; all settings are in params.yaml")


def _only_here(name: str) -> AbstractContextManager:
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK") != "0":
        return nullcontext()  # only rank 0 writes
    return hold(Path(".segkit/locks") / re.sub(r"\W", "-", name), f"the stage {name} in this folder")
