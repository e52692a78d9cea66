"""What is asked of git and of DVC, by their command lines, in the repository of the working directory."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from segkit.base.errors import InputError, brief


def require_repository() -> None:
    """Raise InputError unless this is the root of a git and DVC repository with a commit, and DVC is installed."""
    if shutil.which("git") is None:
        raise InputError("git is not installed, and DVC's experiments are kept in git; install it")
    if git("rev-parse", "--git-dir") is None:
        raise InputError("this folder is not in a git repository; run from a clone, or run 'git init' and commit")
    if git("rev-parse", "--verify", "HEAD^{commit}") is None:
        raise InputError(
            "this git repository has no commit yet, and DVC's experiments start from one; run 'git commit'"
        )
    if not Path(".dvc").is_dir():
        raise InputError(
            "this folder is not the root of a DVC repository (there is no .dvc); run from the clone's root"
        )
    if find_spec("dvc") is None:
        raise ModuleNotFoundError("No module named 'dvc'", name="dvc")


def git(*arguments: str) -> str | None:
    """What ``git`` prints; None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def content(revision: str, path: str | Path) -> str | None:
    """The text of a file of this folder in a commit; None if there is none."""
    return git("cat-file", "blob", f"{revision}:./{Path(path).as_posix()}")


def dvc(*arguments: str) -> str:
    """What ``dvc`` prints; raises InputError with its error."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")] or said[-1:]
        what = brief(" ".join(["dvc", *arguments[:2]]))
        raise InputError(f"'{what}' failed: {brief(' '.join(errors) or f'exit status {done.returncode}', 300)}")
    return done.stdout.decode("utf-8", "replace")
