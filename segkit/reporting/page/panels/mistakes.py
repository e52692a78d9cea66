"""What kind of errors the networks make, counted in connected components."""

import numpy as np

from segkit.reporting.page.collect import MISTAKES, Run
from segkit.reporting.page.content import Figure, Panel, Row, Table, decimals, percent
from segkit.reporting.page.drawing import colour, drawing, legend

KINDS = {
    "missed": ("missed", "part of the mask without a single predicted pixel"),
    "false_alarms": ("false alarm", "predicted part without a single pixel of the mask"),
    "holes": ("hole", "gap in the prediction, entirely within the mask"),
    "fragments": ("fragment", "further predicted part on one part of the mask"),
}


def panel(run: Run) -> Panel:
    """How many images each kind of error is in, and what their Dice is."""
    shares = {network.name: [float((network.images[kind] > 0).mean()) for kind in MISTAKES] for network in run.networks}
    parts = []
    for network in run.networks:
        most = int(np.argmax(shares[network.name]))
        word = KINDS[MISTAKES[most]][0]
        parts.append(f"with {network.title}: {word}, in {percent(shares[network.name][most], 0)} of the images")
    titles = ["kind", "network", "number", "images", "share", "mean Dice with it", "without it"]
    rows = [_row(network, kind) for kind in MISTAKES for network in run.networks]
    definitions = [list(words) for words in KINDS.values()]
    return Panel("mistakes", "Kinds of error", f"Most common {'; '.join(parts)}.", [
        Row([
            _figure(run, shares),
            Table("What is counted, in connected parts", ["kind", "what it is"], definitions, numbers=2),
        ]),
        Table("Errors by kind", titles, rows, numbers=2),
    ])  # fmt: skip


def _row(network, kind: str) -> list[str]:
    values = network.images[kind]
    here = values > 0
    means = [decimals(float(network.dice[chosen].mean())) if chosen.any() else "–" for chosen in (here, ~here)]
    counts = [f"{int(number):,}" for number in (values.sum(), here.sum())]
    return [KINDS[kind][0], network.title, *counts, percent(here.mean()), *means]


def _figure(run: Run, shares: dict[str, list[float]]) -> Figure:
    places, height = np.arange(len(MISTAKES))[::-1], 0.8 / len(run.networks)
    with drawing(height=250, xlabel="images with it, in %") as drawn:
        for place, network in enumerate(run.networks):
            shift = 0.4 - height * (place + 0.5)
            values = 100 * np.array(shares[network.name])
            drawn.axes.barh(places + shift, values, height * 0.86, color=colour(place), label=network.title)
        drawn.axes.set_yticks(places, [KINDS[kind][0] for kind in MISTAKES])
        drawn.axes.grid(False, axis="y")
        drawn.axes.set(xlim=(0, max(5, 105 * max(map(max, shares.values())))))
        legend(drawn.axes)
    caption = "An image can have errors of several kinds, and errors at the contour that are none of them."
    return Figure(drawn.svg, "Share of the images with each kind of error", caption)
