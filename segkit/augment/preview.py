"""The augment stage: write the training plan, and a preview for checking it by eye."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from segkit.augment.plan import TRANSFORMS, Plan, draw, make_plan, write_plan
from segkit.augment.warp import warp
from segkit.base.files import atomic_folder, atomic_write
from segkit.base.packed import Split, open_split
from segkit.base.params import Augment, Combine
from segkit.figures.sheet import Tile, mask_pixels, sheet

PREVIEW_SAMPLES, PREVIEW_COPIES = 6, 3


def augment(processed: Path, target: Path, options: Augment, seed: int) -> Plan:
    """Write ``plan.csv`` and ``preview.png`` (transforms of the first epoch) into ``target``; return the plan."""
    split = open_split(processed, "train")
    plan = make_plan(len(split), options)
    with atomic_folder(target) as folder:
        write_plan(folder / "plan.csv", plan)
        with atomic_write(folder / "preview.png") as file:
            preview(split, plan, options.combine, seed).save(file, format="PNG")
    return plan


def preview(split: Split, plan: Plan, combine: Combine, seed: int) -> Image.Image:
    """Rows of images and masks: the original and its augmented copies, as drawn in the first epoch."""
    draws = draw(plan, combine, split.masks.shape[1:], seed, epoch=0)
    sources = np.linspace(0, len(split) - 1, min(PREVIEW_SAMPLES, len(split))).astype(int)
    rows = []
    for source in sources:
        rows.append(_tiles(split.images[source], split.masks[source], "original"))
        augmented = np.flatnonzero((plan.source_rows == source) & (plan.transforms != TRANSFORMS.index("none")))
        chosen = augmented[:PREVIEW_COPIES]
        images = torch.from_numpy(split.images[plan.source_rows[chosen]]).permute(0, 3, 1, 2).float()
        masks = torch.from_numpy(split.masks[plan.source_rows[chosen]])
        images, masks = warp(images, masks, draws[chosen])
        images = images.round().to(torch.uint8).permute(0, 2, 3, 1)
        for row, image, mask in zip(chosen, images.numpy(), masks.numpy(), strict=True):
            rows[-1] += _tiles(image, mask, TRANSFORMS[plan.transforms[row]].replace("_", " "))
    hidden = len(augmented) - PREVIEW_COPIES
    more = f", {hidden} of them not shown" if hidden > 0 else ""
    return sheet(rows, title=f"Copies of each image: {len(augmented)}{more}. Random transforms of the first epoch.")


def _tiles(image: np.ndarray, mask: np.ndarray, caption: str) -> list[Tile]:
    return [Tile(image, caption), Tile(mask_pixels(mask), "mask")]
