"""Score one checkpoint: ``python -m stages.evaluate MODEL``."""

import sys

from segkit.params import MODEL_NAMES
from stages.runner import run_stage

KEYS = ("evaluate",)


def work(params):
    """Checkpoint and data to scores, per-image scores and pictures."""
    from segkit.evaluation.evaluate import evaluate

    return evaluate(sys.argv[1], params)


if __name__ == "__main__":
    run_stage("evaluate", work, KEYS, MODEL_NAMES)
