"""Print both models' scores and where to find everything."""

import argparse


def add(command: argparse.ArgumentParser) -> None:
    """There are no options."""


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.reporting.results import results

    print(results())
