"""What a stage's command in dvc.yaml would do: its work and the parameters that it guards, without running it."""

import runpy
import sys
from collections.abc import Callable
from typing import Any

import pytest

from segkit.base import stage as stages


def script(cmd: str) -> tuple[str, Callable[[Any], str], tuple[str, ...]]:
    """The arguments with which ``python -m stages.X …`` calls ``run_stage``: name, work and keys."""
    module, *arguments = cmd.removeprefix("python -m ").split()
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "run_stage", lambda *call: calls.append(call))
        patch.setattr(sys, "argv", [module, *arguments])
        for name in [name for name in sys.modules if name.startswith("stages.")]:
            patch.delitem(sys.modules, name)  # it holds the true one
        runpy.run_module(module, run_name="__main__")
    (call,) = calls
    return call
