"""Score one checkpoint: ``python -m stages.evaluate MODEL``."""

from segkit.base.params import MODEL_NAMES, Params
from segkit.base.stage import argument, run_stage

KEYS = ("evaluate",)


def run(name: str) -> None:
    """Checkpoint and data to scores, per-image scores and images of predictions."""

    def work(params: Params) -> str:
        from segkit.evaluation.evaluate import evaluate

        return evaluate(name, params)

    run_stage(f"evaluate@{name}", work, KEYS)


if __name__ == "__main__":
    run(argument("evaluate", MODEL_NAMES))
