"""Scores of a study: mean and standard deviation over seeds, the best run of each network, as text and as CSV."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from segkit.base.errors import InputError, counted
from segkit.base.files import write_csv
from segkit.reporting.studies.definition import Row, Study
from segkit.reporting.studies.reading import CONFLICT, DONE, STATES, Found

SPLITS = ("valid", "test", "test_original")
SCORES = ("dice", "iou", "pixel_accuracy_batch")
CHOOSING = "valid_dice"  # a choice by a test score would make that score too good
SHOWN = {"valid_dice": "valid Dice", "test_dice": "test Dice", "test_pixel_accuracy_batch": "pixel accuracy by batch"}


@dataclass(frozen=True)
class Score:
    """Over seeds; no deviation of one."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + (f" ± {self.deviation:.4f}" if self.deviation is not None else "")


@dataclass(frozen=True)
class Line:
    """A run of the study. ``scores``: by names such as ``test_dice``, empty until a seed is done; ``best``: it has the
    best validation Dice of its network so far."""

    row: Row
    states: Counter[str]
    scores: dict[str, Score]
    best: bool

    @property
    def seeds(self) -> str:
        """``2 of 3``, or ``3`` if all are done."""
        done, all_ = self.states[DONE], self.states.total()
        return str(all_) if done == all_ else f"{done} of {all_}"

    @property
    def text(self) -> str:
        """The states of its experiments, such as ``running, queued``."""
        return ", ".join(state for state in STATES if self.states[state])


def lines(study: Study, found: Sequence[Found]) -> list[Line]:
    """One for each run, in the study's order. Raises InputError if no experiment is done."""
    by_name = {each.experiment.name: each for each in found}
    if not any(each.state == DONE for each in found):
        raise InputError(f"{study.path}: no run is done yet ({_counts(found)}); {_advice(study, found)}")
    scored = {row.name: _scores([by_name[each.name] for each in row.experiments]) for row in study.rows}
    best = {_best(model, study.rows, scored) for model in {row.model for row in study.rows}}
    return [
        Line(row, Counter(by_name[each.name].state for each in row.experiments), scored[row.name], row.name in best)
        for row in study.rows
    ]


def _scores(found: Sequence[Found]) -> dict[str, Score]:
    done = [each.scores for each in found if each.scores is not None]
    names = [(split, score) for split in SPLITS for score in SCORES] if done else []
    return {
        f"{split}_{score}": Score.of([getattr(getattr(each, split), score) for each in done]) for split, score in names
    }


def _best(model: str, rows: Iterable[Row], scored: dict[str, dict[str, Score]]) -> str | None:
    """The run of a network with the highest mean validation Dice; of equal ones the first."""
    names = [row.name for row in rows if row.model == model and scored[row.name]]
    return max(names, key=lambda name: scored[name][CHOOSING].mean, default=None)


def markdown(study: Study, lines: Sequence[Line]) -> str:
    """The table, and what it shows."""
    columns = ["run", "model", "seeds", *SHOWN.values(), "published"]
    text = ["| " + " | ".join(columns) + " |", "| --- | --- |" + " ---: |" * (len(columns) - 2)]
    text += [_cells(line) for line in lines]
    return "\n".join([*text, "", *_notes(study, lines)])


def _cells(line: Line) -> str:
    name = f"**{line.row.name}**" if line.best else line.row.name
    scores = [str(line.scores[key]) for key in SHOWN] if line.scores else [line.text] + [""] * (len(SHOWN) - 1)
    published = "" if line.row.published is None else f"{line.row.published:.4f}"
    return f"| {' | '.join([name, line.row.model, line.seeds, *scores, published])} |"


def _notes(study: Study, lines: Sequence[Line]) -> list[str]:
    done, all_ = sum(line.states[DONE] for line in lines), sum(line.states.total() for line in lines)
    so_far = "" if done == all_ else f" so far ({done} of {counted(all_, 'experiment')} done)"
    notes = [f"Bold: the best validation Dice of each network{so_far}. Test scores were not used to choose."]
    if any(line.states.total() > 1 for line in lines):
        notes.append("Mean ± standard deviation over seeds.")
    if any(line.row.published is not None for line in lines):
        notes.append("Published scores are pixel accuracies by batch; compare them with nothing else.")
    if any(line.states[CONFLICT] for line in lines):
        notes.append(f"Some have other settings or pictures; see: {study.command('status')}")
    return notes


def status(study: Study, found: Sequence[Found]) -> str:
    """A line for each experiment with its state, and what to do next."""
    width = max(len(each.experiment.name) for each in found)
    listed = [f"{each.experiment.name:<{width}}  {each.state:<14}  {each.detail}".rstrip() for each in found]
    return "\n".join([*listed, "", f"{_counts(found)}; {_advice(study, found)}"])


def _counts(found: Sequence[Found]) -> str:
    states = Counter(each.state for each in found)
    return ", ".join(f"{states[state]} {state}" for state in STATES if states[state])


def _advice(study: Study, found: Sequence[Found]) -> str:
    states = {each.state for each in found}
    if states == {DONE}:
        return f"see: {study.command('table')}"
    if states <= {DONE, "running"}:
        return "wait for what is running"
    if states <= {DONE, "running", "queued"}:
        return "the queue is at work" if "running" in states else "start the queue with 'dvc queue start'"
    if CONFLICT in states:
        return "remove what has other settings with the commands above, or rename its run"
    return f"queue the rest with: {study.command('queue')}"


def write(path: Path, lines: Sequence[Line]) -> None:
    """All scores as CSV: of each the mean and the standard deviation, empty where there is none; and the settings that
    not all runs have in common."""
    names = [f"{split}_{score}" for split in SPLITS for score in SCORES]
    keys = list(dict.fromkeys(key for line in lines for key in line.row.settings))
    keys = [key for key in keys if len({repr(line.row.settings.get(key)) for line in lines}) > 1]
    columns = ["run", "model", "seeds", "done", "best", "published", *keys]
    columns += [f"{name}_{part}" for name in names for part in ("mean", "sd")]
    write_csv(path, columns, [_values(line, names, keys) for line in lines])


def _values(line: Line, names: Sequence[str], keys: Sequence[str]) -> list[object]:
    row, scores = line.row, [line.scores.get(name) for name in names]
    parts = [part for score in scores for part in ((score.mean, score.deviation) if score else (None, None))]
    numbers = ["" if part is None else f"{part:.6f}" for part in parts]
    published = "" if row.published is None else row.published
    settings = [row.settings.get(key, "") for key in keys]
    return [row.name, row.model, line.states.total(), line.states[DONE], int(line.best), published, *settings, *numbers]
