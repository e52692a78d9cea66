"""One page about the trained networks, which opens anywhere."""

import argparse
from pathlib import Path

from segkit.commands import arguments


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument(
        "--out", type=arguments.html_file, default=Path("reports/index.html"), metavar="FILE",
        help="default: reports/index.html",
    )  # fmt: skip
    command.add_argument(
        "--compare", metavar="REV", help="compare with the same networks at a commit, branch, tag or experiment"
    )
    command.add_argument(
        "--seed-rev", action="append", default=[], metavar="REV",
        help="a training that differs in its seed alone, for intervals over seeds; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--defaults", metavar="REV", help="whose params.yaml holds the defaults to name differences from; default: HEAD"
    )
    command.add_argument(
        "--robustness", type=Path, metavar="FILE",
        help="from python -m benchmarks.robustness --json FILE; default: reports/robustness.json, if it is there",
    )  # fmt: skip
    command.add_argument(
        "--no-timing", action="store_true", help="measure neither seconds nor memory: the same results, the same bytes"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.base import params

    configuration = params.load()  # before torch, so that a fault is reported at once
    from segkit.reporting.page.build import Wishes, report

    wishes = Wishes(
        options.compare, options.seed_rev, options.defaults, options.robustness, not options.no_timing, _given(options)
    )
    print(report(options.out, configuration, wishes))


def _given(options: argparse.Namespace) -> list[str]:
    """The arguments that make the same page again."""
    given = ["--out", str(options.out)]
    for name in ("compare", "defaults", "robustness"):
        if value := getattr(options, name):
            given += [f"--{name}", str(value)]
    for revision in options.seed_rev:
        given += ["--seed-rev", revision]
    return given + ["--no-timing"] * options.no_timing
