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
    """Rows of images and masks: the original and its copies, as drawn in the first epoch."""
    samples, draws = len(split), draw(plan, combine, split.masks.shape[1:], seed, epoch=0)
    copies = len(plan) // samples
    sources = np.linspace(0, samples - 1, min(PREVIEW_SAMPLES, samples)).astype(int)
    rows = []
    for source in sources:
        plan_rows = source + samples * np.arange(min(copies, 1 + PREVIEW_COPIES))
        images = torch.from_numpy(split.images[plan.source_rows[plan_rows]]).permute(0, 3, 1, 2).float()
        masks = torch.from_numpy(split.masks[plan.source_rows[plan_rows]])
        images, masks = warp(images, masks, draws[plan_rows])
        rows.append([])
        for row, image, mask in zip(plan_rows, images, masks, strict=True):
            name = TRANSFORMS[plan.transforms[row]]
            caption = "original" if name == "none" else name.replace("_", " ")
            rows[-1] += [
                Tile(image.round().to(torch.uint8).permute(1, 2, 0).numpy(), caption),
                Tile(mask_pixels(mask.numpy()), "mask"),
            ]
    hidden = copies - 1 - PREVIEW_COPIES
    more = f", {hidden} of them not shown" if hidden > 0 else ""
    return sheet(rows, title=f"Copies of each image: {copies - 1}{more}. Random transforms of the first epoch.")
