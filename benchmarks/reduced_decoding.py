"""Effect of decoding JPEGs at reduced size on pixel values and on the Dice of a trained network.

    python -m benchmarks.reduced_decoding --checkpoint models/resnet34_unet.safetensors [--raw FOLDER] [--json FILE]

The test images are packed twice, decoded at full size and as preprocess does, and the checkpoint is scored on both.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import params_at, report
from benchmarks.preprocess_speed import whole
from segkit.base.command import run_command
from segkit.dataset import packing
from segkit.dataset.preprocess import preprocess
from segkit.evaluation.evaluate import score_images
from segkit.evaluation.images import ImageSet
from segkit.evaluation.scores import scores
from segkit.models.checkpoint import load_checkpoint
from segkit.models.predictor import Predictor


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        checkpoint = load_checkpoint(options.checkpoint)
        height, width = checkpoint.metadata["input_size"]
        size, border = (height, width), checkpoint.metadata["border"]
        settings = params_at(height).preprocess.model_copy(update={"size": size, "border": border})
        predictor = Predictor(checkpoint, torch.device("cpu"))
        reduced, found, packed = packing.read_pair, {}, {}
        with tempfile.TemporaryDirectory() as folder:
            for kind, read_pair in (("whole", whole), ("reduced", reduced)):
                packing.read_pair = read_pair
                preprocess(options.raw, Path(folder) / kind, settings)
                test = ImageSet.open(Path(folder) / kind, "test")
                packed[kind] = test.split.images[:].astype(int)
                found[kind] = scores(score_images(predictor, test, 0.5))
            packing.read_pair = reduced
        difference = np.abs(packed["whole"] - packed["reduced"])
        report(
            {
                "dice_whole": round(found["whole"]["dice"], 5),
                "dice_reduced": round(found["reduced"]["dice"], 5),
                "dice_global_whole": round(found["whole"]["dice_global"], 5),
                "dice_global_reduced": round(found["reduced"]["dice_global"], 5),
                "mean_absolute_difference_of_pixels": round(float(difference.mean()), 3),
                "images": found["whole"]["images"],
                "size": [height, width],
            },
            options.json,
        )

    return run_command("reduced_decoding", work)


if __name__ == "__main__":
    sys.exit(main())
