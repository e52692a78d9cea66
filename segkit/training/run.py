"""Train one network from the packed data and the plan to a checkpoint, its metrics and its curves."""

import hashlib
import math
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import segkit
from segkit.data.batches import TrainingBatches, plain_batches, resident
from segkit.data.normalize import Normalizer
from segkit.data.packed import Split, open_split, read_summary
from segkit.data.plan import read_plan
from segkit.errors import InputError
from segkit.files import digest, write_json
from segkit.models import build, heads
from segkit.models.checkpoint import save_checkpoint
from segkit.params import Params, Train, as_dict
from segkit.training.device import choose_device, choose_precision, keep_freed_memory, make_deterministic
from segkit.training.logbook import Logbook
from segkit.training.loop import EarlyStopping, Engine
from segkit.training.optimizer import AdamW
from segkit.training.team import Team
from segkit.workspace import Paths, run_folder


@dataclass(frozen=True)
class TrainingData:
    """The batches of each epoch, the validation set, and how both are normalised."""

    summary: dict[str, Any]
    normalizer: Normalizer
    batches: TrainingBatches
    validation: Split


def train(name: str, params: Params, paths: Paths | None = None) -> str:
    """Train the network ``name`` and return one line about it.

    Writes ``models/NAME.safetensors`` (weights of the lowest validation loss), ``metrics/train_NAME.json`` and
    ``metrics/curves/NAME.csv``; logs to TensorBoard. Of several processes that train together only the leading one
    writes, and the others return an empty line. Raises InputError for missing data or a loss that is not finite.
    """
    paths, team = paths or Paths(), Team.current()
    keep_freed_memory()
    make_deterministic(params.seed)
    recipe: Train = getattr(params, name).train
    device = choose_device(params.runtime.device)
    precision = choose_precision(recipe.precision, device)
    _refuse_idle(recipe, team)
    data = _open_data(params, recipe, paths, device, team)
    refuse_large_batch(recipe, len(data.batches.plan))
    model, architecture = create(name, params)
    model = model.to(device, memory_format=torch.channels_last)
    smallest = min(stop - start for start, stop in data.batches.bounds)
    refuse_lonely_values(model, data.summary["size"], smallest)
    model = team.synchronise(model)
    engine = Engine(model, AdamW(model.parameters(), recipe.lr, recipe.weight_decay), device, precision, team)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if team.leads:
        together = f", {team.size} processes" if team.size > 1 else ""
        print(
            f"{name}: {parameters:,} parameters, {len(data.batches.plan):,} samples an epoch, {device.type}{together}, "
            f"{precision}",
            flush=True,
        )
    with Logbook(run_folder(name) if team.leads else None, recipe.epochs) as logbook:
        stopping = fit(name, engine, data, recipe, logbook)
        if not team.leads:
            return ""
        logbook.write_timing(device, precision, team.size)

    result = {
        "epochs": len(logbook.rows),
        "best_epoch": stopping.best_epoch + 1,
        "best_valid_loss": stopping.best_loss,
        "best_valid_dice": stopping.best_dice,
        "stopped_early": len(logbook.rows) < recipe.epochs,
        "parameters": parameters,
    }
    metadata = (
        {"model": name, "architecture": architecture}
        | _provenance(name, params, recipe, data, paths)
        | {
            "precision": precision,
            "valid": {"loss": stopping.best_loss, "dice": stopping.best_dice, "epoch": stopping.best_epoch + 1},
        }
    )
    checkpoint = paths.models / f"{name}.safetensors"
    save_checkpoint(checkpoint, stopping.best_weights, metadata)
    logbook.write_curves(paths.metrics / "curves" / f"{name}.csv")
    write_json(paths.metrics / f"train_{name}.json", {name: {"train": result}})
    return (
        f"{checkpoint}: valid Dice {stopping.best_dice:.4f}, valid loss {stopping.best_loss:.4f}, from epoch "
        f"{result['best_epoch']} of {result['epochs']}{' (stopped early)' if result['stopped_early'] else ''}"
    )


def create(name: str, params: Params) -> tuple[nn.Module, dict[str, Any]]:
    """A fresh network and the architecture that ``segkit.models.build`` needs to build it again."""
    section = as_dict(getattr(params, name))
    architecture = {key: value for key, value in section.items() if key not in ("train", "pretrained")}
    model = build(name, **architecture)
    if section.get("pretrained"):
        model.load_imagenet_encoder()
    return model, architecture


def fit(name: str, engine: Engine, data: TrainingData, recipe: Train, logbook: Logbook) -> EarlyStopping:
    """Train until ``recipe.epochs`` or ``recipe.patience`` is reached; returns the best weights with their scores."""
    stopping = EarlyStopping(recipe.patience)
    validation_batches = partial(
        plain_batches, data.validation, data.normalizer, batch_size=recipe.batch_size, device=engine.device
    )
    part = engine.team.part
    for epoch in range(recipe.epochs):
        start = time.perf_counter()
        train_loss, train_dice = engine.train(
            data.batches.epoch(epoch), steps=len(data.batches), label=f"{name} epoch {epoch + 1}/{recipe.epochs}"
        )
        seconds = time.perf_counter() - start
        valid_loss, valid_dice = engine.validate(validation_batches(part=part))
        if not (math.isfinite(train_loss) and math.isfinite(valid_loss)):
            raise InputError(
                f"{name}, epoch {epoch + 1}: the loss is no longer finite (training {train_loss}, validation "
                f"{valid_loss}); lower train.lr, or set train.precision to fp32"
            )
        best = stopping.update(epoch, valid_loss, valid_dice, engine.model)
        rate = engine.optimizer.param_groups[0]["lr"]
        row = (epoch + 1, train_loss, valid_loss, train_dice, valid_dice, rate)
        logbook.epoch(row, images=len(data.batches.plan), seconds=seconds, best=best)
        if best and engine.team.leads:
            logbook.pictures(epoch + 1, data.validation, engine.predict(next(validation_batches())))
        if stopping.should_stop(epoch):
            break
    return stopping


def _open_data(params: Params, recipe: Train, paths: Paths, device: torch.device, team: Team) -> TrainingData:
    summary = read_summary(paths.processed)
    training, validation = (open_split(paths.processed, split) for split in ("train", "valid"))
    normalizer = Normalizer.from_summary(params.preprocess.normalize, summary)
    plan = read_plan(paths.plan, len(training))
    batches = TrainingBatches(
        resident(training, device),
        plan,
        normalizer,
        seed=params.seed,
        batch_size=recipe.batch_size,
        device=device,
        part=team.part,
    )
    return TrainingData(summary, normalizer, batches, validation)


def _provenance(name: str, params: Params, recipe: Train, data: TrainingData, paths: Paths) -> dict[str, Any]:
    """What a checkpoint says of the data, the recipe and the code that it comes from."""
    return {
        "input_size": data.summary["size"],
        "normalize": data.normalizer.as_metadata(),
        "threshold": heads.DEFAULT_THRESHOLD,
        "classes": {"0": "background", "1": "foreground"},
        "border": data.summary["border"],
        "seed": params.seed,
        "train": as_dict(recipe),
        "pretrained": getattr(getattr(params, name), "pretrained", False),
        "samples": data.batches.plan.summary(),
        "fingerprints": {"data": data_fingerprint(data.summary, paths.plan), "code": code_fingerprint()},
        "version": segkit.__version__,
    }


def _refuse_idle(recipe: Train, team: Team) -> None:
    if recipe.batch_size < team.size:
        raise InputError(
            f"train.batch_size: {recipe.batch_size} samples a step leave some of {team.size} processes nothing to do; "
            "raise it, or lower runtime.devices"
        )


def refuse_large_batch(recipe: Train, samples: int) -> None:
    """A batch that an epoch of so many samples cannot fill is not what was asked for: InputError."""
    if recipe.batch_size > samples:
        raise InputError(
            f"train.batch_size: {recipe.batch_size:,} is larger than the {samples:,} samples of an epoch; lower it"
        )


def refuse_lonely_values(model: nn.Module, size: tuple[int, int], smallest_batch: int) -> None:
    """Batch normalisation cannot train where the deepest layer has one pixel and the batch one sample: InputError."""
    one_pixel = max(size) <= model.stride and any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    if one_pixel and smallest_batch == 1:
        raise InputError(
            f"train.batch_size: a batch of 1 sample at {size[0]}x{size[1]} px leaves batch normalisation a single "
            f"value; raise it to 2 or more, or raise preprocess.size above {model.stride}"
        )


def data_fingerprint(summary: dict[str, Any], plan: Path) -> str:
    """SHA-256 over the digests of the packed arrays and the plan."""
    parts = [split[key] for split in summary["splits"].values() for key in ("images_sha256", "masks_sha256")]
    return hashlib.sha256("\n".join([*parts, digest(plan)]).encode()).hexdigest()


def code_fingerprint() -> str:
    """SHA-256 over the source of every segkit module that this process has imported."""
    files = sorted((name, module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "segkit")
    return hashlib.sha256("\n".join(f"{name} {digest(file)}" for name, file in files if file).encode()).hexdigest()
