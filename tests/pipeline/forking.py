"""Start stages without the seconds that importing torch takes, for tests that start dozens of them."""

import os
import runpy
import subprocess
import sys
import traceback
from importlib import import_module
from typing import Any

from tests.pipeline.workspace import Workspace

LIBRARIES = ("numpy", "PIL.Image", "torch._dynamo", "torchvision", "torch.utils.tensorboard")


def start_stage(workspace: Workspace, stage: str, *arguments: str, **options: Any) -> subprocess.Popen:
    """``python -m stages.STAGE`` as subprocess.Popen starts it, with its ``options``.

    On Linux it is a fork of this process with the libraries loaded, but no code of ours, which comes from the
    workspace. So this process must neither compute with torch itself nor import ``segkit``. Elsewhere, where such forks
    are not safe, it is a new Python.
    """
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    if sys.platform == "linux":
        os.environ.update({name: value for name, value in workspace.env.items() if name.startswith("OMP_")})
        for name in LIBRARIES:
            import_module(name)
        options["preexec_fn"] = lambda: _run(workspace, f"stages.{stage}", arguments)
    return subprocess.Popen(command, cwd=workspace.root, env=workspace.env, text=True, **options)


def _run(workspace: Workspace, module: str, arguments: tuple[str, ...]) -> None:
    """Become the stage, in a new process that has its standard streams and its folder."""
    os.closerange(3, 1024)  # among them is the pipe whose end tells Popen that the process has started
    os.environ.clear()
    os.environ.update(workspace.env)
    sys.argv, sys.path[0] = [module, *arguments], str(workspace.root)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    code: Any = 0
    try:
        assert "segkit" not in sys.modules
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        code = left.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
