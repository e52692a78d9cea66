"""Train the network `resnet34_unet`: ``python -m stages.train_resnet34_unet``."""

from stages.runner import run_stage

KEYS = ("seed", "preprocess.normalize", "train", "resnet34_unet")


def work(params):
    """Processed data and plan to a checkpoint, metrics and curves."""
    from segkit.training.launch import train

    return train("resnet34_unet", params, KEYS)


if __name__ == "__main__":
    run_stage("train_resnet34_unet", work, KEYS)
