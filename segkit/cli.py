"""The command line: ``python -m segkit COMMAND``. Each command is a file of ``segkit.commands``."""

import argparse
from types import ModuleType
from typing import NoReturn

from segkit.base.command import run_command
from segkit.commands import audit, bench, demo, evaluate, export, predict, report, results, study, validate

AGAIN = "run the same command again"  # unless a command says otherwise
COMMANDS = (results, report, validate, bench, predict, evaluate, export, demo, audit, study)


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see 'python -m {self.prog} --help'\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options = parser().parse_args(arguments)
    return run_command(f"segkit {options.command}", lambda: options.work(options), options.again)


def parser() -> Parser:
    """The parser of all commands."""
    top = Parser(prog="segkit", description="Use and measure what the pipeline makes.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = commands.add_parser(module.__name__.rpartition(".")[2], help=_summary(module))
        module.add(command)
        command.set_defaults(work=module.run, again=getattr(module, "AGAIN", AGAIN))
    return top


def _summary(module: ModuleType) -> str:
    return module.__doc__.splitlines()[0].rstrip(".")
