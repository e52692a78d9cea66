"""Train one network from the packed data and the plan to a checkpoint, its metrics and its curves.

``train`` is the whole way: read the data, build what trains, loop, write.
"""

import hashlib
import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import segkit
from segkit.augment.plan import read_plan
from segkit.base.errors import InputError
from segkit.base.files import digest, write_json
from segkit.base.interrupts import Interrupted, Stop
from segkit.base.packed import Split, open_split, read_samples, read_summary
from segkit.base.params import Params, Train, recipe_key
from segkit.base.workspace import Paths, run_folder
from segkit.models import build
from segkit.models.checkpoint import save_checkpoint
from segkit.models.device import choose_precision, keep_freed_memory, make_deterministic
from segkit.models.normalize import Normalizer
from segkit.training import optimizers, schedules
from segkit.training.batches import TrainingBatches, resident
from segkit.training.fit import Fit, NotFinite
from segkit.training.logbook import Logbook
from segkit.training.loop import EarlyStopping, Engine
from segkit.training.losses import WeightedLoss
from segkit.training.state import SavedState, Saver, parse
from segkit.training.team import Team

NAMED = 16  # samples in a message


@dataclass(frozen=True)
class TrainingData:
    """The batches of each epoch, the validation set, and how both are normalised."""

    summary: dict[str, Any]
    normalizer: Normalizer
    batches: TrainingBatches
    validation: Split


class Trained(NamedTuple):
    """One line about a finished training, and its saved state; nothing in the processes that do not lead."""

    line: str = ""
    saved: SavedState | None = None


def train(
    name: str, params: Params, device: torch.device, paths: Paths | None = None, stop: Stop | None = None
) -> Trained:
    """Train the network ``name`` on ``device``, from where an earlier run of the same training was saved.

    Writes ``models/NAME.safetensors`` (weights of the lowest validation loss), ``metrics/training/NAME.json`` and, from
    the first epoch on, ``metrics/curves/NAME.csv``; logs to TensorBoard. Of several processes that train together only
    the leading one writes. stop: a signal that asks to save and leave. The caller removes the saved state when it needs
    it no more. Raises InputError for missing data, a loss that is not finite, or the same training at work in another
    process.
    """
    paths, team = paths or Paths(), Team.current()
    recipe: Train = getattr(params, name).train
    batch_key = recipe_key(params, name, "batch_size")
    refuse_idle(recipe, team, batch_key)
    data = read_data(name, params, paths, device, team)
    engine = build_engine(name, params, device, team)
    smallest = min(stop - start for start, stop in data.batches.bounds)
    refuse_lonely_values(engine.model, data.summary["size"], smallest, batch_key)
    metadata = describe(name, params, data, paths) | {"precision": engine.precision}
    with ExitStack() as stack:
        saved = saver = None
        if team.leads:
            saved = stack.enter_context(SavedState(name, _fingerprint(metadata)).held())
            saver = stack.enter_context(Saver(saved, params.runtime.save_every_seconds))
        places = (run_folder(name), paths.metrics / "curves" / f"{name}.csv") if team.leads else (None, None)
        fit = Fit(name, engine, recipe, Logbook(*places, recipe.epochs), saver, stop or Stop())
        content = team.share(saved.read() if saved else None)
        if content is not None:
            fit.restore(parse(content))
        if team.leads:
            print(_first_line(fit, data), flush=True)
        try:
            with fit.logbook:
                fit.run(data.batches, data.validation, data.normalizer)
        except NotFinite as fault:
            raise InputError(_explain(fault, fit, params, metadata, paths)) from None
        if not team.leads:
            return Trained()
        fit.logbook.write_timing(device, engine.precision, team.size)
        trained = Trained(_write(name, fit, metadata, paths), saved)
        if fit.stop.number:
            raise Interrupted(fit.stop.number, " when its result was written")
        return trained


def read_data(name: str, params: Params, paths: Paths, device: torch.device, team: Team) -> TrainingData:
    """Open the packed data and the plan; raises InputError where they are missing, damaged or too few for a batch."""
    recipe: Train = getattr(params, name).train
    summary = read_summary(paths.processed)
    training, validation = (open_split(paths.processed, split) for split in ("train", "valid"))
    normalizer = Normalizer.from_summary(params.preprocess.normalize, summary)
    plan = read_plan(paths.plan, len(training), params.augment)
    refuse_large_batch(recipe, len(plan), recipe_key(params, name, "batch_size"))
    batches = TrainingBatches(
        resident(training, device),
        plan,
        params.augment.combine,
        normalizer,
        seed=params.seed,
        batch_size=recipe.batch_size,
        device=device,
        part=team.part,
    )
    return TrainingData(summary, normalizer, batches, validation)


def build_engine(name: str, params: Params, device: torch.device, team: Team | None = None) -> Engine:
    """A fresh network with its loss, optimizer and learning-rate schedule, as ``params`` say."""
    team, recipe = team or Team(), getattr(params, name).train
    keep_freed_memory()
    make_deterministic(params.seed)
    precision = choose_precision(recipe.precision, device)
    model = team.synchronise(create(name, params).to(device, memory_format=torch.channels_last))
    optimizer = getattr(optimizers, recipe.optimizer)(model.parameters(), recipe)
    schedule = getattr(schedules, recipe.schedule)

    def learning_rate(epochs: float) -> float:
        return recipe.lr * schedule(epochs / recipe.epochs)

    return Engine(model, WeightedLoss.of(recipe.loss), optimizer, learning_rate, device, precision, team)


def create(name: str, params: Params) -> nn.Module:
    """A fresh network, with ImageNet weights where ``params`` ask for them."""
    model = build(name, **architecture(name, params))
    if getattr(getattr(params, name), "pretrained", False):
        model.load_imagenet_encoder()
    return model


def architecture(name: str, params: Params) -> dict[str, Any]:
    """What ``segkit.models.build`` needs to build the network again."""
    section = getattr(params, name)
    return {key: getattr(section, key) for key in section.architecture().model_fields}


def _first_line(fit: Fit, data: TrainingData) -> str:
    engine = fit.engine
    together = f", {engine.team.size} processes" if engine.team.size > 1 else ""
    place = f"; goes on in epoch {fit.epoch + 1} after {len(fit.totals)} steps" if fit.epoch or fit.totals else ""
    return (
        f"{fit.name}: {_count_parameters(engine.model):,} parameters, {len(data.batches.plan):,} samples an epoch, "
        f"{engine.device.type}{together}, {engine.precision}{place}"
    )


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _save_best(path: Path, stopping: EarlyStopping, metadata: dict[str, Any]) -> None:
    valid = {"loss": stopping.best_loss, "dice": stopping.best_dice, "epoch": stopping.best_epoch + 1}
    save_checkpoint(path, stopping.best_weights, metadata | {"valid": valid})


def _write(name: str, fit: Fit, metadata: dict[str, Any], paths: Paths) -> str:
    """Write checkpoint and metrics; returns one line about them. The curves are written already."""
    stopping, epochs = fit.stopping, len(fit.logbook.rows)
    result = {
        "epochs": epochs,
        "best_epoch": stopping.best_epoch + 1,
        "best_valid_loss": stopping.best_loss,
        "best_valid_dice": stopping.best_dice,
        "stopped_early": epochs < fit.recipe.epochs,
        "parameters": _count_parameters(fit.engine.model),
    }
    checkpoint = paths.models / f"{name}.safetensors"
    _save_best(checkpoint, stopping, metadata)
    write_json(paths.metrics / "training" / f"{name}.json", result)
    return (
        f"{checkpoint}: valid Dice {stopping.best_dice:.4f}, valid loss {stopping.best_loss:.4f}, from epoch "
        f"{result['best_epoch']} of {epochs}{' (stopped early)' if result['stopped_early'] else ''}"
    )


def _explain(fault: NotFinite, fit: Fit, params: Params, metadata: dict[str, Any], paths: Paths) -> str:
    """One line about a loss that is not finite; the best weights so far are saved where it says."""
    names = [row["name"] for row in read_samples(paths.processed, fault.split)]
    listed = ", ".join(names[row] for row in fault.rows[:NAMED])
    more = f" and {len(fault.rows) - NAMED} more" if len(fault.rows) > NAMED else ""
    advice = f"lower {recipe_key(params, fit.name, 'lr')}"
    if fit.engine.precision != "fp32":
        advice += f", or set {recipe_key(params, fit.name, 'precision')} to fp32"
    kept = "no epoch was finished before"
    if fit.stopping.best_weights:
        place = run_folder(fit.name) / "best.safetensors"
        kept = f"the best weights so far, of epoch {fit.stopping.best_epoch + 1}, are in {place}"
        if fit.engine.team.leads:
            _save_best(place, fit.stopping, metadata)
    return (
        f"{fit.name}, epoch {fault.epoch + 1}, step {fault.step + 1} of {fault.split}: the loss is no longer finite, "
        f"with the samples {listed}{more}; {advice}; {kept}"
    )


def describe(name: str, params: Params, data: TrainingData, paths: Paths) -> dict[str, Any]:
    """What a checkpoint says of itself: how to build and use the network, and the data and recipe it comes from."""
    section = getattr(params, name)
    return {
        "model": name,
        "architecture": architecture(name, params),
        "input_size": data.summary["size"],
        "normalize": data.normalizer.as_metadata(),
        "threshold": params.evaluate.threshold,
        "classes": {"0": "background", "1": "foreground"},
        "border": data.summary["border"],
        "seed": params.seed,
        "train": section.train.model_dump(mode="json"),
        "pretrained": getattr(section, "pretrained", False),
        "combine": params.augment.combine.model_dump(mode="json"),
        "samples": data.batches.plan.summary(),
        "data_fingerprint": data_fingerprint(data.summary, paths.plan),
        "version": segkit.__version__,
    }


def refuse_idle(recipe: Train, team: Team, key: str) -> None:
    """Every process of a team needs a sample in each step: else InputError that names ``key``."""
    if recipe.batch_size < team.size:
        raise InputError(
            f"{key}: {recipe.batch_size} samples a step leave some of {team.size} processes nothing to do; "
            "raise it, or lower runtime.devices"
        )


def refuse_large_batch(recipe: Train, samples: int, key: str = "train.batch_size") -> None:
    """A batch that an epoch of so many samples cannot fill is not what was asked for: InputError."""
    if recipe.batch_size > samples:
        raise InputError(f"{key}: {recipe.batch_size:,} is larger than the {samples:,} samples of an epoch; lower it")


def refuse_lonely_values(
    model: nn.Module, size: tuple[int, int], smallest_batch: int, key: str = "train.batch_size"
) -> None:
    """Batch normalisation cannot train where the deepest layer has one pixel and the batch one sample: InputError."""
    one_pixel = max(size) <= model.stride and any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    if one_pixel and smallest_batch == 1:
        raise InputError(
            f"{key}: a batch of 1 sample at {size[0]}x{size[1]} px leaves batch normalisation a single "
            f"value; raise it to 2 or more, or raise preprocess.size above {model.stride}"
        )


def data_fingerprint(summary: dict[str, Any], plan: Path) -> str:
    """SHA-256 over the digests of the packed files and the plan."""
    parts = [*summary["files"].values(), digest(plan)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _fingerprint(metadata: dict[str, Any]) -> str:
    """SHA-256 of all that decides a training's weights: what its checkpoint says of itself, but for the threshold, and
    the code."""
    decisive = {key: value for key, value in metadata.items() if key != "threshold"} | {"code": code_fingerprint()}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def code_fingerprint() -> str:
    """SHA-256 over the source of every segkit module that this process has imported."""
    files = sorted((name, module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "segkit")
    return hashlib.sha256("\n".join(f"{name} {digest(file)}" for name, file in files if file).encode()).hexdigest()
