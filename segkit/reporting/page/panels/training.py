"""How the networks were trained: loss, Dice and learning rate of each epoch, and where the time went."""

from matplotlib.ticker import MaxNLocator

from segkit.reporting.page.collect import Network, Run
from segkit.reporting.page.content import Figure, Panel, Row, Text, listed, percent
from segkit.reporting.page.drawing import GRID, INK, MUTED, colour, drawing, legend

KINDS = (("dice", "Dice"), ("loss", "loss"))


def panel(run: Run) -> Panel:
    """Two curves for each network, and its seconds where the run's own record is here."""
    parts = []
    for network in run.networks:
        training = network.training
        end = "stopped early" if training.stopped_early else "ran to the end"
        parts.append(f"{network.title} was best in epoch {training.best_epoch} of {training.epochs} and {end}")
    pairs = list(enumerate(run.networks))
    curves = [Row([_curve(each, place, *kind) for kind in KINDS]) for place, each in pairs]
    seconds = [_seconds(network, place) for place, network in pairs if network.epochs]
    notes = [Text(_record(network), note=True) for network in run.networks]
    blocks = [*curves, *[Row(seconds)] * bool(seconds), *notes]
    return Panel("training", "Training", f"{'; '.join(parts)}.", blocks)


def resumed(network: Network) -> list[int]:
    """Epochs in which, or right before which, a killed run was resumed."""
    table = network.epochs
    return [int(epoch) for epoch in table["epoch"][table["resumed"] > 0]] if table else []


def _record(network: Network) -> str:
    if not network.epochs:
        return (
            f"The seconds of each epoch of {network.title} and its interruptions are not recorded here: no "
            f"runs/EXPERIMENT/{network.name}/epochs.csv of this training."
        )
    marks = resumed(network)
    words = f"Seconds and interruptions of {network.title} are from runs/{network.recorded_in.parent.name}, a training "
    words += "with as many epochs. "
    if not marks:
        return f"{words}It was not interrupted."
    epochs = f"epoch{'s' * (len(marks) > 1)} {listed([str(mark) for mark in marks])}"
    return f"{words}It was interrupted and resumed in {epochs} (dotted lines)."


def _curve(network: Network, place: int, key: str, word: str) -> Figure:
    table = network.curves
    with drawing(xlabel="epoch", ylabel=f"{word}, {network.title}") as drawn:
        for number, mark in enumerate(resumed(network)):
            label = "" if number else "resumed"
            drawn.axes.axvline(mark, color=INK, linewidth=1.2, linestyle=(0, (2, 2)), label=label)
        drawn.axes.plot(table["epoch"], table[f"train_{key}"], color=MUTED, linewidth=1.4, label="training")
        drawn.axes.plot(table["epoch"], table[f"valid_{key}"], color=colour(place), label="validation")
        best = table["epoch"] == network.training.best_epoch
        drawn.axes.plot(table["epoch"][best], table[f"valid_{key}"][best], "o", color=colour(place), markersize=6)
        drawn.axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        legend(drawn.axes, columns=3)
    last, best_value = table[f"valid_{key}"][-1], table[f"valid_{key}"][best][0]
    caption = f"Validation {word} is {best_value:.4f} in the epoch that was kept (dot), {last:.4f} in the last."
    return Figure(drawn.svg, f"{word.capitalize()} of {network.title} in training and validation by epoch", caption)


def _seconds(network: Network, place: int) -> Figure:
    table = network.epochs
    computing = (table["seconds"] - table["data_seconds"]).clip(min=0)
    with drawing(xlabel="epoch", ylabel=f"seconds, {network.title}") as drawn:
        drawn.axes.bar(table["epoch"], computing, 0.8, color=colour(place), label="computing")
        drawn.axes.bar(table["epoch"], table["data_seconds"], 0.8, bottom=computing, color=MUTED, edgecolor=GRID,
                       linewidth=0, label="waiting for data")  # fmt: skip
        drawn.axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        drawn.axes.grid(False, axis="x")
        legend(drawn.axes)
    total = float(table["seconds"].sum())
    waiting = percent(float(table["data_seconds"].sum()) / total if total else float("nan"))
    caption = f"{network.title} trained for {total:,.0f} seconds and waited for data {waiting} of them."
    return Figure(drawn.svg, f"Seconds of each epoch of {network.title}, computing and waiting for data", caption)
