"""The training plan: which source row each sample of an epoch shows, and which transform it gets.

Draws are stateless: order and transforms of an epoch are functions of (seed, epoch, row of the plan) through a
counter-based generator, so resuming needs no generator state, and the number of workers does not matter.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segkit.augment import transforms
from segkit.augment.transforms import Recolour
from segkit.base.errors import InputError
from segkit.base.files import atomic_write
from segkit.base.params import Augment, Combine

TRANSFORMS = ("none", "combine", "flip_horizontal", "flip_vertical")
FLIPS = ("flip_horizontal", "flip_vertical")
# of augment.combine; the other keys belong to one of these
RANDOM_TRANSFORMS = tuple(name for name in Combine.model_fields if not name.endswith("_probability"))
NUMBERS = 4  # random numbers per transform and sample


@dataclass(frozen=True)
class Plan:
    """``source_rows`` ``int64 (M,)`` and ``transforms`` ``int64 (M,)`` (an index into ``TRANSFORMS``)."""

    source_rows: np.ndarray
    transforms: np.ndarray

    def __len__(self) -> int:
        return len(self.source_rows)

    @property
    def augmented_per_image(self) -> int:
        """How often an epoch shows each image with a transform."""
        return int(np.count_nonzero(self.transforms[self.source_rows == self.source_rows[0]]))

    def summary(self) -> dict[str, int]:
        """Number of samples per epoch for each transform."""
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


def number_of_copies(samples: int, options: Augment) -> int:
    """Copies of a training set of ``samples``: ``n_aug``, or of ``combine`` at least what ``min_samples`` needs."""
    if options.type == "flip" or options.n_aug == 0:
        return options.n_aug
    return max(options.n_aug, math.ceil(options.min_samples / samples) - 1)


def make_plan(samples: int, options: Augment) -> Plan:
    """The originals, then ``number_of_copies`` of all of them; all augmented, if ``originals`` asks for it."""
    copies = number_of_copies(samples, options)
    names = FLIPS if options.type == "flip" else ("combine",) * copies
    first = "combine" if "combine" in names and options.originals == "augment" else "none"
    kinds = [TRANSFORMS.index(name) for name in (first, *names[:copies])]
    return Plan(np.tile(np.arange(samples), len(kinds)), np.repeat(kinds, samples))


def write_plan(path: Path, plan: Plan) -> None:
    """Write the plan as a CSV that can be read without tools."""
    with atomic_write(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(_lines(plan))


def read_plan(path: Path, samples: int, options: Augment) -> Plan:
    """The plan for ``samples`` training images; raises InputError unless ``path`` holds exactly that plan."""
    if not path.is_file():
        raise InputError(f"{path} is missing; run 'dvc repro', or fetch it with 'dvc pull'")
    plan = make_plan(samples, options)
    if path.read_bytes() != "".join(_lines(plan)).encode():
        raise InputError(
            f"{path} is not the plan for {samples:,} training samples with augment as in params.yaml; run 'dvc repro'"
        )
    return plan


def _lines(plan: Plan) -> Iterator[str]:
    yield "row,source_row,transform\n"
    for row, (source, transform) in enumerate(zip(plan.source_rows.tolist(), plan.transforms.tolist(), strict=True)):
        yield f"{row},{source},{TRANSFORMS[transform]}\n"


def draw(plan: Plan, combine: Combine, size: tuple[int, int], seed: int, epoch: int) -> Draws:
    """The transforms of every row of the plan in ``epoch``, for images of ``size`` (height, width).

    A row's transform does not depend on the number of rows, nor one random transform on the others.
    """
    combined = plan.transforms == TRANSFORMS.index("combine")
    maps = transforms.mirror(*(plan.transforms == TRANSFORMS.index(name) for name in FLIPS))
    recolours = []
    for name in RANDOM_TRANSFORMS:
        numbers = _generator(seed, stream(name), epoch).random((len(plan), NUMBERS))
        effect = getattr(transforms, name)(numbers, combine, size[0] / size[1])
        if isinstance(effect, Recolour):
            values = np.where(combined[:, None], effect.values, 0).astype(np.float32)
            if values.any():  # of strength 0, or for flips alone, it would cost time
                recolours.append(Recolour(effect.function, values))
        else:
            # Maps go from output to input, so the map of the last transform is applied first.
            maps = np.where(combined[:, None, None], maps @ effect, maps)
    return Draws(maps[:, :2].astype(np.float32), tuple(recolours))


def order(plan: Plan, seed: int, epoch: int) -> np.ndarray:
    """The order in which ``epoch`` shows the plan's rows, ``int64 (M,)``."""
    return _generator(seed, stream("order"), epoch).permutation(len(plan))


def stream(name: str) -> int:
    """A random stream's number, a hash of its name."""
    return zlib.crc32(name.encode())


def _generator(seed: int, stream: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, epoch])))
