"""The augment stage: write the training plan, and a preview that a person can check."""

from pathlib import Path

import numpy as np
import torch

from segkit.data.packed import Split, open_split
from segkit.data.plan import FLIPS, TRANSFORMS, Plan, draw, make_plan, write_plan
from segkit.data.warp import warp
from segkit.drawing import Tile, mask_pixels, sheet
from segkit.files import atomic_folder, atomic_write
from segkit.params import Augment

PREVIEW_SAMPLES, PREVIEW_COPIES = 6, 3


def augment(processed: Path, target: Path, options: Augment, seed: int) -> Plan:
    """Write ``plan.csv`` and ``preview.png`` (first epoch's draws) into ``target``; return the plan."""
    split = open_split(processed, "train")
    plan = make_plan(len(split), options)
    with atomic_folder(target) as folder:
        write_plan(folder / "plan.csv", plan)
        with atomic_write(folder / "preview.png") as file:
            preview(split, plan, seed).save(file, format="PNG")
    return plan


def preview(split: Split, plan: Plan, seed: int):
    """Rows of picture and mask, the original beside its copies, as the first epoch draws them; a PIL image."""
    samples, draws = len(split), draw(plan, seed, epoch=0)
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
            caption = "original" if name == "none" else _describe(name, draws[np.array([row])])
            rows[-1] += [
                Tile(image.round().to(torch.uint8).permute(1, 2, 0).numpy(), caption),
                Tile(mask_pixels(mask.numpy()), "mask"),
            ]
    hidden = copies - 1 - PREVIEW_COPIES
    more = f", {hidden} of them not shown" if hidden > 0 else ""
    return sheet(rows, title=f"Copies of each picture: {copies - 1}{more}. Draws of the first epoch.")


def _describe(name: str, draws) -> str:
    if name in FLIPS:
        return name.replace("_", " ")
    flip = " flip" if draws.flip_x[0] < 0 else ""
    return (
        f"{draws.angle[0]:+.0f}° {100 * draws.shift_x[0]:+.0f}/{100 * draws.shift_y[0]:+.0f}%{flip}"
        f" b{100 * draws.brightness[0]:+.0f} c{100 * draws.contrast[0] - 100:+.0f}"
    )
