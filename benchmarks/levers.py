"""The effect of each optimisation on a training step: the step as it is against the step without one of them.

    python -m benchmarks.levers [--model resnet34_unet] [--size 128] [--rounds 7] [--compile] [--json FILE]

The step as it is and each variant alternate. ``times_as_long`` is the duration of a step without the optimisation,
relative to the step as it is, median over the rounds. ``--compile`` measures ``torch.compile`` of the network instead,
with default settings (needs a C++ compiler); its warm-up is reported separately. Keeping freed memory is set for a
whole process: compare a run with ``--give-memory-back`` with one without.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import make_engine, median, params_at, report, seconds
from segkit.base.command import run_command
from segkit.base.params import MODEL_NAMES
from segkit.training import run
from segkit.training.batches import Batch
from segkit.training.loop import Engine

STEPS = 4


def default_adamw(engine: Engine) -> Engine:
    optimizer = torch.optim.AdamW(engine.model.parameters(), 3e-4, weight_decay=0.01)
    return replace(engine, optimizer=optimizer)


AS_IT_IS, FILLS, COMPILED = "as it is", "deterministic mode fills new memory", "torch.compile"
VARIANTS: dict[str, Callable[[Engine], Engine]] = {
    AS_IT_IS: lambda engine: engine,
    "fp32 instead of bf16": lambda engine: replace(engine, precision="fp32"),
    "torch's default AdamW": default_adamw,
    FILLS: lambda engine: engine,
    COMPILED: lambda engine: replace(engine, model=torch.compile(engine.model)),
}


def compare(name: str, variant: str, size: int, rounds: int) -> dict[str, float]:
    """Durations of a step as it is and of one variant; the two alternate."""
    params = params_at(size)
    engines = {kind: VARIANTS[kind](make_engine(name, params)) for kind in (AS_IT_IS, variant)}
    images = torch.randn(params.train.batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)
    batch = Batch(images, torch.randint(0, 2, (len(images), size, size), dtype=torch.uint8))

    def step(kind: str) -> float:
        """Seconds per step, after one that is not counted: the other network has just used the caches."""
        torch.utils.deterministic.fill_uninitialized_memory = kind == FILLS
        engines[kind].train([batch], epoch=0, steps=1, label=kind)
        return seconds(lambda: engines[kind].train(repeat(batch, STEPS), epoch=0, steps=STEPS, label=kind)) / STEPS

    warm_up = seconds(lambda: step(variant)) - STEPS * step(variant)
    orders = ((AS_IT_IS, variant), (variant, AS_IT_IS))
    taken = [{kind: step(kind) for kind in orders[number % 2]} for number in range(rounds)]
    return {
        "milliseconds_as_it_is": median([1000 * times[AS_IT_IS] for times in taken], 1),
        "times_as_long": median([times[variant] / times[AS_IT_IS] for times in taken]),
        "warm_up_seconds": round(warm_up, 1),
    }


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--model", choices=MODEL_NAMES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--give-memory-back", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        if options.give_memory_back:
            run.keep_freed_memory = lambda: None
        result: dict[str, Any] = {"size": options.size, "memory_kept": not options.give_memory_back}
        for name in [options.model] if options.model else MODEL_NAMES:
            left_out = {AS_IT_IS} if options.compile else {AS_IT_IS, COMPILED}
            result[name] = {
                variant: compare(name, variant, options.size, options.rounds)
                for variant in VARIANTS
                if variant not in left_out
            }
        report(result, options.json)

    return run_command("levers", work)


if __name__ == "__main__":
    sys.exit(main())
