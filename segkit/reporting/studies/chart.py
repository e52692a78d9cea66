"""A study as a dot chart: each run's test scores with their spread over seeds, beside the published score."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segkit.base.files import atomic_write
from segkit.reporting.studies.table import Line

# Of the palette of Okabe and Ito, which colour-blind people can tell apart; the shapes differ, too.
DICE, ACCURACY, PUBLISHED = "#0072B2", "#E69F00", "#000000"
MARKS = (
    ("test_dice", "test Dice", {"color": DICE, "marker": "o", "markersize": 8}),
    ("test_pixel_accuracy_batch", "test pixel accuracy by batch", {"color": ACCURACY, "marker": "s", "markersize": 7}),
)
LABEL = "published (pixel accuracy by batch)"
OFFSET = 0.16  # of the two scores from the middle of their row
GRID, BAND = "#d9d9d9", "#eaf3f9"


def draw(path: Path, title: str, lines: Sequence[Line]) -> None:
    """Write a PNG with one row for each run, network by network."""
    models = dict.fromkeys(line.row.model for line in lines)
    ordered = [line for model in models for line in lines if line.row.model == model]
    figure = Figure(figsize=(10, 2.0 + 0.45 * len(ordered)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for place, line in enumerate(ordered):
        _draw_row(axes, place, line)
    _frame(axes, title, ordered)
    _legend(figure, axes)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", metadata={"Software": None})


def _draw_row(axes: Axes, place: int, line: Line) -> None:
    if line.best:
        axes.axhspan(place - 0.5, place + 0.5, color=BAND, zorder=0)
    if not line.scores:
        left = axes.get_yaxis_transform()
        axes.text(0.01, place, line.text, transform=left, va="center", fontsize=11, style="italic", color="#555555")
    elif line.row.published is not None:
        ends = (line.scores["test_pixel_accuracy_batch"].mean, line.row.published)
        axes.plot(ends, (place, place), color="#999999", linewidth=1, zorder=1)
    for (key, label, style), offset in zip(MARKS, (-OFFSET, 0), strict=True):
        if key in line.scores:
            score = line.scores[key]
            axes.errorbar(
                score.mean, place + offset, xerr=score.deviation, capsize=4, linestyle="", label=label, **style
            )
    if line.row.published is not None:
        style = {"color": PUBLISHED, "marker": "D", "markersize": 7, "markerfacecolor": "white", "linestyle": ""}
        axes.plot(line.row.published, place, label=LABEL, **style)


def _frame(axes: Axes, title: str, lines: Sequence[Line]) -> None:
    names = [f"{line.row.name}{' ★' if line.best else ''}" for line in lines]
    axes.set_yticks(range(len(lines)), names, fontsize=11)
    axes.set_ylim(len(lines) - 0.5, -0.5)  # the first run on top
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for model in dict.fromkeys(line.row.model for line in lines):
        places = [place for place, line in enumerate(lines) if line.row.model == model]
        style = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 11}
        axes.text(1.01, (places[0] + places[-1]) / 2, model, **style)
        if places[0]:
            axes.axhline(places[0] - 0.5, color="#888888", linewidth=1)
    axes.set_title(f"{title}: scores of the test set", loc="left", fontsize=14)
    several = any(line.scores and line.scores["test_dice"].deviation is not None for line in lines)
    spread = "; bars: standard deviation over seeds" * several
    axes.set_xlabel(f"★ best validation Dice of its network{spread}", fontsize=11)


def _legend(figure: Figure, axes: Axes) -> None:
    """Each mark that was drawn, once, in the order of ``MARKS``."""
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    labels = [label for label in [*(label for _, label, _ in MARKS), LABEL] if label in drawn]
    handles = [drawn[label] for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=11)
