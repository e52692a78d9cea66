"""Everything that the page is about, read from the files that the stages wrote, and checked for belonging together."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict

from segkit.base.errors import InputError
from segkit.base.files import read_json
from segkit.base.packed import read_summary
from segkit.base.params import MODEL_NAMES
from segkit.base.validation import Section, validate
from segkit.base.values import PositiveInt, Probability
from segkit.base.workspace import Paths, main_checkout
from segkit.evaluation.analysis import TABLES
from segkit.evaluation.scores import SCORES
from segkit.models.checkpoint import Checkpoint, load_checkpoint
from segkit.models.counts import dice_per_image
from segkit.reporting.page.recorded import refuse_edited
from segkit.reporting.page.settings import Settings, settings_here
from segkit.reporting.page.tables import AGAIN, COUNTS, ORIGINAL_COUNTS, Columns, counts, existing, read_columns

TITLES = {"unet": "U-Net", "resnet34_unet": "ResNet34-UNet"}
SLICED = ("foreground", "brightness", "touches_edge", "objects")
MISTAKES = ("missed", "false_alarms", "holes", "fragments")
BLANK = ("mean_probability", "foreground")  # of a bin without pixels
CURVES = ("epoch", "train_loss", "valid_loss", "train_dice", "valid_dice", "lr")
EPOCHS = ("epoch", "seconds", "data_seconds", "images", "resumed")
ROUNDING = 2e-6  # of the numbers in metrics/per_image, which have six digits


class Block(Section):
    """The scores of one split."""

    images: PositiveInt
    dice: Probability
    dice_global: Probability
    iou: Probability
    iou_global: Probability
    precision: Probability
    recall: Probability
    pixel_accuracy: Probability
    pixel_accuracy_batch: Probability
    dice_of_nothing: Probability
    dice_of_everything: Probability


class AllScores(Section):
    """``metrics/scores/NAME.json``."""

    valid: Block
    test: Block
    test_original: Block
    test_original_no_border: Block | None = None  # of trimaps


class Training(Section):
    """``metrics/training/NAME.json``."""

    model_config = ConfigDict(extra="ignore")

    epochs: PositiveInt
    best_epoch: PositiveInt
    best_valid_dice: Probability
    stopped_early: bool
    parameters: PositiveInt


@dataclass(frozen=True)
class Network:
    """A trained and evaluated network: ``images`` are the columns of ``metrics/per_image``, ``analysis`` those of each
    file in ``metrics/analysis``; ``epochs`` and ``recorded_in`` are None where the run's own record is not here."""

    name: str
    scores: AllScores
    training: Training
    images: Columns
    analysis: Mapping[str, Columns]
    curves: Columns
    epochs: Columns | None
    recorded_in: Path | None
    checkpoint: Checkpoint

    @property
    def title(self) -> str:
        """As people write its name."""
        return TITLES.get(self.name, self.name)

    @cached_property
    def counts(self) -> np.ndarray:
        """``int64 (N, 4)``: true and false positives, false and true negatives of each test image."""
        return counts(self.images)

    @cached_property
    def dice(self) -> np.ndarray:
        """``float64 (N,)``, from whole pixels."""
        return dice_per_image(self.counts)


@dataclass(frozen=True)
class Run:
    """The networks, all scored on the images ``names``, and what the packed data say about themselves."""

    networks: list[Network]
    summary: dict[str, Any]
    paths: Paths

    @property
    def names(self) -> np.ndarray:
        """Of the test images, ``object (N,)``."""
        return self.networks[0].images["name"]

    @property
    def source(self) -> str:
        """``synthetic``, ``oxford_pet`` or ``folder``."""
        return str(self.summary.get("source"))


def collect(paths: Paths) -> Run:
    """Read the results of all networks that were evaluated.

    Raises InputError if there are none, or if a file is missing, damaged, edited or of another evaluation.
    """
    evaluated = [name for name in MODEL_NAMES if (paths.metrics / "scores" / f"{name}.json").exists()]
    if not evaluated:
        raise InputError(f"nothing is evaluated yet: no {paths.metrics}/scores/NAME.json here; run 'dvc repro'")
    summary = read_summary(paths.processed)
    settings = settings_here()
    networks = [_network(name, paths, settings) for name in evaluated]
    first = networks[0].images["name"]
    for network in networks[1:]:
        if not np.array_equal(first, network.images["name"]):
            files = " and ".join(f"{paths.metrics}/per_image/{each.name}.csv" for each in (networks[0], network))
            raise InputError(f"{files} list different images; {AGAIN}")
    return Run(networks, summary, paths)


def _network(name: str, paths: Paths, settings: Settings) -> Network:
    scores = _checked(AllScores, paths.metrics / "scores" / f"{name}.json")
    training = _checked(Training, paths.metrics / "training" / f"{name}.json")
    numbers = (*COUNTS, *ORIGINAL_COUNTS, "dice", "dice_original", *SLICED, *MISTAKES)
    images = read_columns(paths.metrics / "per_image" / f"{name}.csv", numbers, texts=("name", "group"))
    folder = paths.metrics / "analysis" / name
    analysis = {file: read_columns(folder / f"{file}.csv", columns, blank=BLANK) for file, columns in TABLES.items()}
    curves = read_columns(paths.metrics / "curves" / f"{name}.csv", CURVES)
    checkpoint = load_checkpoint(paths.models / f"{name}.safetensors")
    recorded_in, epochs = _epochs(name, len(curves["epoch"]))
    network = Network(name, scores, training, images, analysis, curves, epochs, recorded_in, checkpoint)
    refuse_edited(name, paths, settings)
    _refuse_contradictions(network, paths)
    return network


def _checked(kind: type[Section], path: Path) -> Any:
    try:
        return validate(kind, read_json(existing(path)))
    except ValueError as error:
        raise InputError(f"{path} is not what a stage writes ({error}); {AGAIN}") from None


def _epochs(name: str, epochs: int) -> tuple[Path, Columns] | tuple[None, None]:
    """The newest record of a training with as many epochs as the curves; there is none of an experiment that ran
    elsewhere."""
    files = (main_checkout() / "runs").glob(f"*/{name}/epochs.csv")
    for path in sorted(files, key=lambda path: (-path.stat().st_mtime, path)):
        columns = read_columns(path, EPOCHS)
        if len(columns["epoch"]) == epochs:
            return path.parent, columns
    return None, None


def _refuse_contradictions(network: Network, paths: Paths) -> None:
    """Raise InputError unless scores, pictures and analysis tell of one evaluation."""
    file, block = f"{paths.metrics}/scores/{network.name}.json", network.scores.test
    pictures = f"{paths.metrics}/per_image/{network.name}.csv"
    if len(network.dice) != block.images or abs(network.dice - network.images["dice"]).max() > ROUNDING:
        raise InputError(f"{pictures} does not fit itself or {file}: it was edited, or is of another run; {AGAIN}")
    for score in SCORES:
        if abs(score(network.counts) - getattr(block, score.__name__)) > ROUNDING:
            raise InputError(f"{file}: test.{score.__name__} is not that of {pictures}; {AGAIN}")
    folder, histogram = f"{paths.metrics}/analysis/{network.name}", network.analysis["histogram"]
    if histogram["images"].sum() != block.images:
        raise InputError(f"{folder}/histogram.csv is of another evaluation than {file}; {AGAIN}")
    if len(network.curves["epoch"]) != network.training.epochs:
        raise InputError(
            f"{paths.metrics}/curves/{network.name}.csv has another number of epochs than "
            f"{paths.metrics}/training/{network.name}.json; {AGAIN}"
        )
