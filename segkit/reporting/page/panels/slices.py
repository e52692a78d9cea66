"""Which kinds of pictures are hard: the mean Dice of parts of the test set."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segkit.reporting.page.bootstrap import Interval, interval
from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Figure, Panel, Row, Table, Text
from segkit.reporting.page.drawing import colour, drawing, legend

MOST_GROUPS = 40
FEWEST = 5  # pictures; of fewer an interval says little
LINE = 17  # pixels for a part in a figure


@dataclass(frozen=True)
class Slices:
    """A way to divide the test set: the pictures of each part, as ``bool (N,)``."""

    title: str
    parts: dict[str, np.ndarray]


def panel(run: Run) -> Panel:
    """A figure and a table for each way to divide the pictures."""
    ways = [ways for ways in divisions(run) if len(ways.parts) > 1]
    found = {way.title: _intervals(run, way) for way in ways}
    figures = Row([_figure(run, way, found[way.title]) for way in ways])
    rows = [
        [way.title, part, f"{each[0].count:,}", *(str(one) for one in each)]
        for way in ways
        for part, each in found[way.title].items()
    ]
    titles = ["slice", "part", "n", *(network.title for network in run.networks)]
    blocks = [figures, Table("Mean Dice and 95 % interval of each part", titles, rows, numbers=2, folded=True)]
    if not has_groups(run):
        blocks.append(Text("The pictures have no groups such as breeds or patients.", note=True))
    if len(set(run.networks[0].images["group"])) > MOST_GROUPS:
        blocks.append(Text(f"Of the groups, the {MOST_GROUPS} with the most pictures are shown.", note=True))
    return Panel("slices", "Slices", _finding(run, found), blocks)


def has_groups(run: Run) -> bool:
    """Whether the pictures belong to breeds, patients or the like."""
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
    yield Slices("object size", _quarters(images["foreground"], "of the picture"))
    yield Slices("brightness", _quarters(images["brightness"], "of white"))
    edge = images["touches_edge"] > 0
    yield Slices("edge", {"object touches the edge": edge, "object inside": ~edge} if 0 < edge.sum() < len(edge) else {})
    single = images["objects"] <= 1
    yield Slices("parts", {"mask in one part": single, "in several": ~single} if 0 < single.sum() < len(single) else {})


def is_pets(run: Run) -> bool:
    """Whether names with a capital letter are cats: Oxford-IIIT Pet, and the synthetic pets in its layout."""
    return run.source in ("oxford_pet", "synthetic")


def _quarters(values: np.ndarray, unit: str) -> dict[str, np.ndarray]:
    """Four parts of about as many pictures, fewer where values repeat."""
    edges = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    if len(edges) < 2:
        return {}
    place = np.searchsorted(edges[1:-1], values, side="right")
    parts = {}
    for index, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        if (chosen := place == index).any():
            parts[f"{low:.0%} to {high:.0%} {unit}".replace("%", " %")] = chosen
    return parts


def _intervals(run: Run, way: Slices) -> dict[str, list[Interval]]:
    return {part: [interval(each.dice[chosen]) for each in run.networks] for part, chosen in way.parts.items()}


def _finding(run: Run, found: dict[str, dict[str, list[Interval]]]) -> str:
    """The part that is hardest for each network, among those with enough pictures."""
    parts = [(title, part, each) for title, way in found.items() for part, each in way.items()]
    parts = [entry for entry in parts if entry[2][0].count >= FEWEST]
    if not parts:
        return "The test set is too small to be divided."
    words = []
    for place, network in enumerate(run.networks):
        title, part, each = min(parts, key=lambda entry: entry[2][place].mean)
        words.append(f"for {network.title} {title} “{part}” ({each[place]}, n = {each[place].count:,})")
    return f"Hardest is {'; '.join(words)}."


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
        f"By {way.title}: {network} is worst at “{worst}” ({found[worst][0].mean:.3f}), best at “{best}” "
        f"({found[best][0].mean:.3f}). In brackets the number of pictures."
    )
    return Figure(drawn.svg, f"Mean Dice with 95 % interval by {way.title}", caption)


def _cut(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:23]}…"


