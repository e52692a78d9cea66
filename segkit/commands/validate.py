"""Check images and masks before training: a dry run in seconds."""

import argparse
from pathlib import Path

from segkit.base.errors import InputError
from segkit.commands import arguments

SHEET = "where to draw masks on their images, the most suspicious first; default: runs/contact_sheet.png"


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("--images", metavar="DIR", help="a folder of images; default: the source in params.yaml")
    command.add_argument("--masks", metavar="DIR", help="its masks; needed with --images")
    command.add_argument("--sheet", type=arguments.file, metavar="FILE", help=SHEET)
    command.add_argument("--json", type=arguments.json_file, metavar="FILE", help="also write everything to this file")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.base import params

    if bool(options.images) != bool(options.masks):
        raise InputError("--images and --masks belong together; give both, or none for the source in params.yaml")
    configuration = params.load()
    folders = {key: str(Path(path).absolute()) for key in ("images", "masks") if (path := getattr(options, key))}
    exclude = None if folders else Path(configuration.data.exclude)
    if folders:
        folder = configuration.data.folder.model_copy(update=folders)
        data = configuration.data.model_copy(update={"source": "folder", "folder": folder})
        configuration = configuration.model_copy(update={"data": data})
    from segkit.reporting.validate import validate

    validate(configuration, options.sheet or Path("runs/contact_sheet.png"), options.json, exclude)
