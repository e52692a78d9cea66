"""How the Dice of single images is spread: a mean hides the failures."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Figure, Panel, Row, Table, decimals, listed, percent
from segkit.reporting.page.drawing import DASHES, colour, drawing, legend

BIN = 0.05
QUANTILES = {"worst": 0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "best": 1}
LOW = 0.5


def panel(run: Run) -> Panel:
    """Histogram, cumulative curve and quantiles."""
    low = [f"{percent((network.dice < LOW).mean())} with {network.title}" for network in run.networks]
    worst = [f"{network.dice.min():.3f} with {network.title}" for network in run.networks]
    finding = f"The worst image has a Dice of {listed(worst)}; below {LOW:g} are {listed(low)} of the images."
    if not any((network.dice < LOW).any() for network in run.networks):
        finding = f"No image has a Dice below {LOW:g}; the worst has {listed(worst)}."
    rows = [
        [network.title, *(decimals(value) for value in np.quantile(network.dice, list(QUANTILES.values())))]
        for network in run.networks
    ]
    quantiles = Table("Quantiles of Dice over the test images", ["network", *QUANTILES], rows)
    return Panel("distribution", "Dice per image", finding, [Row([_histogram(run), _cumulative(run)]), quantiles])


def _histogram(run: Run) -> Figure:
    tallest = []
    with drawing(xlabel="Dice of an image", ylabel="images") as drawn:
        for place, network in enumerate(run.networks):
            table = network.analysis["histogram"]
            edges = [*table["dice"], table["dice"][-1] + BIN]
            drawn.axes.stairs(table["images"], edges, color=colour(place), fill=True, alpha=0.18)
            drawn.axes.stairs(table["images"], edges, color=colour(place), linewidth=1.8, linestyle=DASHES[place % 2],
                              label=network.title)  # fmt: skip
            top = table["images"].argmax()
            tallest.append(f"{edges[top]:.2f} to {edges[top + 1]:.2f} ({network.title})")
        drawn.axes.set(xlim=(0, 1), ylim=(0, None))
        legend(drawn.axes)
    caption = f"The most common Dice is {listed(tallest)}."
    return Figure(drawn.svg, "Histogram of the Dice of the test images", caption)


def _cumulative(run: Run) -> Figure:
    with drawing(xlabel="Dice of an image", ylabel="images up to this Dice") as drawn:
        for place, network in enumerate(run.networks):
            table = network.analysis["histogram"]
            ends = np.concatenate([[0], table["dice"] + BIN])
            drawn.axes.plot(ends, [0, *table["cumulative"]], color=colour(place), linestyle=DASHES[place % 2],
                            label=network.title)  # fmt: skip
        drawn.axes.set(xlim=(0, 1), ylim=(0, 1))
        drawn.axes.yaxis.set_major_formatter(PercentFormatter(1))
        legend(drawn.axes)
    parts = [f"{np.median(network.dice):.3f} ({network.title})" for network in run.networks]
    caption = f"Half of the images have a Dice of at most {listed(parts)}. The lower the curve, the better."
    return Figure(drawn.svg, "Share of the test images up to each Dice", caption)
