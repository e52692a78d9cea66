"""Score one checkpoint: ``python -m stages.evaluate MODEL``."""

import sys

from segkit.errors import InputError
from segkit.params import MODEL_NAMES
from stages.runner import run_stage

KEYS = ("evaluate",)


def work(params):
    """Checkpoint and data to scores, per-image scores and pictures."""
    if len(sys.argv) != 2 or sys.argv[1] not in MODEL_NAMES:
        raise InputError(f"usage: python -m stages.evaluate {'|'.join(MODEL_NAMES)}")
    from segkit.evaluation.evaluate import evaluate

    return evaluate(sys.argv[1], params)


if __name__ == "__main__":
    run_stage("evaluate", work, KEYS)
