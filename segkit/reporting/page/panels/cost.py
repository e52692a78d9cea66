"""What a network costs, and how much of its quality is left on damaged images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segkit.base.errors import InputError
from segkit.base.files import digest, read_json
from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Figure, Panel, Row, Table, Text
from segkit.reporting.page.drawing import colour, drawing, legend
from segkit.reporting.page.measure import Cost

DEFAULT = Path("reports/robustness.json")
ASK = "python -m benchmarks.robustness models/unet.safetensors models/resnet34_unet.safetensors --json "


def panel(run: Run, costs: Mapping[str, Cost], robustness: dict[str, Any] | None) -> Panel:
    """``robustness``: what ``benchmarks.robustness --json`` wrote, if there is any."""
    rows = [[network.title, *_cells(costs[network.name])] for network in run.networks]
    titles = ["network", "parameters", "GFLOPs per image", "seconds per image", "peak memory, MiB"]
    measured = next(iter(costs.values()))
    height, width = run.summary["size"]
    words = f"FLOPs of one forward pass at {width}×{height} px, a multiplication and an addition counted as two. "
    words += (
        f"Seconds: median of single images in fp32 on {measured.device}; memory: of a process that loads the "
        "checkpoint and predicts one image at a time, with torch itself."
        if measured.seconds is not None
        else "Seconds and memory were not measured (--no-timing)."
    )
    blocks = [Table("Cost of a prediction", titles, rows), Text(words)]
    return Panel("cost", "Robustness and cost", _finding(run, costs), [*blocks, *_robustness(run, robustness)])


def read_robustness(path: Path | None) -> dict[str, Any] | None:
    """The file that was named, or the default one if it is there; raises InputError for one that is not such a file."""
    if path is None and not DEFAULT.is_file():
        return None
    path = path or DEFAULT
    if not path.is_file():
        raise InputError(f"--robustness {path}: there is no such file; {ASK}{path} writes it")
    found = read_json(path)
    try:
        found.setdefault("sha256", found["checkpoints"])  # earlier versions wrote paths alone: of unknown checkpoints
        files, dice = found["sha256"], found["dice"]
        fits = all(len(values) == len(files) and np.isfinite(values).all() for values in dice.values())
        if fits and dice["clean"] and isinstance(found["images"], int):
            return found
    except (TypeError, KeyError, AttributeError):
        pass
    raise InputError(f"{path} is not what benchmarks.robustness --json writes; {ASK}{path} writes it again")


def _cells(cost: Cost) -> list[str]:
    seconds = "–" if cost.seconds is None else f"{cost.seconds:.4f}"
    memory = "–" if cost.memory is None else f"{cost.memory / 2**20:,.0f}"
    return [f"{cost.parameters:,}", f"{cost.flops / 1e9:,.2f}", seconds, memory]


def _finding(run: Run, costs: Mapping[str, Cost]) -> str:
    least = min(run.networks, key=lambda network: costs[network.name].flops)
    words = f"{least.title} needs {costs[least.name].flops / 1e9:,.2f} GFLOPs per image"
    for network in run.networks:
        if network is not least:
            factor = costs[network.name].flops / costs[least.name].flops
            words += f", {network.title} {factor:.1f} times as many"
    return f"{words}."


def _robustness(run: Run, found: dict[str, Any] | None) -> list:
    if not found:
        return [Text(f"Robustness is not measured here. {ASK}{DEFAULT} measures it on a pet data set.", note=True)]
    checkpoints = {network.name: digest(run.paths.models / f"{network.name}.safetensors") for network in run.networks}
    places = {name: found["sha256"].index(sha) for name, sha in checkpoints.items() if sha in found["sha256"]}
    networks = [network for network in run.networks if network.name in places]
    if not networks:
        return [Text(f"The robustness file is of other checkpoints. {ASK}{DEFAULT} measures these.", note=True)]
    kinds = list(found["dice"])
    rows = [
        [kind.replace("_", " "), *(f"{found['dice'][kind][places[network.name]]:.4f}" for network in networks)]
        for kind in kinds
    ]
    table = Table("Mean Dice on damaged images", ["damage", *(network.title for network in networks)], rows)
    with drawing(height=80 + 20 * len(kinds), xlabel="mean Dice") as drawn:
        y = np.arange(len(kinds))[::-1]
        for place, network in enumerate(run.networks):
            if network in networks:
                values = [found["dice"][kind][places[network.name]] for kind in kinds]
                drawn.axes.plot(values, y, "os"[place % 2], color=colour(place), markersize=5, label=network.title)
        drawn.axes.set_yticks(y, [kind.replace("_", " ") for kind in kinds])
        legend(drawn.axes)
    worst = [
        f"{network.title} loses most by “{kind.replace('_', ' ')}”"
        for network in networks
        for kind in [min(kinds, key=lambda kind: found["dice"][kind][places[network.name]])]
    ]
    caption = f"{'; '.join(worst)}. {found['images']:,} images."
    return [Row([Figure(drawn.svg, "Mean Dice by kind of damage", caption), table])]
