"""A local web page to try trained networks on your own images."""

import argparse

from segkit.commands import arguments


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("models", nargs="*", metavar="MODEL", help="checkpoints; default: models/*.safetensors")
    command.add_argument("--examples", metavar="DIR", help="pictures to click on; default: some of data/raw/download")
    command.add_argument("--host", default="127.0.0.1", help="0.0.0.0: other machines may connect; default: 127.0.0.1")
    command.add_argument(
        "--port", type=arguments.port, metavar="N", help="default: 7860, or a free one if that is taken"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.demo.server import serve

    serve(options.models, options.examples, options.host, options.port)
