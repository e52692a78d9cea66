"""What each measure brings to a training step: the step as it is, and with one measure left out at a time.

    python -m benchmarks.levers [--model resnet34_unet] [--size 128] [--rounds 15] [--compile] [--json FILE]

All variants take turns in one process; a figure above 1 says how many times as long a step takes without the measure,
median over the rounds. ``--compile`` adds ``torch.compile`` of the network with its default settings (needs a C++
compiler), its warm-up counted apart. Keeping freed memory is set for a whole process: compare
``python -m benchmarks.levers --give-memory-back`` with a run without it.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import torch
from torch import nn

from benchmarks.common import make_engine, median, params_at, report, seconds
from benchmarks.plain_loop import plain_head, plain_up
from segkit.command import run_command
from segkit.data.batches import Batch
from segkit.params import MODEL_NAMES
from segkit.training.loop import Engine

STEPS = 2


def without_fused_optimizer(engine: Engine) -> Engine:
    optimizer = torch.optim.AdamW(engine.model.parameters(), 3e-4, weight_decay=0.01)
    return replace(engine, optimizer=optimizer)


def with_torch_s_fused_optimizer(engine: Engine) -> Engine:
    optimizer = torch.optim.AdamW(engine.model.parameters(), 3e-4, weight_decay=0.01, fused=True)
    return replace(engine, optimizer=optimizer)


def with_network(change: Callable[[nn.Module], object]) -> Callable[[Engine], Engine]:
    """A variant whose network is changed in place."""

    def variant(engine: Engine) -> Engine:
        change(engine.model)
        return engine

    return variant


VARIANTS: dict[str, Callable[[Engine], Engine]] = {
    "as it is": lambda engine: engine,
    "fp32 instead of bf16": lambda engine: replace(engine, precision="fp32"),
    "torch's transposed convolution": with_network(plain_up),
    "head after the last upsampling, not merged": with_network(plain_head),
    "torch's fused AdamW on channels-last weights": with_torch_s_fused_optimizer,
    "torch's AdamW as it comes": without_fused_optimizer,
    "deterministic mode fills new memory": lambda engine: engine,
    "torch.compile": lambda engine: replace(engine, model=torch.compile(engine.model)),
}


def compare(name: str, size: int, rounds: int, compiled: bool, keep_memory: bool) -> dict:
    """Times of a step of each variant, relative to the step as it is."""
    params = params_at(size)
    names = [variant for variant in VARIANTS if compiled or variant != "torch.compile"]
    if name == "unet":
        names.remove("head after the last upsampling, not merged")
    engines = {}
    for variant in names:
        engine = make_engine(name, params, keep_memory)
        engines[variant] = VARIANTS[variant](engine)
    images = torch.randn(params.train.batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)
    batch = Batch(images, torch.randint(0, 2, (len(images), size, size), dtype=torch.uint8))

    def step(variant: str, steps: int = STEPS) -> float:
        torch.utils.deterministic.fill_uninitialized_memory = variant == "deterministic mode fills new memory"
        return seconds(lambda: engines[variant].train(repeat(batch, steps), steps=steps, label=variant)) / steps

    warm_up = {variant: step(variant, 1) for variant in names}
    taken = [{variant: step(variant) for variant in (names if i % 2 else names[::-1])} for i in range(rounds)]
    result = {
        "milliseconds": median([1000 * times["as it is"] for times in taken], 1),
        "times_as_long": {
            variant: median([times[variant] / times["as it is"] for times in taken]) for variant in names[1:]
        },
    }
    if compiled:
        result["compile_seconds"] = round(warm_up["torch.compile"], 1)
    return result


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--model", choices=MODEL_NAMES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--give-memory-back", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        names = [options.model] if options.model else MODEL_NAMES
        settings = options.size, options.rounds, options.compile, not options.give_memory_back
        report({name: compare(name, *settings) for name in names} | {"size": options.size}, options.json)

    return run_command("levers", work)


if __name__ == "__main__":
    sys.exit(main())
