"""Where files are: outputs of stages here; logs and states in the main checkout, also for DVC's temporary runs."""

import os
from dataclasses import dataclass
from pathlib import Path

from segkit.base.errors import InputError, brief

# Where the stages, DVC and TensorBoard write; a test compares it with dvc.yaml.
OUTPUTS = ("data/raw", "data/processed", "data/augmented", "models", "metrics", "runs", ".segkit", ".dvc")


@dataclass(frozen=True)
class Paths:
    """The stages' inputs and outputs, relative to the repository's root."""

    processed: Path = Path("data/processed")
    plan: Path = Path("data/augmented/plan.csv")
    models: Path = Path("models")
    metrics: Path = Path("metrics")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main_checkout() -> Path:
    """The main checkout: DVC names it in ``DVC_ROOT`` when the working directory is a temporary copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def kept() -> Path:
    """``.segkit`` of the main checkout: training states, downloads and locks, which are outputs of no stage."""
    return main_checkout() / ".segkit"


def user_path(text: str) -> Path:
    """A path that a user wrote in params.yaml: ``~`` is expanded, and a relative one is below the main checkout.

    Raises InputError for the home of an unknown user.
    """
    try:
        return main_checkout() / Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{brief(text)}: there is no such user; write the whole path") from None


def refuse_output(path: Path, key: str) -> None:
    """Raise InputError if ``path``, the value of ``key``, is in or above one of OUTPUTS, also through links."""
    for output in OUTPUTS:
        for folder in {main_checkout() / output, Path.cwd() / output}:
            if _is_within(path, folder):
                fault = f"is in {output}, where the pipeline writes; move your files to another folder"
            elif _is_within(folder, path):
                fault = f"contains {output}, where the pipeline writes; use a folder that holds your files alone"
            else:
                continue
            raise InputError(f"{key}: {brief(path, 300)} {fault}, for example in data/own, and set {key} to it")


def _is_within(path: Path, folder: Path) -> bool:
    """Whether ``path`` is ``folder`` or below it: as written, by its links, or by the file system's own identity, which
    also sees through another spelling of upper and lower case."""
    written, real = Path(os.path.abspath(path)), Path(os.path.realpath(path))
    if Path(os.path.abspath(folder)) in (written, *written.parents):
        return True
    parts = (real, *real.parents)
    if not os.path.exists(folder):
        return Path(os.path.realpath(folder)) in parts
    return any(os.path.exists(part) and os.path.samefile(part, folder) for part in parts)


def run_folder(model: str) -> Path:
    """TensorBoard logs and timings of one training: ``runs/EXPERIMENT/MODEL``, or ``runs/workspace/MODEL``."""
    return main_checkout() / "runs" / (os.environ.get("DVC_EXP_NAME") or "workspace") / model
