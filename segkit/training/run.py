"""Train one network from the packed data and the plan to a checkpoint, its metrics and its curves.

``train`` does all of it: read the data, build the engine, train, write.
"""

import hashlib
import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import segkit
from segkit.augment.plan import read_plan
from segkit.base.errors import InputError, brief
from segkit.base.files import digest, write_json
from segkit.base.interrupts import Interrupted, Stop
from segkit.base.packed import Split, open_split, read_samples, read_summary
from segkit.base.params import Params, Train, recipe_key
from segkit.base.workspace import Paths, run_folder
from segkit.models import build, network, pretrained
from segkit.models.checkpoint import save_checkpoint
from segkit.models.device import choose_precision, keep_freed_memory, make_deterministic
from segkit.models.normalize import Normalizer
from segkit.training import optimizers
from segkit.training.batches import TrainingBatches
from segkit.training.distributed import ALONE, World
from segkit.training.fit import Fit, NotFinite
from segkit.training.logbook import Logbook
from segkit.training.loop import EarlyStopping, Engine
from segkit.training.losses import WeightedLoss
from segkit.training.messages import count_parameters, first_lines, last_words, listed
from segkit.training.schedules import image_size, learning_rate
from segkit.training.state import SavedState, Saver, parse


class Trained(NamedTuple):
    """One line about a finished training, and its saved state; neither on ranks other than 0."""

    line: str = ""
    saved: SavedState | None = None


def train(
    name: str, params: Params, device: torch.device, paths: Paths | None = None, stop: Stop | None = None
) -> Trained:
    """Train the network ``name`` on ``device``, resuming if an earlier run of the same training was saved.

    Writes ``models/NAME.safetensors`` (the weights with the best validation score), ``metrics/training/NAME.json``
    and, from the first epoch on, ``metrics/curves/NAME.csv``; logs to TensorBoard. Of several ranks only 0 writes.
    ``stop``: a signal that asks to save and end. The caller removes the saved state when it is no longer needed. Raises
    InputError for missing data, a loss that is not finite, or the same training running in another process.
    """
    paths, stop, world = paths or Paths(), stop or Stop(), World.current()
    recipe: Train = getattr(params, name).train
    summary, batches, validation = read_data(name, params, paths, device, world)
    engine = build_engine(name, params, device, world)
    smallest = min(stop - start for start, stop in batches.bounds)
    refuse_lonely_values(engine.model, batches.size(0), smallest, recipe_key(params, name, "batch_size"))
    metadata = describe(name, params, summary, batches, engine, paths)
    with ExitStack() as stack:
        saved = saver = folder = curves = None
        if world.is_main:
            saved = stack.enter_context(SavedState(name, _fingerprint(metadata)).held())
            saver = stack.enter_context(Saver(saved, params.runtime.save_every_seconds))
            folder, curves = run_folder(name), paths.metrics / "curves" / f"{name}.csv"
        fit = Fit(name, engine, recipe, Logbook(folder, curves, recipe.epochs), saver, stop)
        content = world.broadcast(saved.read() if saved else None)
        if content is not None:
            try:
                fit.restore(parse(content))
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # what torch raises depends on which part does not fit
                if saved:
                    saved.reject(f"does not fit this training ({brief(error)})")
                engine = build_engine(name, params, device, world)
                fit = Fit(name, engine, recipe, Logbook(folder, curves, recipe.epochs), saver, stop)
        if world.is_main:
            print(first_lines(fit, batches, params), flush=True)
        try:
            with fit.logbook:
                fit.run(batches, validation)
                fit.logbook.result(_with_scores(metadata, fit.stopping))
        except NotFinite as fault:
            raise InputError(_explain(fault, fit, params, metadata, paths)) from None
        if not world.is_main:
            return Trained()
        fit.logbook.write_timing(device, engine.precision, world.size)
        trained = Trained(_write(name, fit, metadata, paths) + last_words(fit.stopping.best_dice, validation), saved)
        if stop.number:
            raise Interrupted(stop.number, " after its result was written")
        return trained


def read_data(
    name: str, params: Params, paths: Paths, device: torch.device, world: World
) -> tuple[dict[str, Any], TrainingBatches, Split]:
    """The summary of the packed data, the training batches and the validation set; raises InputError if data or plan
    are missing, damaged or do not fit the batch."""
    section, key = getattr(params, name), recipe_key(params, name, "batch_size")
    batch_size = section.train.batch_size
    kind = pretrained.normalization(getattr(section, "pretrained", False), params.preprocess.normalize)
    summary = read_summary(paths.processed)
    training, validation = (open_split(paths.processed, split) for split in ("train", "valid"))
    plan = read_plan(paths.plan, len(training), params.augment)
    refuse_batch_size(batch_size, len(plan), world, key)
    batches = TrainingBatches(
        training,
        plan,
        params.augment.combine,
        Normalizer.from_summary(kind, summary),
        seed=params.seed,
        batch_size=batch_size,
        device=device,
        world=world,
        size=partial(image_size, section.train, tuple(summary["size"]), network(name).stride),
    )
    return summary, batches, validation


def build_engine(name: str, params: Params, device: torch.device, world: World = ALONE) -> Engine:
    """A fresh network with its loss, optimizer and learning-rate schedule, as ``params`` say."""
    section = getattr(params, name)
    recipe: Train = section.train
    keep_freed_memory()
    make_deterministic(params.seed)
    model = world.sync_batch_norm(create(name, params).to(device, memory_format=torch.channels_last), device)
    parameters = optimizers.groups(model, getattr(section, "encoder_lr", 1.0))
    return Engine(
        model,
        WeightedLoss.of(recipe.loss),
        getattr(optimizers, recipe.optimizer)(parameters, recipe),
        partial(learning_rate, recipe),
        device,
        choose_precision(recipe.precision, device),
        world,
    )


def create(name: str, params: Params) -> nn.Module:
    """A fresh network, its encoder with the weights that ``params`` ask for."""
    model = build(name, **architecture(name, params))
    if setting := getattr(getattr(params, name), "pretrained", False):
        model.load_encoder(pretrained.read(setting, params.runtime.weights_dir))
    return model


def architecture(name: str, params: Params) -> dict[str, Any]:
    """What ``segkit.models.build`` needs to build the network again."""
    section = getattr(params, name)
    return {key: getattr(section, key) for key in section.architecture().model_fields}


def _save_best(path: Path, stopping: EarlyStopping, metadata: dict[str, Any]) -> None:
    save_checkpoint(path, stopping.best_weights, _with_scores(metadata, stopping))


def _with_scores(metadata: dict[str, Any], stopping: EarlyStopping) -> dict[str, Any]:
    """A checkpoint's metadata with the validation scores of its weights."""
    valid = {"loss": stopping.best_loss, "dice": stopping.best_dice, "epoch": stopping.best_epoch + 1}
    return metadata | {"valid": valid}


def _write(name: str, fit: Fit, metadata: dict[str, Any], paths: Paths) -> str:
    """Write checkpoint and metrics; returns one line about them. The curves are written already."""
    stopping, epochs = fit.stopping, len(fit.logbook.rows)
    stopped_early = epochs < fit.recipe.epochs
    checkpoint = paths.models / f"{name}.safetensors"
    _save_best(checkpoint, stopping, metadata)
    result = {
        "epochs": epochs,
        "best_epoch": stopping.best_epoch + 1,
        "best_valid_loss": stopping.best_loss,
        "best_valid_dice": stopping.best_dice,
        "stopped_early": stopped_early,
        "parameters": count_parameters(fit.engine.model),
    }
    write_json(paths.metrics / "training" / f"{name}.json", result)
    return (
        f"{checkpoint}: valid Dice {stopping.best_dice:.4f}, valid loss {stopping.best_loss:.4f}, from epoch "
        f"{stopping.best_epoch + 1} of {epochs}{' (stopped early)' if stopped_early else ''}"
    )


def _explain(fault: NotFinite, fit: Fit, params: Params, metadata: dict[str, Any], paths: Paths) -> str:
    """One line about a loss that is not finite; the best weights so far are saved to the file that it names."""
    samples = read_samples(paths.processed, fault.split)
    names = [samples[row]["name"] for row in fault.rows]  # windows share the name of their image
    advice = f"lower {recipe_key(params, fit.name, 'lr')}"
    if fit.engine.precision != "fp32":
        advice += f", or set {recipe_key(params, fit.name, 'precision')} to fp32"
    kept = "no epoch was finished before"
    if fit.stopping.best_weights:
        place = run_folder(fit.name) / "best.safetensors"
        kept = f"the best weights so far, of epoch {fit.stopping.best_epoch + 1}, are in {place}"
        if fit.engine.world.is_main:
            _save_best(place, fit.stopping, metadata)
    return (
        f"{fit.name}, epoch {fault.epoch + 1}, step {fault.step + 1} of {fault.split}: the loss is no longer finite, "
        f"with the samples {listed(names)}; {advice}; {kept}"
    )


def describe(
    name: str, params: Params, summary: dict[str, Any], batches: TrainingBatches, engine: Engine, paths: Paths
) -> dict[str, Any]:
    """A checkpoint's metadata: how to build and use the network, and the data and recipe it comes from."""
    section = getattr(params, name)
    return section.model_dump(mode="json", include=set(section.training_only)) | {
        "model": name,
        "architecture": architecture(name, params),
        "source": summary["source"],
        "input_size": summary["size"],
        "normalize": batches.normalizer.as_metadata(),
        "threshold": params.evaluate.threshold,
        "tta": params.evaluate.tta,
        "classes": {"0": "background", "1": "foreground"},
        "border": summary["border"],
        "resize": summary["resize"],
        "range": summary["range"],
        "seed": params.seed,
        "pretrained": getattr(engine.model, "started_from", False),  # names no folder of this machine
        "precision": engine.precision,
        "combine": params.augment.combine.model_dump(mode="json"),
        "samples": batches.plan.summary(),
        "data_fingerprint": _sha256("\n".join([*summary["files"].values(), digest(paths.plan)])),
        "version": segkit.__version__,
    }


def refuse_batch_size(batch_size: int, samples: int, world: World = ALONE, key: str = "train.batch_size") -> None:
    """Raises InputError for a batch that an epoch cannot fill, or that leaves a rank without a sample."""
    if batch_size > samples:
        raise InputError(f"{key}: {batch_size:,} is larger than the {samples:,} samples of an epoch; lower it")
    if batch_size < world.size:
        raise InputError(
            f"{key}: a batch of {batch_size} samples is too small for {world.size} processes; raise it, or lower "
            "runtime.devices"
        )


def refuse_lonely_values(
    model: nn.Module, size: tuple[int, int], smallest_batch: int, key: str = "train.batch_size"
) -> None:
    """Raises InputError if the deepest layer has one pixel and the batch one sample: batch normalisation cannot train
    on a single value per channel."""
    normalised = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if normalised and smallest_batch == 1 and max(size) <= model.stride:
        raise InputError(
            f"{key}: a batch of 1 sample at {size[0]}x{size[1]} px gives batch normalisation a single value per "
            f"channel; raise it to 2 or more, or raise preprocess.size above {model.stride}"
        )


def _fingerprint(metadata: dict[str, Any]) -> str:
    """SHA-256 of everything that determines the trained weights: the checkpoint's metadata, except how it is
    evaluated, and the code."""
    decisive = {key: value for key, value in metadata.items() if key not in ("threshold", "tta")}
    decisive["code"] = code_fingerprint()
    return _sha256(json.dumps(decisive, sort_keys=True))


def code_fingerprint() -> str:
    """SHA-256 over the source of every segkit module that this process has imported."""
    files = sorted((name, module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "segkit")
    return _sha256("\n".join(f"{name} {digest(file)}" for name, file in files if file))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
