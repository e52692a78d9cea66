"""Where files are: outputs of stages here; logs and states in the main checkout, also for DVC's temporary runs."""

import os
from dataclasses import dataclass
from pathlib import Path


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
    """A path that a user wrote in params.yaml: ``~`` is expanded, and a relative one is below the main checkout."""
    return main_checkout() / Path(text).expanduser()


def run_folder(model: str) -> Path:
    """TensorBoard logs and timings of one training: ``runs/EXPERIMENT/MODEL``, or ``runs/workspace/MODEL``."""
    return main_checkout() / "runs" / (os.environ.get("DVC_EXP_NAME") or "workspace") / model
