"""Where things lie that are neither in git nor in DVC, also for runs in DVC's temporary folders."""

import os
from pathlib import Path


def main_checkout() -> Path:
    """The main checkout: DVC names it in ``DVC_ROOT`` when the working directory is a temporary copy."""
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def run_folder(model: str) -> Path:
    """TensorBoard logs and timings of one training: ``runs/EXPERIMENT/MODEL``, or ``runs/workspace/MODEL``."""
    return main_checkout() / "runs" / (os.environ.get("DVC_EXP_NAME") or "workspace") / model
