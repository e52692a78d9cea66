"""The epochs of one training, and its state, which is saved so that a killed run can resume."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from segkit.base.interrupts import Interrupted, Stop
from segkit.base.packed import Split
from segkit.base.params import Train
from segkit.training.batches import Batch, TrainingBatches, plain_batches
from segkit.training.logbook import Logbook
from segkit.training.loop import EarlyStopping, Engine, Totals
from segkit.training.pace import Pace
from segkit.training.state import Saver


@dataclass
class NotFinite(Exception):
    """A loss is NaN or infinite. ``rows``: the samples of that step in ``split``; epoch and step count from 0."""

    split: str
    epoch: int
    step: int
    rows: list[int]


class Fit:
    """One training: everything that changes during it, and nothing else.

    ``saver``: None on all ranks but 0.
    """

    def __init__(
        self, name: str, engine: Engine, recipe: Train, logbook: Logbook, saver: Saver | None, stop: Stop
    ) -> None:
        self.name, self.engine, self.recipe, self.logbook = name, engine, recipe, logbook
        self.saver, self.stop = saver, stop
        self.stopping = EarlyStopping(recipe.patience, recipe.select)
        self.epoch, self.totals, self.pace = 0, Totals(), Pace()

    def run(self, batches: TrainingBatches, validation: Split) -> None:
        """Train until ``recipe.epochs`` or ``recipe.patience`` is reached; ``stopping`` then holds the best weights.

        Raises NotFinite, Interrupted when the state is saved, and OSError if it cannot be saved.
        """
        engine, size = self.engine, self.recipe.batch_size
        held_out = partial(plain_batches, validation, batches.normalizer, batch_size=size, device=engine.device)
        while self.epoch < self.recipe.epochs and not self.stopping.should_stop(self.epoch - 1):
            with self.pace.running():
                self._train(batches)
            valid = engine.validate(self._interruptible(held_out(world=engine.world)))
            self._check_validation(valid, len(validation))
            best = self._record(valid, sum(stop - start for start, stop in batches.bounds))
            if best and self.logbook.writer:
                self.logbook.pictures(self.epoch + 1, validation, engine.predict(next(held_out())))
            self.epoch, self.totals, self.pace = self.epoch + 1, Totals(), Pace()
            if self.saver:
                self.saver.save(self.state())
            self._end_if_asked()
        if self.saver:
            self.saver.wait()

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs; later steps change its tensors."""
        return {
            "model": dict(self.engine.model.state_dict()),
            "optimizer": self.engine.optimizer.state_dict(),
            "epoch": self.epoch,
            "totals": self.totals.state(),
            "pace": self.pace.state(),
            "stopping": vars(self.stopping),
            "logbook": self.logbook.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from ``state``; after an exception this object is unusable."""
        self.engine.model.load_state_dict(state["model"])
        self.engine.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.totals = state["epoch"], Totals.restore(state["totals"], self.engine.device)
        self.pace = Pace(**state["pace"])
        self.stopping = EarlyStopping(**state["stopping"])
        self.logbook.restore(state["logbook"])

    def _train(self, batches: TrainingBatches) -> None:
        """The rest of this epoch."""
        rest = self.pace.waiting(batches.epoch(self.epoch, first=len(self.totals)))
        label = f"{self.name} epoch {self.epoch + 1}/{self.recipe.epochs}"
        with closing(self.engine.steps(rest, self.totals, epoch=self.epoch, steps=len(batches), label=label)) as steps:
            for done in steps:
                if self.engine.device.type == "cpu":  # on a GPU this check would wait for the device
                    self._check_training(batches, since=done - 1)
                if self.saver and self.saver.due():
                    self._check_training(batches)
                    self.saver.save(self.state())
                self._end_if_asked()
        self._check_training(batches)

    def _check_training(self, batches: TrainingBatches, since: int = 0) -> None:
        if (step := self.totals.non_finite_step(since)) is not None:
            raise NotFinite("train", self.epoch, step, batches.source_rows(self.epoch, step).tolist())

    def _check_validation(self, valid: Totals, samples: int) -> None:
        if (step := valid.non_finite_step()) is not None:
            size = self.recipe.batch_size
            raise NotFinite("valid", self.epoch, step, list(range(samples))[step * size :][:size])

    def _record(self, valid: Totals, images: int) -> bool:
        """Record the epoch's result; returns whether it is the best so far."""
        (train_loss, train_dice), (valid_loss, valid_dice) = map(self.engine.means, (self.totals, valid))
        best = self.stopping.update(self.epoch, valid_loss, valid_dice, self.engine.model)
        rate = self.engine.optimizer.param_groups[0]["lr"]
        row = (self.epoch + 1, train_loss, valid_loss, train_dice, valid_dice, rate)
        self.logbook.epoch(row, images=images, pace=self.pace, best=best)
        return best

    def _interruptible(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._end_if_asked()
            yield batch

    def _end_if_asked(self) -> None:
        """Between two steps: if a signal asked any rank to end, save the state and end this process."""
        number = self.engine.world.max(self.stop.number)
        if not number:
            return
        if self.saver:
            self.saver.save(self.state())
            self.saver.wait()
        raise Interrupted(number, f" in epoch {self.epoch + 1} after {len(self.totals)} steps; its state is saved")
