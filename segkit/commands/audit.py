"""Rank training samples by how much held-out predictions contradict their masks."""

import argparse
from pathlib import Path

from segkit.base.params import MODEL_NAMES
from segkit.commands import arguments

AGAIN = "run the same command again to resume"
LIST = Path("data/own/audit.csv")


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("--model", choices=MODEL_NAMES, default="resnet34_unet", help="default: resnet34_unet")
    command.add_argument(
        "--folds", type=arguments.at_least(2), default=4, metavar="K", help="networks to train; default: 4"
    )
    command.add_argument(
        "--out",
        type=arguments.html_file,
        default=Path("reports/audit.html"),
        metavar="FILE",
        help="the page; default: reports/audit.html",
    )
    command.add_argument(
        "--worst", type=arguments.at_least(1), default=60, metavar="N", help="masks on the page; default: 60"
    )
    command.add_argument(
        "--list", type=arguments.csv_file, default=LIST, metavar="FILE", help=f"the list of verdicts; default: {LIST}"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.base import params

    configuration = params.load()  # before torch, so that a fault is reported at once
    from segkit.reporting.audit.audit import Targets, run

    run(options.model, configuration, options.folds, Targets(options.out, options.worst, options.list))
