"""A few dozen test images, the worst first, with what each network got right and wrong as a layer of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import Image

from segkit.base.errors import InputError, brief
from segkit.base.packed import BACKGROUND, FOREGROUND
from segkit.base.params import Params
from segkit.evaluation.evaluate import predictions
from segkit.evaluation.images import ImageSet
from segkit.evaluation.pictures import LEGEND
from segkit.models import heads
from segkit.models.predictor import Predictor
from segkit.reporting.page.collect import Network, Run
from segkit.reporting.page.content import Panel, Text
from segkit.reporting.page.drawing import role
from segkit.reporting.page.pictures import encoded, encoded_layer

WORST, SPREAD = 24, 12
SLACK = 0.01  # share of the pixels that rounding may change
SIDE = 256  # pixels; the most a picture is shown with


@dataclass(frozen=True)
class Pane:
    """One network's prediction on an image."""

    title: str
    colour: str
    dice: float
    layer: str
    label: str


@dataclass(frozen=True)
class Card:
    """A test image; ``dice``: the mean over the networks, ``gap``: the difference between them, ``object_size``: the
    share of the image that the mask covers."""

    name: str
    group: str
    source: str
    width: int
    height: int
    dice: float
    object_size: float
    gap: float
    panes: Sequence[Pane]


@dataclass(frozen=True)
class Gallery:
    """All cards, and what the colours mean."""

    cards: Sequence[Card]
    legend: Sequence[tuple[str, str]]
    networks: int
    kind: ClassVar[str] = "gallery"


def panel(run: Run, params: Params, device: torch.device) -> Panel:
    """The worst images by the mean Dice over the networks, and some spread evenly over the rest.

    Raises InputError if the packed test set is not the one that was evaluated.
    """
    test = ImageSet.open(run.paths.processed, "test")
    if [rows[0]["name"] for rows in test.rows] != list(run.names):
        raise InputError(f"{run.paths.processed} holds other test images than were evaluated; run 'dvc repro'")
    mean = np.mean([network.dice for network in run.networks], axis=0)
    chosen = choose(mean)
    layers = {network.name: _layers(network, test, chosen, params, device) for network in run.networks}
    cards = [
        _card(run, test, image, mean, {name: own[place] for name, own in layers.items()})
        for place, image in enumerate(chosen)
    ]
    legend = [(label, "#{:02x}{:02x}{:02x}".format(*colour)) for label, colour in LEGEND]
    finding = f"The worst image is {cards[0].name}, with a Dice of {cards[0].dice:.3f}" + (
        " on average over the networks." if len(run.networks) > 1 else "."
    )
    count = min(WORST, len(cards))
    words = f"The {count} worst of {len(mean):,} images"
    if len(cards) > count:
        words += f" and {len(cards) - count} spread evenly over the rest by Dice"
    words += ", at the size that the network sees. Ignored pixels have no colour."
    return Panel("gallery", "Gallery, worst first", finding, [Text(words), Gallery(cards, legend, len(run.networks))])


def choose(dice: np.ndarray) -> list[int]:
    """Places of the ``WORST`` lowest values and of ``SPREAD`` evenly spread over the others, the lowest first."""
    order = np.argsort(dice, kind="stable")
    worst, rest = order[:WORST], order[WORST:]
    spread = np.linspace(0, len(rest) - 1, min(SPREAD, len(rest))).round().astype(int)
    return [*worst.tolist(), *rest[spread].tolist()]


def _layers(network: Network, test: ImageSet, chosen: list[int], params: Params, device: torch.device) -> list[str]:
    predictor = Predictor(network.checkpoint, device, tta=params.evaluate.tta == "flip")
    layers = []
    for image, probabilities in zip(chosen, predictions(predictor, test, chosen), strict=True):
        prediction = heads.predict(probabilities, params.evaluate.threshold).numpy()
        mask = test.mask(image)
        _compare(network, image, prediction, mask)
        layers.append(encoded_layer(layer(*(test.without_padding(image, each) for each in (mask, prediction)))))
    return layers


def _compare(network: Network, image: int, prediction: np.ndarray, mask: np.ndarray) -> None:
    """Raise InputError if this is not the prediction that was scored, but for rounding on another machine."""
    truth, background = mask == FOREGROUND, mask == BACKGROUND
    cells = prediction & truth, prediction & background, ~prediction & truth, ~prediction & background
    counts = np.array([np.count_nonzero(cell) for cell in cells])
    if abs(counts - network.counts[image]).max() > SLACK * counts.sum() + 4:
        name = brief(network.images["name"][image])
        raise InputError(
            f"{network.name}: the checkpoint does not predict what was evaluated for {name}; run 'dvc repro' or "
            "'dvc checkout'"
        )


def layer(mask: np.ndarray, prediction: np.ndarray) -> Image.Image:
    """Palette image of right and wrong pixels, transparent (0) elsewhere, at most ``SIDE`` pixels wide and high.

    ``mask`` ``uint8 (h, w)`` of 0, 1, 255 (left transparent), ``prediction`` ``bool (h, w)``.
    """
    truth, background = mask == FOREGROUND, mask == BACKGROUND
    regions = np.select([truth & prediction, background & prediction, truth & ~prediction], [1, 2, 3], 0)
    image = Image.fromarray(regions.astype(np.uint8), "P")
    image.putpalette([0, 0, 0, *(value for _, colour in LEGEND for value in colour)])
    image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    return image


def _card(run: Run, test: ImageSet, image: int, mean: np.ndarray, layers: dict[str, str]) -> Card:
    """``layers``: of this image, one for each network."""
    name = str(run.names[image])
    picture = Image.fromarray(test.picture(image))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    panes = []
    for place, network in enumerate(run.networks):
        dice = float(network.dice[image])
        label = f"{name} with the prediction of {network.title}, Dice {dice:.3f}"
        panes.append(Pane(network.title, role(place), dice, layers[network.name], label))
    own, images = [pane.dice for pane in panes], run.networks[0].images
    return Card(
        name=name,
        group=str(images["group"][image]),
        source=encoded(picture),
        width=picture.width,
        height=picture.height,
        dice=float(mean[image]),
        gap=max(own) - min(own),
        object_size=float(images["foreground"][image]),
        panes=panes,
    )
