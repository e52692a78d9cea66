"""What the probabilities are worth: the choice of the threshold, precision against recall, calibration."""

import numpy as np

from segkit.reporting.page.collect import Network, Run
from segkit.reporting.page.content import Figure, Panel, Row, Table, decimals, listed, percent
from segkit.reporting.page.drawing import DASHES, INK, MUTED, colour, drawing, legend


def panel(run: Run, threshold: float) -> Panel:
    """``threshold``: of the evaluation."""
    gains = [best_threshold(network) for network in run.networks]
    here = [at_threshold(network, threshold) for network in run.networks]
    parts = [
        f"{network.title} would gain {best - dice:.3f} Dice at {at:.2f}"
        if best - dice >= 0.0005
        else f"{network.title} would gain nothing elsewhere"
        for network, (at, best), dice in zip(run.networks, gains, here, strict=True)
    ]
    finding = f"The threshold is {threshold:g}. {'; '.join(parts)}: seen on the test set, so not to be chosen by it."
    rows = [
        [network.title, decimals(dice), f"{at:.2f}", decimals(best), decimals(calibration_error(network))]
        for network, (at, best), dice in zip(run.networks, gains, here, strict=True)
    ]
    titles = ["network", f"Dice at {threshold:g}", "best threshold", "Dice there", "ECE"]
    table = Table("Threshold and expected calibration error (ECE)", titles, rows)
    figures = Row([_dice(run, threshold), _precision(run, threshold)])
    return Panel("probabilities", "Threshold and calibration", finding, [figures, Row([_reliability(run), table])])


def best_threshold(network: Network) -> tuple[float, float]:
    """The threshold with the highest mean Dice, and that Dice."""
    table = network.analysis["thresholds"]
    best = table["dice"].argmax()
    return float(table["threshold"][best]), float(table["dice"][best])


def at_threshold(network: Network, threshold: float) -> float:
    """Mean Dice at the nearest threshold of the table."""
    table = network.analysis["thresholds"]
    return float(table["dice"][abs(table["threshold"] - threshold).argmin()])


def calibration_error(network: Network) -> float:
    """Expected calibration error: the mean over pixels of how far the share of foreground in a bin is from the mean
    probability there (Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015)."""
    table = network.analysis["reliability"]
    used = table["pixels"] > 0
    gaps = abs(table["foreground"] - table["mean_probability"])[used]
    return float(np.average(gaps, weights=table["pixels"][used]))


def _dice(run: Run, threshold: float) -> Figure:
    flat = []
    with drawing(xlabel="threshold", ylabel="mean Dice") as drawn:
        for place, network in enumerate(run.networks):
            table = network.analysis["thresholds"]
            _line(drawn.axes, table["threshold"], table["dice"], place, network.title)
            good = table["threshold"][table["dice"] >= table["dice"].max() - 0.01]
            flat.append(f"{good.min():.2f} to {good.max():.2f} ({network.title})")
        drawn.axes.axvline(threshold, color=MUTED, linewidth=1, linestyle=":")
        drawn.axes.set(xlim=(0, 1), ylim=(0, 1))
        legend(drawn.axes)
    caption = f"Dice stays within 0.01 of its best from {listed(flat)}. Dotted: the threshold used."
    return Figure(drawn.svg, "Mean Dice against the threshold", caption)


def _precision(run: Run, threshold: float) -> Figure:
    parts = []
    with drawing(xlabel="recall", ylabel="precision") as drawn:
        for place, network in enumerate(run.networks):
            table = network.analysis["thresholds"]
            _line(drawn.axes, table["recall"], table["precision"], place, network.title)
            used = abs(table["threshold"] - threshold).argmin()
            recall, precision = table["recall"][used], table["precision"][used]
            drawn.axes.plot(recall, precision, "o", color=colour(place), markersize=6)
            parts.append(f"{percent(precision)} and {percent(recall)} ({network.title})")
        low = min(network.analysis["thresholds"]["precision"].min() for network in run.networks)
        drawn.axes.set(xlim=(0, 1.01), ylim=(max(0, np.floor(low * 10 - 0.5) / 10), 1.01))
        legend(drawn.axes)
    caption = f"Precision and recall over all pixels at the threshold used (dots): {listed(parts)}."
    return Figure(drawn.svg, "Precision against recall over all thresholds", caption)


def _reliability(run: Run) -> Figure:
    parts = []
    with drawing(xlabel="predicted probability", ylabel="share of foreground") as drawn:
        drawn.axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for place, network in enumerate(run.networks):
            table = network.analysis["reliability"]
            used = table["pixels"] > 0
            _line(drawn.axes, table["mean_probability"][used], table["foreground"][used], place, network.title, "o")
            parts.append(f"{calibration_error(network):.3f} ({network.title})")
        drawn.axes.set(xlim=(0, 1), ylim=(0, 1))
        legend(drawn.axes)
    caption = (
        f"The expected calibration error is {listed(parts)}. On the dotted line a probability of 0.8 is right in "
        "8 of 10 pixels; below it the network is too sure."
    )
    return Figure(drawn.svg, "Reliability diagram: share of foreground at each predicted probability", caption)


def _line(axes, x, y, place: int, title: str, marker: str = "") -> None:
    style = {"color": colour(place), "linestyle": DASHES[place % 2], "marker": marker, "markersize": 3}
    axes.plot(x, y, label=title, **style)
