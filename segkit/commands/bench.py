"""Measure training: loading alone, computing alone, the real loop."""

import argparse

from segkit.base.params import MODEL_NAMES
from segkit.commands import arguments


def add(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    command.add_argument("--model", choices=MODEL_NAMES, help="default: both")
    command.add_argument("--size", type=arguments.size, help="128 or 96x128, height by width; default: preprocess.size")
    command.add_argument("--batch", type=arguments.positive(int), help="images per step; default: train.batch_size")
    command.add_argument(
        "--seconds", type=arguments.positive(float), default=4.0, help="seconds per measurement; default: 4"
    )
    command.add_argument("--profile", action="store_true", help="also print where the time of a step goes")
    command.add_argument("--json", type=arguments.json_file, metavar="FILE", help="also write the result to this file")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from segkit.base import params

    configuration = params.load()  # before torch, so that a fault is reported at once
    from segkit.base.files import write_json
    from segkit.reporting.bench import Workload, bench, describe

    results = {}
    for name in [options.model] if options.model else MODEL_NAMES:
        batch = options.batch or getattr(configuration, name).train.batch_size
        work = Workload(options.size or configuration.preprocess.size, batch, options.seconds, options.profile)
        results[name] = bench(name, configuration, work)
        print(describe(results[name]), flush=True)
    if options.json:
        write_json(options.json, results[options.model] if options.model else results)
