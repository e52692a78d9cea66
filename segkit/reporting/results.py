"""The table of results: scores, and where to find the outputs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ConfigDict

from segkit.base.errors import InputError
from segkit.base.files import read_json
from segkit.base.params import MODEL_NAMES
from segkit.base.validation import Section, validate
from segkit.base.values import PositiveInt, Probability

COLUMNS = {"dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall", "pixel_accuracy": "accuracy"}
ROWS = {"valid": "validation", "test": "test", "test_original": "test, original size"}


class Block(Section):
    """The scores of one split that are shown; a file holds more."""

    model_config = ConfigDict(extra="ignore")

    images: PositiveInt
    dice: Probability
    iou: Probability
    precision: Probability
    recall: Probability
    pixel_accuracy: Probability


class Scores(Section):
    """``metrics/scores/NAME.json``."""

    valid: Block
    test: Block
    test_original: Block
    test_original_no_border: Block | None = None  # of trimaps


def results(metrics: Path = Path("metrics")) -> str:
    """A Markdown table of ``metrics/scores/*.json`` and the paths of images and logs.

    Raises InputError if no model has been evaluated, or the scores are damaged.
    """
    found = {name: read_json(path) for name in MODEL_NAMES if (path := metrics / "scores" / f"{name}.json").exists()}
    if not found:
        raise InputError(f"no {metrics}/scores/*.json here; run 'make repro' from the repository's root")
    rows = []
    for name, scores in found.items():
        try:
            rows += _rows(name, validate(Scores, scores))
        except ValueError as error:
            raise InputError(
                f"{metrics}/scores/{name}.json is not a file of scores ({error}); run 'dvc repro'"
            ) from None
    return "\n".join([table(rows), "", *_places(metrics, list(found))])


def table(rows: Iterable[tuple[str, str, Mapping[str, float]]]) -> str:
    """A Markdown table of rows of a model, images, and scores by name."""
    lines = ["| model | images | " + " | ".join(COLUMNS.values()) + " |", "| --- | --- |" + " --- |" * len(COLUMNS)]
    for name, images, scores in rows:
        values = " | ".join(f"{scores[key]:.4f}" for key in COLUMNS)
        lines.append(f"| {name} | {images} | {values} |")
    return "\n".join(lines)


def _rows(name: str, scores: Scores) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    for split, label in ROWS.items():
        block = getattr(scores, split)
        yield name, f"{block.images:,} {label}", vars(block)


def _places(metrics: Path, names: list[str]) -> list[str]:
    return [
        f"Scores       {metrics}/*.json, {metrics}/scores/*.json    dvc metrics show, dvc exp show",
        *(f"Images       {metrics}/pictures/{name}/sample_overview.png, worst_overview.png" for name in names),
        "Curves       dvc plots show    (writes dvc_plots/index.html)",
        "TensorBoard  runs/    make tensorboard, then open http://localhost:6006",
        *(f"Weights      models/{name}.safetensors, model card models/{name}.md" for name in names),
        f"Use them     python -m segkit predict models/{names[-1]}.safetensors PHOTO --out DIR",
        "For dvc:     source .venv/bin/activate",
    ]
