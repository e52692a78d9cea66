"""K-fold search over training recipes on one CUDA GPU: what docs/explanation/recipe.md is made of.

    python -m benchmarks.recipe_search --raw data/raw/download [--size 128] [--minutes 4] [--streams 6] [NAME ...]

Each recipe of ``RECIPES`` trains on 216 of the 300 training and validation images, in 3 of 5 folds, and is scored on
the 60 images held out; the test set is not read. A training step, from augmentation to optimizer, is one CUDA graph,
and several networks train at once on streams of their own. Most of what is tried here is not in segkit, because it
failed. Prints one JSON object a recipe: the Dice of the last weights, without and with flips. Steps and seeds are those
of the page.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.common import make_project, params_with
from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.packed import open_split
from segkit.models import build, heads

FOLDS, WARM_UP = 5, 0.05
VALID = 24  # of the rest, held out as well, as early stopping would


@dataclass(frozen=True)
class Recipe:
    """``paste``, ``join``, ``cut``: probability that the foreground of another image is pasted in, that a part of
    another image replaces one side, that a rectangle is erased. ``small``: fraction of the steps at 3/4 of the size."""

    network: str = "resnet34_unet"
    norm: str = "batch"
    bridge: int = 256
    batch: int = 15
    steps: int = 1400
    lr: float = 1e-3
    weight_decay: float = 0.01
    cross_entropy: float = 1.0
    dice: float = 1.0
    small: float = 0.0
    rotation: float = 20.0
    scale: float = 0.3
    stretch: float = 0.15
    shear: float = 8.0
    shift: float = 0.1
    light: float = 0.25
    colour: float = 0.5
    gamma: float = 0.3
    grey: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    cut: float = 0.0
    paste: float = 0.0
    join: float = 0.0


WEAK = {"rotation": 10.0, "scale": 0, "stretch": 0, "shear": 0, "shift": 0.03, "light": 0.2, "colour": 0, "gamma": 0}
STRONGER = {"rotation": 30.0, "scale": 0.6, "stretch": 0.25, "shear": 12.0, "shift": 0.15}
CHANGES: dict[str, dict] = {
    "base": {},
    "report": WEAK | {"steps": 2000},
    "longer": {"steps": 2000},
    "small": {"small": 0.6, "steps": 1900},
    "stronger": STRONGER,
    "strongest": {"rotation": 45.0, "scale": 0.9, "stretch": 0.3, "shear": 15.0, "shift": 0.2},
    "stronger-cut": STRONGER | {"cut": 0.5},
    "paste": {"paste": 0.4},
    "join": {"join": 0.4},
    "photo": {"grey": 0.1, "blur": 1.0, "noise": 15.0},
    "decay": {"weight_decay": 0.1},
    "entropy": {"dice": 0.0},
    "batch8": {"batch": 8, "steps": 2600},
}
BASES = {"resnet": Recipe(), "unet": Recipe("unet", lr=3e-3)}
RECIPES = {f"{base}-{name}": replace(BASES[base], **change) for base in BASES for name, change in CHANGES.items()} | {
    "resnet-bridge512": replace(BASES["resnet"], bridge=512),
    "resnet-slow": replace(BASES["resnet"], lr=5e-4),
    "unet-none": replace(BASES["unet"], norm="none", lr=5e-4),
}


def augment(images: Tensor, masks: Tensor, draws: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """``images`` ``(N, 3, H, W)``, 0 to 255, ``masks`` ``(N, 1, H, W)``; ``draws`` ``(N, 32)``, uniform in 0 to 1."""
    signed = (2 * draws - 1).unbind(1)
    turn = signed[1] * math.radians(recipe.rotation)
    size, form = signed[2] * math.log(1 + recipe.scale), signed[3] * math.log(1 + recipe.stretch)
    slant = [(signed[n] * math.radians(recipe.shear)).tan() for n in (4, 5)]
    one, zero = torch.ones_like(turn), torch.zeros_like(turn)

    def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.stack([torch.stack(row, 1) for row in (*rows, (zero, zero, one))], 1)

    maps = matrix((torch.where(draws[:, 0] < 0.5, -one, one), zero, zero), (zero, one, zero))
    maps = maps @ matrix((turn.cos(), -turn.sin(), zero), (turn.sin(), turn.cos(), zero))
    maps = maps @ matrix(((-size - form).exp(), zero, zero), (zero, (form - size).exp(), zero))
    maps = maps @ matrix((one, slant[0], zero), (slant[1], one, zero))
    maps = maps @ matrix((one, zero, 2 * recipe.shift * signed[6]), (zero, one, 2 * recipe.shift * signed[7]))
    grid = F.affine_grid(maps[:, :2], list(masks.shape), align_corners=False)
    images = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)
    masks = F.grid_sample(masks, grid, "nearest", "reflection", align_corners=False)

    def each(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1)

    def chosen(column: int, probability: float) -> Tensor:
        return each(draws[:, column] < probability)

    if recipe.paste:
        taken = chosen(8, recipe.paste) & (masks.roll(1, 0) > 0)
        images, masks = torch.where(taken, images.roll(1, 0), images), torch.where(taken, masks.roll(1, 0), masks)
    mean = images.mean((1, 2, 3), keepdim=True)
    strength = recipe.light * chosen(9, 0.5)
    images = mean + (images - mean) * (1 + strength * each(signed[10])) + 255 * strength * each(signed[11])
    grey = images.mean(1, keepdim=True)
    rest, angle = images - grey, each(signed[12]) * recipe.colour * math.radians(36)
    across = torch.stack([rest[:, 2] - rest[:, 1], rest[:, 0] - rest[:, 2], rest[:, 1] - rest[:, 0]], 1) / 3**0.5
    images = grey + (1 + recipe.colour * each(signed[13])) * (rest * angle.cos() + across * angle.sin())
    images = torch.where(chosen(14, recipe.grey), images.mean(1, keepdim=True), images)
    images = images * (1 + 0.2 * recipe.colour * torch.stack(signed[15:18], 1)[:, :, None, None])
    images = 255 * (images.clamp(0, 255) / 255 + 1e-6) ** (recipe.gamma * each(signed[18])).exp()
    if recipe.blur:
        soft = F.avg_pool2d(F.avg_pool2d(F.pad(images, (2, 2, 2, 2), "reflect"), 3, 1), 3, 1)
        images = images + recipe.blur * chosen(19, 0.5) * each(signed[20]) * (soft - images)
    if recipe.noise:
        images = images + torch.randn_like(images) * recipe.noise * each(draws[:, 21] ** 2)
    y, x = (torch.arange(side, device=images.device) / side for side in images.shape[-2:])
    y, x = y.view(1, 1, -1, 1), x.view(1, 1, 1, -1)
    inside = ((x - each(draws[:, 22])).abs() < 0.05 + 0.15 * each(draws[:, 23])) & (
        (y - each(draws[:, 24])).abs() < 0.05 + 0.15 * each(draws[:, 25])
    )
    images = torch.where(inside & chosen(26, recipe.cut), images.mean((1, 2, 3), keepdim=True), images).clamp(0, 255)
    if recipe.join:
        side = chosen(27, recipe.join) & (x > each(0.3 + 0.4 * draws[:, 28]))
        images, masks = torch.where(side, images.roll(1, 0), images), torch.where(side, masks.roll(1, 0), masks)
    return images, masks


def normalise(images: Tensor) -> Tensor:
    """Each image by its own mean and deviation, in channels-last memory."""
    deviation, mean = torch.std_mean(images, (1, 2, 3), correction=0, keepdim=True)
    return ((images - mean) / deviation.clamp(min=1)).contiguous(memory_format=torch.channels_last)


def loss(logits: Tensor, masks: Tensor, recipe: Recipe) -> Tensor:
    """Cross-entropy and soft Dice per image of foreground ``logits`` and ``masks`` ``float32 (N, H, W)``."""
    p = torch.sigmoid(logits)
    overlap, total = (values.flatten(1).sum(1) for values in (p * masks, p + masks))
    entropy = F.binary_cross_entropy_with_logits(logits, masks)
    return recipe.cross_entropy * entropy + recipe.dice * (1 - (2 * overlap + 1) / (total + 1)).mean()


def captured(work: Callable[[], None], stream: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
    """``work`` as a graph, after three runs that choose kernels."""
    for _ in range(3):
        work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    graph.capture_begin(capture_error_mode="thread_local")
    try:
        work()
    finally:
        graph.capture_end()
    return graph


def training(recipe: Recipe, images: Tensor, masks: Tensor, done: Callable[[list[float]], None]) -> Iterator[None]:
    """Yields after each step; calls ``done`` with the Dice without and with flips, a mean over the folds."""
    device, stream, size = images.device, torch.cuda.Stream(), images.shape[-1]

    def fresh(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        options = {"bridge": recipe.bridge} if recipe.network == "resnet34_unet" else {"width": 16, "norm": recipe.norm}
        return build(recipe.network, **options)

    def forward(pixels: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            return heads.foreground_logits(model(normalise(pixels)))

    def step(side: int) -> None:
        pixels, truth = augment(images[rows].float(), masks[rows].float()[:, None], draws, recipe)
        if side != size:
            pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
            truth = F.interpolate(truth, (side, side), mode="area").round()
        optimizer.zero_grad(set_to_none=True)
        loss(forward(pixels), truth[:, 0], recipe).backward()
        optimizer.step()

    with torch.cuda.stream(stream):
        model = fresh(0).to(device, memory_format=torch.channels_last).train()
        lr = torch.tensor(recipe.lr, device=device)
        options = {"lr": lr, "weight_decay": recipe.weight_decay, "fused": True, "capturable": True}
        optimizer = torch.optim.AdamW(model.parameters(), **options)
        rows = torch.zeros(recipe.batch, dtype=torch.long, device=device)
        draws = torch.rand(recipe.batch, 32, device=device)
        whole = captured(lambda: step(size), stream)
        small = captured(lambda: step(size * 3 // 4), stream) if recipe.small else whole
    dice = []
    for fold in range(3):
        order = np.random.default_rng(1234).permutation(len(images))
        held = order[fold::FOLDS]
        kept = torch.from_numpy(np.setdiff1d(order, held)).to(device)
        generator = torch.Generator(device=device)
        generator.manual_seed(fold)
        with torch.cuda.stream(stream):
            model.load_state_dict(fresh(1000 + fold).state_dict())
            for values in optimizer.state.values():
                for value in values.values():
                    value.zero_()
            kept = kept[torch.randperm(len(kept), device=device, generator=generator)][VALID:]
        an_epoch = len(kept) // recipe.batch
        for number in range(recipe.steps):
            progress = number / recipe.steps
            rate = min(1, (progress + 1 / recipe.steps) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))
            with torch.cuda.stream(stream):
                if number % an_epoch == 0:
                    shuffled = kept[torch.randperm(len(kept), device=device, generator=generator)]
                rows.copy_(shuffled[number % an_epoch * recipe.batch :][: recipe.batch])
                draws.uniform_(generator=generator)
                lr.fill_(recipe.lr * rate)
                (small if progress < recipe.small else whole).replay()
            yield
        with torch.cuda.stream(stream), torch.no_grad():
            model.eval()
            pixels, truth = images[held].float(), masks[held].bool()
            plain, mirrored = (torch.sigmoid(forward(each)) for each in (pixels, pixels.flip(3)))
            found = [plain >= 0.5, (plain + mirrored.flip(2)) / 2 >= 0.5]
            scores = [2 * (each & truth).sum((1, 2)) / (each.sum((1, 2)) + truth.sum((1, 2))) for each in found]
            dice.append([score.mean().item() for score in scores])
            model.train()
    done(np.mean(dice, axis=0).round(4).tolist())


def main() -> int:
    """Train the named recipes, or all, as long as the time allows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--raw", type=Path, default=Path("data/raw/download"))
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--streams", type=int, default=6)
    options = parser.parse_args()

    def work() -> None:
        if unknown := set(options.names) - set(RECIPES):
            raise InputError(f"unknown recipe {', '.join(sorted(unknown))}; choose from {', '.join(RECIPES)}")
        if not torch.cuda.is_available():
            raise InputError("this search needs a CUDA GPU; on a CPU, compare two recipes with benchmarks.accuracy")
        with tempfile.TemporaryDirectory() as folder:
            make_project(options.raw, Path(folder), params_with({"preprocess.size": options.size}))
            splits = [open_split(Path(folder) / "processed", split) for split in ("train", "valid")]
            pictures, masks = (
                torch.from_numpy(np.concatenate([getattr(split, kind)[:] for split in splits])).cuda()
                for kind in ("images", "masks")
            )
        images = pictures.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        waiting, running = list(options.names or RECIPES), []
        end = time.monotonic() + 60 * options.minutes
        while (waiting or running) and time.monotonic() < end:
            while waiting and len(running) < options.streams:
                name = waiting.pop(0)

                def done(dice: list[float], name: str = name) -> None:
                    print(json.dumps({"recipe": name, "dice": dice[0], "dice_with_flips": dice[1]}), flush=True)

                running.append(training(RECIPES[name], images, masks, done))
            running = [each for each in running if next(each, StopIteration) is None]
        if running or waiting:
            print(f"out of time: {len(running) + len(waiting)} recipes are not finished", flush=True)

    return run_command("recipe_search", work)


if __name__ == "__main__":
    sys.exit(main())
