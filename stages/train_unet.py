"""Train `unet`: ``python -m stages.train_unet``, or ``python -m stages.train unet``."""

from stages.train import run

if __name__ == "__main__":
    run("unet")
