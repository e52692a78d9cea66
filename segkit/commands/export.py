"""A trained network for other runtimes: ONNX, or a torch program."""

import argparse
from pathlib import Path

from segkit.commands import arguments


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("model", type=Path, metavar="MODEL", help="a checkpoint")
    command.add_argument("--format", choices=("onnx", "torch"), required=True, help="NAME.onnx or NAME.pt2")
    command.add_argument("--out", type=arguments.file, metavar="FILE", help="default: beside the checkpoint")
    command.add_argument("--images", metavar="DIR", help="images to check it on; default: the packed test set")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.inference.export import export
    from segkit.inference.samples import samples

    export(options.model, options.format, options.out, samples(options.model, options.images))
