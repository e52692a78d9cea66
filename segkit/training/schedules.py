"""Learning-rate schedules: ``train.schedule`` names a function of this file.

A schedule is a function of the fraction of ``train.epochs`` that is done, 0 to 1, before every step; it returns the
factor for ``train.lr``. It keeps no state, so that a resumed training needs none.
"""

import math

from segkit.base.params import Train

SMALL = (0.5, 0.75)  # of height and width, one after the other
FIRST = 0.001  # of the epochs: progress of the first step in the warm-up, whose rate would be 0


def learning_rate(recipe: Train, epochs: float) -> float:
    """The rate after ``epochs``, which may be a fraction: that of the schedule, and within the first
    ``recipe.warmup`` of all epochs in linear proportion less (Goyal et al., "Accurate, Large Minibatch SGD", 2017)."""
    progress = epochs / recipe.epochs
    rate = recipe.lr * globals()[recipe.schedule](progress)
    return rate * min(1.0, max(progress, FIRST) / recipe.warmup) if recipe.warmup else rate


def image_size(recipe: Train, size: tuple[int, int], stride: int, epoch: int) -> tuple[int, int]:
    """Height and width of the training images in ``epoch``: ``size``, but within the first ``recipe.small_images`` of
    all epochs each of ``SMALL`` of it for equally long, in whole multiples of the network's ``stride``, at least two.

    Small images take less time, so that more are seen, and objects change in scale (Howard, "Training ImageNet in 3
    Hours for 25 Minutes", 2018, calls it progressive resizing).
    """
    small_epochs = recipe.small_images * recipe.epochs
    if epoch >= small_epochs:
        return size
    scale = SMALL[int(len(SMALL) * epoch / small_epochs)]
    height, width = (min(side, max(2, round(scale * side / stride)) * stride) for side in size)
    return height, width


def constant(progress: float) -> float:
    """The same rate throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to 0 (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * progress))
