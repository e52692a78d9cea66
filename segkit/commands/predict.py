"""Masks of your own images, overlays, cutouts."""

import argparse
from pathlib import Path

from segkit.commands import arguments

AGAIN = "run it again with --resume to go on"


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("model", type=Path, metavar="MODEL", help="a checkpoint, or an ONNX file of segkit export")
    command.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders with all below them, or patterns")
    command.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where to write NAME_mask.png (0 and 255)"
    )
    command.add_argument("--overlay", action="store_true", help="also NAME_overlay.png: the mask drawn on the image")
    command.add_argument(
        "--cutout", action="store_true", help="also NAME_cutout.png: the foreground, transparent around"
    )
    command.add_argument(
        "--probability", type=int, choices=(8, 16), default=0, help="also NAME_probability.png, in 8 or 16 bits"
    )
    command.add_argument("--json", action="store_true", help="also NAME.json: foreground share, box, confidence, time")
    command.add_argument(
        "--threshold",
        type=arguments.share,
        metavar="P",
        help="a pixel is foreground from here on; default: the model's",
    )
    command.add_argument(
        "--tta",
        action=argparse.BooleanOptionalAction,
        help="mean over the image and its mirror image, half as fast; default: as the model was evaluated",
    )
    command.add_argument("--tile", action="store_true", help="cut large images into windows at their own resolution")
    command.add_argument(
        "--range", nargs=2, type=float, dest="scale", metavar=("LOW", "HIGH"), help="black and white of 16-bit images"
    )
    command.add_argument("--resume", action="store_true", help="skip images that are done")
    command.add_argument(
        "--batch",
        type=arguments.positive(int),
        metavar="N",
        help="rows the network computes at once; default: 2 at 256 px, more of smaller",
    )
    command.add_argument(
        "--device", type=arguments.device, default="auto", help="auto | cpu | cuda | cuda:1 | mps; default: auto"
    )
    command.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="default: fp32")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.inference.finding import find, refuse_output

    refuse_output(options.out)
    images = find(options.images, options.out)  # before torch, so that a fault is reported at once
    from segkit.inference.predict import Settings, predict

    settings = Settings(**{key: getattr(options, key) for key in Settings.__dataclass_fields__})
    print(f"segkit predict: {predict(images, settings)}")
