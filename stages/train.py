"""Train one network: ``python -m stages.train MODEL``."""

from segkit.base.params import MODEL_NAMES, Params
from segkit.base.stage import argument, run_stage


def keys(name: str) -> tuple[str, ...]:
    """The parameters that the network's training depends on."""
    return ("seed", "preprocess.normalize", "augment", "train", name)


def run(name: str) -> None:
    """Processed data and plan to a checkpoint, metrics and curves."""

    def work(params: Params) -> str:
        from segkit.training.launch import train

        return train(name, params, keys(name))

    run_stage(f"train_{name}", work, keys(name))


if __name__ == "__main__":
    run(argument("train", MODEL_NAMES))
