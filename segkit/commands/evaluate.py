"""Score a trained network on images and masks of your own."""

import argparse
from pathlib import Path

from segkit.commands import arguments


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("model", type=Path, metavar="MODEL", help="a checkpoint, or an ONNX file of segkit export")
    command.add_argument("--images", required=True, metavar="DIR", help="a folder of images")
    command.add_argument("--masks", required=True, metavar="DIR", help="its masks; data.folder says how they match")
    command.add_argument(
        "--threshold",
        type=arguments.share,
        metavar="P",
        help="a pixel is foreground from here on; default: the model's",
    )
    command.add_argument(
        "--json", type=arguments.json_file, metavar="FILE", help="also write all scores, and those of each image"
    )
    command.add_argument(
        "--device", type=arguments.device, default="auto", help="auto | cpu | cuda | cuda:1 | mps; default: auto"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.base import params
    from segkit.base.workspace import cores

    folders = {key: str(Path(getattr(options, key)).absolute()) for key in ("images", "masks")}
    configuration = params.load() if Path("params.yaml").exists() else None
    from segkit.inference.networks import open_network
    from segkit.models.device import make_deterministic
    from segkit.reporting.labelled_set import any_folder, evaluate_folder

    make_deterministic(seed=0)  # nothing here is drawn at random
    folder = configuration.data.folder.model_copy(update=folders) if configuration else any_folder(**folders)
    workers = configuration.runtime.workers if configuration else 0
    network = open_network(options.model, options.device)
    evaluate_folder(network, folder, workers or cores(), options.threshold, options.json)
