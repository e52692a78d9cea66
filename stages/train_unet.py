"""Train the network `unet`: ``python -m stages.train_unet``."""

from stages.runner import run_stage

KEYS = ("seed", "preprocess.normalize", "train", "unet")


def work(params):
    """Processed data and plan to a checkpoint, metrics and curves."""
    from segkit.training.launch import train

    return train("unet", params, KEYS)


if __name__ == "__main__":
    run_stage("train_unet", work, KEYS)
