"""Queue the runs of a study in DVC, and compare what they scored."""

import argparse
from pathlib import Path

from segkit.commands import arguments

SET = "set a parameter for all runs, as of 'dvc exp run -S'; may be given several times"


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = command.add_subparsers(dest="action", required=True, metavar="queue|status|table")
    for name, text in (
        ("queue", "put the runs that are not done into DVC's queue; again those that failed or were interrupted"),
        ("status", "list what became of each run"),
        ("table", "print a Markdown table of the scores"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("study", type=Path, metavar="FILE", help="the study, such as studies/report.yaml")
        action.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", help=SET)
    action.add_argument("--csv", type=arguments.file_of("csv"), metavar="FILE", help="also write all scores to this file")
    action.add_argument("--png", type=arguments.file_of("png"), metavar="FILE", help="also draw a chart")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from functools import partial

    from segkit.reporting.studies import queueing, reading, table
    from segkit.reporting.studies.definition import read_study

    study = read_study(options.study, options.set_param)
    if options.action == "queue":
        return queueing.queue(study, partial(print, flush=True))
    found = reading.read(study)
    if options.action == "status":
        return print(table.status(study, found))
    lines = table.lines(study, found)
    if options.csv:
        table.write(options.csv, lines)
    if options.png:
        from segkit.reporting.studies import chart

        chart.draw(options.png, study.name, lines)
    print(table.markdown(study, lines))
