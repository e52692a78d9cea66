"""How good the networks are, how sure that is, and what others have published under the same definitions."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from segkit.reporting.page.bootstrap import RESAMPLES, Interval, interval
from segkit.reporting.page.collect import Network, Run
from segkit.reporting.page.content import Panel, Score, Scores, Table, Text, decimals, signed
from segkit.reporting.page.drawing import role

OXFORD_TEST = 3669  # images in test.txt of Oxford-IIIT Pet
REPORT = "lab report, from scratch"


class Published(NamedTuple):
    """A published result on the test set of Oxford-IIIT Pet: what was trained, how, the score's name, its value."""

    network: str
    training: str
    score: str
    value: float


PUBLISHED = (
    Published("U-Net", REPORT, "pixel_accuracy_batch", 0.9309),
    Published("ResNet34-UNet", REPORT, "pixel_accuracy_batch", 0.9479),
    Published("U-Net", "from scratch", "iou", 0.841),
    Published("ResNet-style U-Net", "from scratch", "iou", 0.853),
    Published("U-Net, ResNet34 encoder", "from ImageNet weights", "iou", 0.9013),
    Published("U-Net, ResNet34 encoder", "from ImageNet weights", "iou_global", 0.9069),
    Published("U-Net, ResNet34 encoder", "from ImageNet weights", "dice_global", 0.951),
    Published("FPN, ResNet34 encoder", "from ImageNet weights", "iou", 0.9075),
    Published("FPN, ResNet34 encoder", "from ImageNet weights", "iou_global", 0.9144),
    Published("FPN, ResNet34 encoder", "from ImageNet weights", "dice_global", 0.955),
)


def panel(run: Run, seeds: Mapping[str, np.ndarray]) -> Panel:
    """``seeds``: Dice ``float64 (S, N)`` of each network, a row for each of S trainings with another seed."""
    found = {network.name: interval(seeds[network.name]) for network in run.networks}
    scores = [
        Score(each.title, role(place), f"{found[each.name].mean:.3f}", _range(found[each.name]), _best(each))
        for place, each in enumerate(run.networks)
    ]
    count = len(next(iter(seeds.values())))
    over = (
        f"Each value is the mean over {count} trainings that differ in their seed, and the interval is over seeds and "
        f"images. {count} seeds are few: the interval is rather too narrow than too wide."
        if count > 1
        else "One training each: how far the mean would move with another seed was not measured "
        "(--seed-rev REV adds trainings with other seeds)."
    )
    method = (
        f"Mean Dice over {len(run.names):,} test images at the network's size. In brackets the 95 % interval, from "
        f"{RESAMPLES:,} bootstrap resamples of the images (percentiles; Efron and Tibshirani, 1993). {over}"
    )
    return Panel("verdict", "Verdict", _finding(run, seeds), [Scores(scores), Text(method), *_published(run)])


def _range(found: Interval) -> str:
    return f"[{found.low:.3f}, {found.high:.3f}]" if found.low == found.low else "no interval from one image"


def _best(network: Network) -> str:
    training = network.training
    return f"epoch {training.best_epoch} of {training.epochs}, {training.parameters:,} parameters"


def _finding(run: Run, seeds: Mapping[str, np.ndarray]) -> str:
    titles = [network.title for network in run.networks]
    if len(run.networks) < 2:
        return f"{titles[0]} reaches a Dice of {seeds[run.networks[0].name].mean():.3f} on the test set."
    first, second = (seeds[network.name] for network in run.networks)
    if len(first) != len(second):
        return "The networks were trained with different numbers of seeds, so they are shown side by side only."
    better, worse = (second, first) if second.mean() >= first.mean() else (first, second)
    difference = interval(better - worse)
    name, other = titles if better is first else titles[::-1]
    if not difference.excludes_zero:
        return (
            f"{name} and {other} cannot be told apart: their Dice differs by {difference.mean:.3f}, and the interval "
            f"of the difference, {signed(difference.low, 3)} to {signed(difference.high, 3)}, includes 0."
        )
    return (
        f"{name} is better than {other} by {difference.mean:.3f} Dice on the same images "
        f"(95 % interval {difference.low:.3f} to {difference.high:.3f})."
    )


def _published(run: Run) -> list:
    why = not_comparable(run)
    titles = ["published", "trained", "score", "value", *(network.title for network in run.networks)]
    rows = []
    for each in PUBLISHED:
        values = [getattr(network.scores.test, each.score) for network in run.networks]
        own = [decimals(value) + ("" if why else f" ({signed(value - each.value)})") for value in values]
        rows.append([each.network, each.training, each.score, f"{each.value:g}", *own])
    caption = "Published scores on Oxford-IIIT Pet beside those here of the same definition" + (
        "; not comparable" if why else "; in brackets the difference"
    )
    text = (
        f"The published scores are not comparable with those here: {why}. They are only shown to say what is usual."
        if why
        else "The published scores are comparable: the same images, size, meaning of the border and definition."
    )
    text += (
        " What the lab report calls Dice is the share of agreeing pixels over both classes, a mean over batches of 15 "
        "(pixel_accuracy_batch); it must not be compared with a Dice."
    )
    return [Text(text, note=True), Table(caption, titles, rows, numbers=3)]


def not_comparable(run: Run) -> str:
    """Why the scores cannot be compared with published ones; nothing if they can."""
    summary, images = run.summary, run.networks[0].scores.test.images
    reasons = []
    if run.source != "oxford_pet":
        source = {"synthetic": "are synthetic", "folder": "come from a folder"}.get(run.source, "are of unknown origin")
        return f"the images {source}, and theirs are those of Oxford-IIIT Pet"
    if images != OXFORD_TEST:
        reasons.append(f"the test set has {images:,} of {OXFORD_TEST:,} images")
    if summary["size"] != [256, 256] or summary["resize"] != "stretch":
        height, width = summary["size"]
        reasons.append(f"the input is {width}×{height} px ({summary['resize']}), not 256×256 px (stretch)")
    if summary["border"] != "foreground":
        reasons.append(f"the border is {summary['border']}, not foreground")
    return "; ".join(reasons)
