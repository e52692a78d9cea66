"""Train `resnet34_unet`: ``python -m stages.train_resnet34_unet``, or ``python -m stages.train resnet34_unet``."""

from stages.train import run

if __name__ == "__main__":
    run("resnet34_unet")
