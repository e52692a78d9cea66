"""Cost of saving the training state: the duration of some steps with one save among them, and without.

    python -m benchmarks.saving [--model unet] [--size 128] [--rounds 11] [--steps 2] [--json FILE]

The two alternate. ``seconds_lost`` is the median difference: the copy, for which training waits, and the slowdown of
the steps while the thread writes. ``written_in_seconds`` is the duration of the save in an otherwise idle process.
"""

import argparse
import sys
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import make_engine, median, params_at, report, seconds
from segkit.base.command import run_command
from segkit.base.interrupts import Stop
from segkit.base.params import MODEL_NAMES
from segkit.training.batches import Batch
from segkit.training.fit import Fit
from segkit.training.logbook import Logbook
from segkit.training.loop import Engine
from segkit.training.state import SavedState, Saver, snapshot


def compare(name: str, size: int, rounds: int, steps: int) -> dict[str, float]:
    """Seconds of ``steps`` steps with a save and without."""
    params = params_at(size)
    recipe = getattr(params, name).train
    engine = make_engine(name, params)
    images = torch.randn(recipe.batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)
    batch = Batch(images, torch.randint(0, 2, (len(images), size, size), dtype=torch.uint8))
    fit = Fit(name, engine, recipe, Logbook(None, None, recipe.epochs), None, Stop())
    train(engine, batch, 2)
    fit.stopping.update(0, 0.0, 0.0, engine.model)  # the best weights are a part of the state
    saved = SavedState(name, "0" * 64)
    with ExitStack() as stack, Saver(saved, 0) as saver:
        stack.callback(saved.remove)

        def save(count: int) -> float:
            """Steps after a save, which is on the disk at the end."""

            def work() -> None:
                saver.save(fit.state())
                train(engine, batch, count)
                saver.wait()

            return seconds(work)

        alone = [save(0) for _ in range(rounds)]
        copied = [seconds(lambda: snapshot(fit.state())) for _ in range(rounds)]
        lost = []
        for number in range(rounds):
            kinds = [save, lambda count: seconds(lambda: train(engine, batch, count))]
            times = {kind: kind(steps) for kind in kinds[:: -1 if number % 2 else 1]}
            lost.append(times[kinds[0]] - times[kinds[1]])
        size_on_disk = saved.path.stat().st_size
    return {
        "megabytes": round(size_on_disk / 1e6, 1),
        "copied_in_seconds": median(copied),
        "written_in_seconds": median(alone),
        "seconds_lost": median(lost),
        "half_of_the_rounds_between": [median(part) for part in halves(lost)],
    }


def halves(values: list[float]) -> tuple[list[float], list[float]]:
    """The lower and the upper half, whose medians are the quartiles."""
    ordered, middle = sorted(values), (len(values) + 1) // 2
    return ordered[:middle], ordered[-middle:]


def train(engine: Engine, batch: Batch, steps: int) -> None:
    """``steps`` steps, if any."""
    if steps:
        engine.train(repeat(batch, steps), epoch=0, steps=steps, label="steps")


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODEL_NAMES)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=2, help="should take longer than a save; default: 2")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        result: dict[str, Any] = {"size": options.size, "steps": options.steps}
        for name in [options.model] if options.model else MODEL_NAMES:
            result[name] = compare(name, options.size, options.rounds, options.steps)
        report(result, options.json)

    return run_command("saving", work)


if __name__ == "__main__":
    sys.exit(main())
