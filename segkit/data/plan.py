"""The training plan: which source row each sample of an epoch shows, and which transform it gets.

Draws are stateless: order and transforms of an epoch are functions of (seed, epoch, row of the plan) through a
counter-based generator, so resuming needs no generator state and no worker can change what is drawn.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segkit.errors import InputError
from segkit.files import csv_rows, write_csv
from segkit.params import Augment

COLUMNS = ("row", "source_row", "transform")
TRANSFORMS = ("none", "combine", "flip_horizontal", "flip_vertical")
FLIPS = ("flip_horizontal", "flip_vertical")

# combine: limits of the report's recipe
MAX_SHIFT = 0.03  # of the size
MAX_ROTATION = 10.0  # degrees
MAX_LIGHT = 0.2  # brightness and contrast
ORDER_STREAM, TRANSFORM_STREAM = 0, 1


@dataclass(frozen=True)
class Plan:
    """``source_rows`` ``int64 (M,)`` and ``transforms`` ``int64 (M,)`` (an index into ``TRANSFORMS``)."""

    source_rows: np.ndarray
    transforms: np.ndarray

    def __len__(self) -> int:
        return len(self.source_rows)

    def summary(self) -> dict[str, int]:
        """How many samples an epoch get which transform."""
        names, counts = np.unique(self.transforms, return_counts=True)
        return {TRANSFORMS[name]: int(times) for name, times in zip(names, counts, strict=True)}


@dataclass(frozen=True)
class Draws:
    """One transform per sample, ``float32 (M,)`` each; the neutral value is given in brackets.

    ``shift_x``, ``shift_y``: share of width and height the content moves right and down (0); ``angle``: degrees
    counter-clockwise (0); ``flip_x``, ``flip_y``: -1 mirrors (1); ``brightness``: share of 255 added (0);
    ``contrast``: factor about the picture's mean (1).
    """

    shift_x: np.ndarray
    shift_y: np.ndarray
    angle: np.ndarray
    flip_x: np.ndarray
    flip_y: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Draws":
        return Draws(**{name: values[rows] for name, values in vars(self).items()})


def make_plan(samples: int, options: Augment) -> Plan:
    """The originals, then ``n_aug`` copies of all of them: (1 + n_aug)·``samples`` rows.

    Raises InputError for a third flip, which would repeat one of the first two.
    """
    if options.type == "flip" and options.n_aug > len(FLIPS):
        raise InputError(f"augment.n_aug: flip makes at most 2 copies, not {options.n_aug}")
    names = FLIPS if options.type == "flip" else ("combine",) * options.n_aug
    transforms = [TRANSFORMS.index(name) for name in ("none", *names[: options.n_aug])]
    return Plan(np.tile(np.arange(samples), len(transforms)), np.repeat(transforms, samples))


def write_plan(path: Path, plan: Plan) -> None:
    """Write the plan as a CSV that a person can read."""
    names = (TRANSFORMS[transform] for transform in plan.transforms)
    write_csv(path, COLUMNS, zip(range(len(plan)), plan.source_rows.tolist(), names, strict=True))


def read_plan(path: Path, samples: int) -> Plan:
    """Read a plan; raises InputError where it is missing, empty, cut, or names rows or transforms there are not."""
    if not path.is_file():
        raise InputError(f"{path} is missing; run 'dvc repro augment', or fetch it with 'dvc pull'")
    try:
        pairs = ((int(row["source_row"]), TRANSFORMS.index(row["transform"])) for row in csv_rows(path))
        plan = Plan(*np.ascontiguousarray(np.fromiter(pairs, np.dtype((np.int64, 2))).T))
    except (KeyError, ValueError, TypeError, OverflowError, csv.Error) as error:
        raise InputError(f"{path} is no training plan ({error}); run 'dvc repro -f augment'") from None
    if not len(plan) or len(plan) % max(1, samples) or plan.source_rows.min() < 0 or plan.source_rows.max() >= samples:
        raise InputError(f"{path} does not fit a training set of {samples} samples; run 'dvc repro -f augment'")
    return plan


def draw(plan: Plan, seed: int, epoch: int) -> Draws:
    """The transforms of every row of the plan in ``epoch``; row i's does not depend on how many rows there are.

    combine: shift up to 3 % of the size, rotation up to 10 degrees, horizontal flip with p = 0.5,
    brightness and contrast up to 20 % with p = 0.5.
    """
    uniform = _generator(seed, TRANSFORM_STREAM, epoch).random((len(plan), 7))
    signed = 2 * uniform - 1
    combine = plan.transforms == TRANSFORMS.index("combine")
    lit = combine & (uniform[:, 4] < 0.5)
    mirrored = (combine & (uniform[:, 3] < 0.5)) | (plan.transforms == TRANSFORMS.index("flip_horizontal"))
    draws = {
        "shift_x": np.where(combine, signed[:, 0] * MAX_SHIFT, 0),
        "shift_y": np.where(combine, signed[:, 1] * MAX_SHIFT, 0),
        "angle": np.where(combine, signed[:, 2] * MAX_ROTATION, 0),
        "flip_x": np.where(mirrored, -1, 1),
        "flip_y": np.where(plan.transforms == TRANSFORMS.index("flip_vertical"), -1, 1),
        "brightness": np.where(lit, signed[:, 5] * MAX_LIGHT, 0),
        "contrast": np.where(lit, 1 + signed[:, 6] * MAX_LIGHT, 1),
    }
    return Draws(**{name: values.astype(np.float32) for name, values in draws.items()})


def order(plan: Plan, seed: int, epoch: int) -> np.ndarray:
    """The order in which ``epoch`` shows the plan's rows, ``int64 (M,)``."""
    return _generator(seed, ORDER_STREAM, epoch).permutation(len(plan))


def _generator(seed: int, stream: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, epoch])))
