"""The command line: ``python -m segkit COMMAND``."""

import argparse
from typing import NoReturn

from segkit.command import run_command


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see 'python -m segkit --help'\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = Parser(prog="segkit", description="Use what the pipeline made.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("results", help="print both models' scores and where everything lies")
    command.set_defaults(work=_results)
    options = parser.parse_args(arguments)
    return run_command(f"segkit {options.command}", lambda: options.work(options))


def _results(options: argparse.Namespace) -> None:
    from segkit.evaluation.results import results

    print(results())
