"""Studies and what became of them, made up."""

from collections.abc import Sequence
from pathlib import Path

from segkit.reporting.studies.definition import Study, read_study
from segkit.reporting.studies.reading import DONE, MISSING, Block, Found, Scores
from tests.tiny import ROOT


def study(folder: Path, text: str, *settings: str, name: str = "mine") -> Study:
    """The study of a file with this text, on top of this repository's params.yaml."""
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return read_study(path, settings, ROOT / "params.yaml")


def scores(valid: float, test: float) -> Scores:
    """Dice as given, everything else derived from it."""
    first, second = (Block(images=9, dice=dice, iou=dice / 2, pixel_accuracy_batch=dice / 4) for dice in (valid, test))
    return Scores(valid=first, test=second, test_original=second)


def found(made: Study, dice: dict[str, Sequence[tuple[float, float]]], state: str = MISSING) -> list[Found]:
    """Validation and test Dice by run and seed; the experiments that have none are in ``state``."""
    result = []
    for row in made.rows:
        pairs = dice.get(row.name, ())
        result += [Found(each, DONE, scores=scores(*pair)) for each, pair in zip(row.experiments, pairs, strict=False)]
        result += [Found(each, state) for each in row.experiments[len(pairs) :]]
    return result
