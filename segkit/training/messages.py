"""What a training says before and after its epochs."""

import numpy as np
from torch import nn

from segkit.base.packed import BACKGROUND, FOREGROUND, Split
from segkit.base.params import Params, recipe_key
from segkit.models.counts import no_better_than
from segkit.training.batches import TrainingBatches
from segkit.training.fit import Fit

FEW_STEPS = 10  # fewer steps per epoch get a warning
NAMED = 16  # samples in a message


def first_lines(fit: Fit, batches: TrainingBatches, params: Params) -> str:
    """The network, the length of an epoch and the device; a line more if the images are not normalised as
    ``preprocess.normalize`` says, and if an epoch has few steps."""
    engine, resumed = fit.engine, ""
    if fit.epoch or fit.totals:
        resumed = f"; resuming in epoch {fit.epoch + 1} after {len(fit.totals)} steps"
    processes = f", {engine.world.size} processes" if engine.world.size > 1 else ""
    samples, steps = f"{len(batches.plan):,} samples", f"{len(batches):,} step{'s' if len(batches) > 1 else ''}"
    line = (
        f"{fit.name}: {count_parameters(engine.model):,} parameters, {samples} per epoch in {steps}, "
        f"{engine.device.type}{processes}, {engine.precision}{resumed}"
    )
    if (kind := batches.normalizer.kind) != params.preprocess.normalize:
        line += f"\n{fit.name}: normalised as its pretrained weights need it ({kind}), not as preprocess.normalize says"
    if len(batches) < FEW_STEPS:
        few = "are few" if len(batches) > 1 else "is too few"
        line += f"\n{fit.name}: {steps} per epoch {few}; {_for_more_steps(fit, params)}"
    return line


def _for_more_steps(fit: Fit, params: Params) -> str:
    """Advice that the parameters leave room for."""
    batch_size, augment = fit.recipe.batch_size, params.augment
    advice = []
    if batch_size > max(2, fit.engine.world.size):
        advice.append(f"lower {recipe_key(params, fit.name, 'batch_size')} (now {batch_size})")
    if augment.type == "combine" or augment.n_aug < 2:
        advice.append("raise augment.n_aug")
    return " or ".join(advice) or "add training images"


def last_words(dice: float, validation: Split) -> str:
    """What the last line adds if a validation Dice of ``dice`` needs no network: the rest of a sentence, or nothing."""
    masks = (validation.masks[row] for row in range(len(validation)))
    counts = [[0, 0, *(np.count_nonzero(mask == value) for value in (FOREGROUND, BACKGROUND))] for mask in masks]
    found = no_better_than(dice, np.array(counts))
    return f"; {found}" if found else ""


def listed(names: list[str]) -> str:
    """The first of these names, each once."""
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - NAMED} more" if len(unique) > NAMED else ""
    return ", ".join(unique[:NAMED]) + more


def count_parameters(model: nn.Module) -> int:
    """Weights and biases, also frozen ones."""
    return sum(parameter.numel() for parameter in model.parameters())
