"""Which kinds of images are hard: the mean Dice of parts of the test set."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from segkit.reporting.page.bootstrap import Interval, interval
from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Figure, Panel, Row, Table, Text
from segkit.reporting.page.drawing import colour, drawing, legend

MOST_GROUPS = 40
FEWEST = 5  # images; of fewer an interval says little
LABELS = {"object": "place of the object", "mask": "parts of the mask"}
UNITS = {
    "object size": " Size: the share of the image that the mask covers, in quarters of the test set.",
    "brightness": " Brightness: the mean grey value, 100 % being white, in quarters of the test set.",
}
LINE = 17  # pixels for a part in a figure


@dataclass(frozen=True)
class Slices:
    """A way to divide the test set: the images of each part, as ``bool (N,)``."""

    title: str
    parts: dict[str, np.ndarray]


def panel(run: Run) -> Panel:
    """A figure and a table for each way to divide the images."""
    ways = [way for way in divisions(run) if sum(chosen.any() for chosen in way.parts.values()) > 1]
    found = {way.title: _intervals(run, way) for way in ways}
    figures = Row([_figure(run, way, found[way.title]) for way in ways], columns=True)
    rows = [
        [way.title, part, f"{each[0].count:,}", *(str(one) for one in each)]
        for way in ways
        for part, each in found[way.title].items()
    ]
    titles = ["slice", "part", "n", *(network.title for network in run.networks)]
    blocks = [figures, Table("Mean Dice and 95 % interval of each part", titles, rows, numbers=2, folded=True)]
    if not has_groups(run):
        blocks.append(Text("The images have no groups such as breeds or patients.", note=True))
    if len(set(run.networks[0].images["group"])) > MOST_GROUPS:
        blocks.append(Text(f"Of the groups, the {MOST_GROUPS} with the most images are shown.", note=True))
    return Panel("slices", "Slices", _finding(run, found), blocks)


def has_groups(run: Run) -> bool:
    """Whether the images belong to breeds, patients or the like."""
    return len(set(run.networks[0].images["group"])) > 1


def divisions(run: Run) -> Iterator[Slices]:
    """By group, species, size, brightness, edge and number of objects."""
    images = run.networks[0].images
    if has_groups(run):
        names, counts = np.unique(images["group"].astype(str), return_counts=True)
        chosen = sorted(names[np.argsort(-counts, kind="stable")[:MOST_GROUPS]])
        yield Slices("breed" if is_pets(run) else "group", {name or "none": images["group"] == name for name in chosen})
    if is_pets(run):
        cats = np.array([name[:1].isupper() for name in images["name"]])
        yield Slices("species", {"cat": cats, "dog": ~cats})
    yield Slices("object size", _quarters(images["foreground"]))
    yield Slices("brightness", _quarters(images["brightness"]))
    edge = images["touches_edge"] > 0
    yield Slices("object", {"at the edge": edge, "inside": ~edge})
    single = images["objects"] <= 1
    yield Slices("mask", {"in one part": single, "in several parts": ~single})


def is_pets(run: Run) -> bool:
    """Whether names with a capital letter are cats: Oxford-IIIT Pet, and the synthetic pets in its layout."""
    return run.source in ("oxford_pet", "synthetic")


def _quarters(values: np.ndarray) -> dict[str, np.ndarray]:
    """Four parts of about as many images, fewer where values repeat."""
    edges = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    if len(edges) < 2:
        return {}
    digits = 0 if np.diff(edges).min() > 0.01 else 2
    place = np.searchsorted(edges[1:-1], values, side="right")
    parts = {}
    for index, (low, high) in enumerate(pairwise(edges)):
        if (chosen := place == index).any():
            parts[f"{100 * low:.{digits}f}–{100 * high:.{digits}f} %"] = chosen
    return parts


def _intervals(run: Run, way: Slices) -> dict[str, list[Interval]]:
    return {part: [interval(each.dice[chosen]) for each in run.networks] for part, chosen in way.parts.items()}


def _finding(run: Run, found: dict[str, dict[str, list[Interval]]]) -> str:
    """The part that is hardest for each network, among those with enough images."""
    parts = [(title, part, each) for title, way in found.items() for part, each in way.items()]
    parts = [entry for entry in parts if entry[2][0].count >= FEWEST]
    if not parts:
        return "The test set is too small to be divided."
    words = []
    for place, network in enumerate(run.networks):
        title, part, each = min(parts, key=lambda entry: entry[2][place].mean)
        words.append(f"for {network.title}, {title} {part}: {each[place]}, n = {each[place].count:,}")
    return f"Hardest {'; '.join(words)}."


def _figure(run: Run, way: Slices, found: dict[str, list[Interval]]) -> Figure:
    order = sorted(found, key=lambda part: found[part][0].mean) if way.title in ("breed", "group") else list(found)
    places = np.arange(len(order))[::-1]
    with drawing(height=90 + LINE * len(order) * (1 if len(order) > 6 else 2), xlabel="mean Dice") as drawn:
        for place, network in enumerate(run.networks):
            each = [found[part][place] for part in order]
            ends = np.array([[one.mean - one.low, one.high - one.mean] for one in each]).T
            shift = 0.14 - 0.28 * place if len(run.networks) > 1 else 0
            drawn.axes.errorbar([one.mean for one in each], places + shift, xerr=np.nan_to_num(ends).clip(min=0),
                                fmt="os"[place % 2], color=colour(place), markersize=4.5, linewidth=1.6,
                                label=network.title)  # fmt: skip
        drawn.axes.set(ylim=(-0.6, len(order) - 0.4))
        drawn.axes.set_yticks(places, [f"{_cut(part)} ({found[part][0].count:,})" for part in order])
        drawn.axes.grid(False, axis="y")
        legend(drawn.axes)
    worst, best = (choose(order, key=lambda part: found[part][0].mean) for choose in (min, max))
    network = run.networks[0].title
    caption = (
        f"{network}: lowest {worst} ({found[worst][0].mean:.3f}), highest {best} ({found[best][0].mean:.3f}). In "
        f"brackets the number of images.{UNITS.get(way.title, '')}"
    )
    return Figure(drawn.svg, f"Mean Dice with 95 % interval by {LABELS.get(way.title, way.title)}", caption)


def _cut(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"
