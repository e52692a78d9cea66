"""Queue the runs of a study in DVC, and compare what they scored."""

import argparse
from functools import partial
from pathlib import Path

from segkit.commands import arguments

SET = "set a parameter for all runs, as of 'dvc exp run -S'; may be given several times"
ACTIONS = {
    "queue": "put the runs that are not done into DVC's queue; again those that failed or were interrupted",
    "status": "list what became of each run",
    "table": "print a Markdown table of the scores",
}


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = command.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    parsers = {name: actions.add_parser(name, help=text) for name, text in ACTIONS.items()}
    for parser in parsers.values():
        parser.add_argument("study", type=Path, metavar="FILE", help="the study, such as studies/report.yaml")
        parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", help=SET)
    for kind, text in (("csv", "also write all scores to this file"), ("png", "also draw a chart")):
        parsers["table"].add_argument(f"--{kind}", type=arguments.file_of(kind), metavar="FILE", help=text)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.reporting.studies import queueing, reading, table
    from segkit.reporting.studies.definition import read_study

    study = read_study(options.study, options.set_param)
    if options.action == "queue":
        queueing.queue(study, partial(print, flush=True))
        return
    found = reading.read(study)
    if options.action == "status":
        print(table.status(study, found))
        return
    lines = table.lines(study, found)
    if options.png:
        from segkit.reporting.studies import chart

        chart.draw(options.png, study.name, lines)
    if options.csv:
        table.write(options.csv, lines)
    print(table.markdown(study, lines))
