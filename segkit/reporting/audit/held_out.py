"""Foreground probabilities of each sample from a network that has not seen it: K-fold cross-validation (Stone,
"Cross-Validatory Choice and Assessment of Statistical Predictions", 1974).

For each fold a network is trained on the other folds, with the recipe of ``params.yaml`` and the weights of its last
epoch, so that no mask of the fold has any influence. Finished folds and the state of an unfinished one are kept in
``.segkit/``, so an interrupted audit resumes.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import segkit
from segkit.augment.plan import make_plan
from segkit.base import interrupts
from segkit.base.errors import InputError
from segkit.base.files import atomic_write, digest, remove
from segkit.base.interrupts import Stop
from segkit.base.packed import read_summary
from segkit.base.params import Params, recipe_key
from segkit.base.prefetch import run_ahead
from segkit.base.progress import bar
from segkit.base.workspace import kept
from segkit.models import network, pretrained
from segkit.models.checkpoint import Checkpoint
from segkit.models.device import choose_device
from segkit.models.normalize import Normalizer
from segkit.models.predictor import Predictor
from segkit.reporting.audit.samples import Audited, Image, folds
from segkit.training.batches import TrainingBatches
from segkit.training.fit import Fit, NotFinite
from segkit.training.logbook import Logbook
from segkit.training.loop import Engine
from segkit.training.pace import Pace
from segkit.training.run import build_engine, refuse_batch_size, refuse_lonely_values
from segkit.training.schedules import image_size
from segkit.training.state import SavedState, Saver, parse

BATCH = 32
# What can change folds and predictions.
CODE = ("augment", "models", "training", "reporting/audit/held_out.py", "reporting/audit/samples.py")


class HeldOut:
    """Cross-validation of the network ``name`` on the samples of ``processed`` in ``count`` folds."""

    def __init__(self, name: str, params: Params, processed: Path, count: int) -> None:
        self.name, self.params, self.count = name, _without_selection(name, params), count
        self.processed, self.summary = processed, read_summary(processed)
        self.audited = Audited.open(processed)
        self.folds = folds(self.audited, count, params.seed)
        self.device = choose_device(params.runtime.device)
        self.fingerprint = self._fingerprint()
        self.folder = kept() / "audit" / f"{name}-{self.fingerprint[:16]}"

    def __iter__(self) -> Iterator[tuple[Image, Tensor]]:
        """Each image with its foreground probabilities ``float32 (h, w)``, at the size at which it is scored.

        Raises InputError for a loss that is not finite, Interrupted after a signal; what was done by then is kept.
        """
        self._remove_others()
        for number, images in enumerate(self.folds):
            path = self.folder / f"fold_{number}.npy"
            if not path.exists():
                probabilities = self._predict(self._train(number), images)
                with atomic_write(path) as file:
                    np.save(file, probabilities)
            yield from zip(images, self.audited.assemble(images, np.load(path)), strict=True)

    def _train(self, number: int) -> Engine:
        """A network trained on all folds but one."""
        params, recipe = self.params, getattr(self.params, self.name).train
        inside = self.folds[number]
        others = [image for fold in self.folds if fold is not inside for image in fold]
        training, outside = self.audited.part(others), self.audited.part(inside)
        plan = make_plan(len(training), params.augment)
        key = recipe_key(params, self.name, "batch_size")
        refuse_batch_size(recipe.batch_size, len(plan), key=key)
        engine = build_engine(self.name, params, self.device)
        batches = TrainingBatches(
            training,
            plan,
            params.augment.combine,
            self.normalizer,
            seed=params.seed,
            batch_size=recipe.batch_size,
            device=self.device,
            size=partial(image_size, recipe, tuple(self.summary["size"]), network(self.name).stride),
        )
        label = f"{self.name} without fold {number + 1} of {self.count}"
        refuse_lonely_values(engine.model, batches.size(0), min(stop - start for start, stop in batches.bounds), key)
        saved = SavedState(f"audit-{self.name}-{number}", self.fingerprint)
        with ExitStack() as stack:
            stop = stack.enter_context(interrupts.deferred())
            stack.enter_context(saved.held())
            saver = stack.enter_context(Saver(saved, params.runtime.save_every_seconds))
            fit = self._fit(engine, saver, stop, label)
            if (content := saved.read()) is not None:
                fit.restore(parse(content))
            try:
                fit.run(batches, outside)
            except NotFinite as fault:
                raise InputError(
                    f"{label}, epoch {fault.epoch + 1}: the loss is no longer finite; lower "
                    f"{recipe_key(params, self.name, 'lr')}"
                ) from None
        saved.remove()
        return engine

    def _fit(self, engine: Engine, saver: Saver, stop: Stop, label: str) -> Fit:
        recipe = getattr(self.params, self.name).train
        return Fit(label, engine, recipe, _Lines(label, recipe.epochs), saver, stop)

    def _predict(self, engine: Engine, chosen: list[Image]) -> np.ndarray:
        """Probabilities ``float16 (M, H, W)`` of all rows of the images."""
        checkpoint = Checkpoint(engine.model, {"normalize": self.normalizer.as_metadata()})
        predictor = Predictor(checkpoint, self.device, tta=self.params.evaluate.tta == "flip")
        images = self.audited.part(chosen).images
        found = np.empty(images.shape[:3], np.float16)
        starts = range(0, len(images), BATCH)
        batches = run_ahead(torch.from_numpy(images[start : start + BATCH]) for start in starts)
        for start, pictures in zip(starts, bar(batches, label="predict", total=len(starts)), strict=True):
            found[start : start + BATCH] = predictor.probabilities(pictures).cpu().numpy()
        return found

    @property
    def normalizer(self) -> Normalizer:
        """As the network is trained with."""
        section = getattr(self.params, self.name)
        kind = pretrained.normalization(getattr(section, "pretrained", False), self.params.preprocess.normalize)
        return Normalizer.from_summary(kind, self.summary)

    def _fingerprint(self) -> str:
        """SHA-256 of all that determines the probabilities."""
        decisive = {
            "params": self.params.model_dump(mode="json", exclude={"runtime", "data"}, warnings=False),
            "files": self.summary["files"],
            "folds": self.count,
            "code": [digest(path) for path in _code()],
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def _remove_others(self) -> None:
        """Probabilities of a large data set fill gigabytes: those of this audit replace those of earlier ones."""
        for folder in (kept() / "audit").glob(f"{self.name}-*"):
            if folder != self.folder:
                remove(folder)


def _code() -> list[Path]:
    """All files of CODE."""
    places = [Path(segkit.__file__).parent / place for place in CODE]
    return sorted(path for place in places for path in ([place] if place.is_file() else place.rglob("*.py")))


class _Lines(Logbook):
    """Prints a line an epoch, and writes nothing."""

    def __init__(self, label: str, epochs: int) -> None:
        super().__init__(None, None, epochs)
        self.label = label

    def epoch(self, row: tuple[float, ...], *, images: int, pace: Pace, best: bool) -> None:
        """Record one epoch, as ``Logbook`` does."""
        super().epoch(row, images=images, pace=pace, best=best)
        epoch, loss, held_out_loss, dice, held_out_dice, _ = row
        print(
            f"{self.label}: epoch {int(epoch):3d}/{self.epochs}  loss {loss:.4f}  held out {held_out_loss:.4f}  "
            f"dice {dice:.4f}  held out {held_out_dice:.4f}  {images / pace.seconds:.1f} images/s",
            flush=True,
        )


def _without_selection(name: str, params: Params) -> Params:
    """No early stopping, which would look at the masks of the fold that is held out."""
    section = getattr(params, name)
    train = section.train.model_copy(update={"patience": section.train.epochs})
    return params.model_copy(update={name: section.model_copy(update={"train": train})})
