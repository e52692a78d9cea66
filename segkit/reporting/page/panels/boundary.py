"""Where in the image the errors are: at the contour, or far from it."""

from matplotlib.ticker import PercentFormatter

from segkit.reporting.page.collect import Network, Run
from segkit.reporting.page.content import Figure, Panel, Row, listed, percent
from segkit.reporting.page.drawing import DASHES, MUTED, colour, drawing, legend

NEAR = 2  # pixels


def panel(run: Run) -> Panel:
    """Rate and number of wrong pixels against their distance from the mask's contour."""
    parts = [f"{percent(near(network), 0)} ({network.title})" for network in run.networks]
    finding = f"Within {NEAR} pixels of the contour lie {listed(parts)} of all wrong pixels."
    return Panel("boundary", "Errors at the contour", finding, [Row([_rate(run), _share(run)])])


def near(network: Network) -> float:
    """Share of the wrong pixels that lie within ``NEAR`` pixels of the contour."""
    table = network.analysis["boundary"]
    total = table["errors"].sum()
    return float(table["errors"][abs(table["distance"]) <= NEAR].sum() / total) if total else float("nan")


def _rate(run: Run) -> Figure:
    worst = []
    with drawing(xlabel="pixels from the contour, negative inside", ylabel="wrong pixels at this distance") as drawn:
        for place, network in enumerate(run.networks):
            table = network.analysis["boundary"]
            rate = table["errors"] / table["pixels"].clip(min=1)
            _line(drawn.axes, table["distance"], rate, place, network.title)
            worst.append(f"{percent(rate.max(), 0)} ({network.title})")
        _finish(drawn.axes)
    caption = f"The error rate peaks at {listed(worst)}. The first and the last distance stand for all beyond."
    return Figure(drawn.svg, "Share of wrong pixels at each distance from the contour", caption)


def _share(run: Run) -> Figure:
    deep = []
    with drawing(xlabel="pixels from the contour, negative inside", ylabel="share of all wrong pixels") as drawn:
        for place, network in enumerate(run.networks):
            table = network.analysis["boundary"]
            share = table["errors"] / max(1, table["errors"].sum())
            _line(drawn.axes, table["distance"], share, place, network.title)
            deep.append(f"{percent(share[table['distance'] < -NEAR].sum(), 0)} ({network.title})")
        _finish(drawn.axes)
    caption = f"Deeper inside than {NEAR} pixels lie {listed(deep)} of the wrong pixels: parts that were missed."
    return Figure(drawn.svg, "Share of all wrong pixels by distance from the contour", caption)


def _line(axes, x, y, place: int, title: str) -> None:
    axes.plot(x, y, color=colour(place), linestyle=DASHES[place % 2], label=title)


def _finish(axes) -> None:
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set(xlim=(-20, 20), ylim=(0, None))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend(axes)
