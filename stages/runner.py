"""What every stage does around its own line of work."""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from segkit import params
from segkit.command import run_command
from segkit.errors import InputError
from segkit.lock import hold
from segkit.params import Params


def run_stage(name: str, work: Callable[[Params], str], keys: tuple[str, ...], choices: tuple[str, ...] = ()) -> None:
    """Read params.yaml once, call ``work``, print the one line it returns with the seconds it took, and exit.

    ``keys``: the parameters that the stage declares in dvc.yaml; an edit of one of them meanwhile is refused. Only one
    process at a time runs a stage in a folder: after a kill of DVC its stage lives on, and the next ``dvc repro``
    would start a second one. The command takes one of ``choices`` as its argument, or none where there are none.
    """

    def stage() -> None:
        start = time.perf_counter()
        if len(sys.argv) != 1 + bool(choices) or not {*sys.argv[1:]} <= {*choices}:
            usage = f"usage: python -m stages.{name} {'|'.join(choices)}".rstrip()
            raise InputError(f"{usage}; all else stands in params.yaml")
        configuration = params.load()
        with _only_here(name):
            summary = work(configuration)
            params.refuse_edited(configuration, keys)
        if summary:  # of the processes that torchrun starts, one has something to say
            print(f"{name}: {summary} ({time.perf_counter() - start:.1f} s)", flush=True)

    sys.exit(run_command(name, stage))


def _only_here(name: str):
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK") != "0":
        return nullcontext()  # one of many that work together, and not the one that writes
    words = re.sub(r"\W+", "-", "-".join([name, *sys.argv[1:]]))[:100]
    return hold(Path(".segkit/locks") / words, f"the stage {name} in this folder")
