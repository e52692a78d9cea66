"""The training plan: which source row each sample of an epoch shows, and which transform it gets.

Draws are stateless: order and transforms of an epoch are functions of (seed, epoch, row of the plan) through a
counter-based generator, so resuming needs no generator state and no worker can change what is drawn.
"""

import csv
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from segkit.augment import transforms
from segkit.augment.transforms import Recolour
from segkit.base.errors import InputError
from segkit.base.files import csv_rows, write_csv
from segkit.base.params import Augment, Combine

COLUMNS = ("row", "source_row", "transform")
TRANSFORMS = ("none", "combine", "flip_horizontal", "flip_vertical")
FLIPS = ("flip_horizontal", "flip_vertical")
# of augment.combine; the other keys belong to one of these
RANDOM_TRANSFORMS = tuple(field.name for field in fields(Combine) if not field.name.endswith("_probability"))
NUMBERS = 4  # random numbers that each transform has for a sample


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
    """One transform per sample. ``maps`` ``float32 (M, 2, 3)``: affine, from output to input coordinates in -1 to 1;
    ``recolours``: in the order in which they are applied, with ``float32 (M, K)`` values each."""

    maps: np.ndarray
    recolours: tuple[Recolour, ...] = ()

    def __getitem__(self, rows: np.ndarray) -> "Draws":
        return Draws(self.maps[rows], tuple(Recolour(function, values[rows]) for function, values in self.recolours))


def make_plan(samples: int, options: Augment) -> Plan:
    """The originals, then ``n_aug`` copies of all of them: (1 + n_aug)·``samples`` rows.

    Raises InputError for a third flip, which would repeat one of the first two.
    """
    if options.type == "flip" and options.n_aug > len(FLIPS):
        raise InputError(f"augment.n_aug: flip makes at most 2 copies, not {options.n_aug}")
    names = FLIPS if options.type == "flip" else ("combine",) * options.n_aug
    kinds = [TRANSFORMS.index(name) for name in ("none", *names[: options.n_aug])]
    return Plan(np.tile(np.arange(samples), len(kinds)), np.repeat(kinds, samples))


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


def draw(plan: Plan, combine: Combine, size: tuple[int, int], seed: int, epoch: int) -> Draws:
    """The transforms of every row of the plan in ``epoch``, for pictures of ``size`` (height, width).

    Row i's does not depend on how many rows there are, nor one transform's on the others.
    """
    combined = plan.transforms == TRANSFORMS.index("combine")
    maps = transforms.mirror(*(plan.transforms == TRANSFORMS.index(name) for name in FLIPS))
    recolours = []
    for name in RANDOM_TRANSFORMS:
        numbers = _generator(seed, stream(name), epoch).random((len(plan), NUMBERS))
        effect = getattr(transforms, name)(numbers, combine, size[0] / size[1])
        if isinstance(effect, Recolour):
            values = np.where(combined[:, None], effect.values, 0).astype(np.float32)
            recolours.append(Recolour(effect.function, values))
        else:
            # A map leads from output to input, so that the last transform's is followed first.
            maps = np.where(combined[:, None, None], maps @ effect, maps)
    return Draws(maps[:, :2].astype(np.float32), tuple(recolours))


def order(plan: Plan, seed: int, epoch: int) -> np.ndarray:
    """The order in which ``epoch`` shows the plan's rows, ``int64 (M,)``."""
    return _generator(seed, stream("order"), epoch).permutation(len(plan))


def stream(name: str) -> int:
    """The number of a random stream, which nothing but its name decides."""
    return zlib.crc32(name.encode())


def _generator(seed: int, stream: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, epoch])))
