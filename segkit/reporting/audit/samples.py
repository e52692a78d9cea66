"""The samples that are audited, and their folds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segkit.base.errors import InputError
from segkit.base.packed import Rows, Split, read_summary
from segkit.evaluation.images import ImageSet

AUDITED = ("train", "valid")


class Chosen:
    """Some rows of several packed arrays, in any order, read when they are asked for, as with ``Rows``."""

    def __init__(self, parts: Sequence[Rows | np.ndarray], rows: np.ndarray) -> None:
        self._parts, self._rows = parts, rows
        self._starts = np.cumsum([0, *map(len, parts[:-1])])
        self.shape = (len(rows), *parts[0].shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        chosen = self._rows[rows]
        values = np.empty((np.size(chosen), *self.shape[1:]), np.uint8)
        for part, start in zip(self._parts, self._starts, strict=True):
            here = np.atleast_1d((start <= chosen) & (chosen < start + len(part)))
            if here.any():
                values[here] = part[np.atleast_1d(chosen)[here] - start]
        return values if np.ndim(chosen) else values[0]


@dataclass(frozen=True)
class Image:
    """An image of a split: its number there and the rows that show it, counted over all splits that are audited."""

    split: str
    number: int
    name: str
    group: str
    rows: np.ndarray


@dataclass(frozen=True)
class Audited:
    """The packed training and validation samples."""

    sets: dict[str, ImageSet]
    together: bool  # images of one group stay in one fold

    @classmethod
    def open(cls, processed: Path) -> "Audited":
        """Open them; raises InputError if they are missing or damaged.

        Groups of a user's own data are patients or stacks, whose images look alike; breeds may be divided.
        """
        sets = {split: ImageSet.open(processed, split) for split in AUDITED}
        groups = {rows[0]["group"] for each in sets.values() for rows in each.rows}
        return cls(sets, read_summary(processed)["source"] == "folder" and len(groups) > 1)

    @cached_property
    def images(self) -> list[Image]:
        """All images, in order."""
        found, start = [], 0
        for split, each in self.sets.items():
            for number, rows in enumerate(each.rows):
                numbers = np.array([start + row["row"] for row in rows])
                found.append(Image(split, number, rows[0]["name"], rows[0]["group"], numbers))
            start += len(each.split)
        return found

    def part(self, images: Sequence[Image]) -> Split:
        """All rows of some images as a split."""
        rows = np.concatenate([image.rows for image in images])
        splits = [each.split for each in self.sets.values()]
        return Split(Chosen([split.images for split in splits], rows), Chosen([split.masks for split in splits], rows))

    def mask(self, image: Image) -> np.ndarray:
        """Its mask ``uint8 (h, w)``, as it is scored, without padding."""
        each = self.sets[image.split]
        return each.without_padding(image.number, each.mask(image.number))

    def picture(self, image: Image) -> np.ndarray:
        """What the network sees of it, ``uint8 (h, w, 3)``, of the size of its mask."""
        return self.sets[image.split].picture(image.number)

    def assemble(self, images: Sequence[Image], rows: np.ndarray) -> Iterator[Tensor]:
        """Probabilities ``float32 (h, w)`` of each image, of the size of its mask, from those of all their ``rows``."""
        start = 0
        for image in images:
            windows = torch.from_numpy(rows[start : start + len(image.rows)].astype(np.float32))
            each = self.sets[image.split]
            yield each.without_padding(image.number, each.assemble(image.number, iter(windows)))
            start += len(image.rows)


def folds(audited: Audited, count: int, seed: int) -> list[list[Image]]:
    """The images of each fold: groups stay together if they must, else they are spread evenly.

    Raises InputError for fewer images, or groups that stay together, than folds.
    """
    units = [image.group if audited.together else image.name for image in audited.images]
    known = list(dict.fromkeys(units))
    if len(known) < count:
        what = "groups of images" if audited.together else "images"
        raise InputError(f"--folds {count}: there are only {len(known)} {what} to divide; lower it")
    order = np.random.default_rng(seed).permutation(len(known))
    if not audited.together:
        group = {image.name: image.group for image in audited.images}
        order = sorted(order, key=lambda unit: group[known[unit]])  # stable
    fold = {known[unit]: place % count for place, unit in enumerate(order)}
    chosen = [fold[unit] for unit in units]
    return [[i for i, at in zip(audited.images, chosen, strict=True) if at == number] for number in range(count)]
