"""The whole page: read, draw, fill the template, write one file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from segkit.base.errors import InputError
from segkit.base.files import atomic_write
from segkit.base.params import Params
from segkit.base.workspace import Paths
from segkit.models.device import choose_device, make_deterministic
from segkit.reporting.page import gallery
from segkit.reporting.page.collect import Run, collect
from segkit.reporting.page.comparing import over_seeds, pairs
from segkit.reporting.page.content import Panel
from segkit.reporting.page.measure import cost
from segkit.reporting.page.origin import origin
from segkit.reporting.page.panels import (
    boundary,
    data,
    distribution,
    mistakes,
    paired,
    probabilities,
    provenance,
    scores,
    slices,
    training,
    verdict,
)
from segkit.reporting.page.panels import (
    cost as cost_panel,
)

MOST_BYTES = 5_000_000


@dataclass(frozen=True)
class Wishes:
    """What the page is asked for: ``compare``: a revision; ``seeds``: revisions that differ in their seed;
    ``defaults``: the revision whose params.yaml holds the defaults; ``arguments``: of the command, to be shown."""

    compare: str | None = None
    seeds: Sequence[str] = ()
    defaults: str | None = None
    robustness: Path | None = None
    timing: bool = True
    arguments: Sequence[str] = field(default_factory=tuple)


def report(out: Path, params: Params, wishes: Wishes, paths: Paths | None = None) -> str:
    """Write the page to ``out`` and return one line about it.

    Raises InputError, with nothing written, for results that are missing, damaged or edited, and unknown revisions.
    """
    make_deterministic(seed=0)  # nothing here is drawn at random
    run = collect(paths or Paths())
    content = render(run, _panels(run, params, wishes)).encode()
    if len(content) > MOST_BYTES:
        raise InputError(f"the page has {len(content):,} bytes, more than {MOST_BYTES:,}; please report this")
    with atomic_write(out) as file:
        file.write(content)
    networks = " and ".join(network.title for network in run.networks)
    return f"{out}: {networks} on {len(run.names):,} test images, {len(content) / 1e6:.1f} MB; open it in a browser"


def render(run: Run, panels: Sequence[Panel]) -> str:
    """The page as HTML. Whatever comes from files is escaped."""
    own = files("segkit.reporting.page")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string((own / "page.html.j2").read_text(encoding="utf-8"))
    base, style, script = ((own / name).read_text(encoding="utf-8") for name in ("base.css", "page.css", "page.js"))
    title = " and ".join(network.title for network in run.networks)
    names = {"panels": panels, "style": base + style, "script": script, "title": title, "subject": _subject(run)}
    return template.render(names) + "\n"


def _subject(run: Run) -> str:
    height, width = run.summary["size"]
    tiled = "in windows of " if run.summary["resize"] == "tile" else ""
    source = data.SOURCES.get(run.source, data.UNKNOWN)
    return f"Tested on {len(run.names):,} images: {source}, {tiled}{width}×{height} px"


def _panels(run: Run, params: Params, wishes: Wishes) -> list[Panel]:
    device = choose_device(params.runtime.device)
    robustness = cost_panel.read_robustness(wishes.robustness)
    known = origin(wishes.arguments, wishes.defaults, device)
    compared, seeds = pairs(run, wishes.compare), over_seeds(run, wishes.seeds)
    costs = {
        network.name: cost(run.paths.models / f"{network.name}.safetensors", network.checkpoint, device, wishes.timing)
        for network in run.networks
    }
    return [
        verdict.panel(run, seeds),
        scores.panel(run),
        distribution.panel(run),
        paired.panel(*compared),
        gallery.panel(run, params, device),
        boundary.panel(run),
        probabilities.panel(run, params.evaluate.threshold),
        slices.panel(run),
        mistakes.panel(run),
        training.panel(run),
        data.panel(run),
        cost_panel.panel(run, costs, robustness),
        provenance.panel(run, known),
    ]
