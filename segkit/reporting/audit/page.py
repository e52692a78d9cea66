"""The page of the most contradicted masks: one HTML file, without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader
from PIL import Image

from segkit.base.files import atomic_write
from segkit.reporting.audit.contradiction import FLAGGED
from segkit.reporting.audit.listing import Finding
from segkit.reporting.audit.panels import EXTRA, MISSING
from segkit.reporting.page.pictures import encoded


@dataclass(frozen=True)
class Shown:
    """A sample on the page with its rank and its two panels."""

    finding: Finding
    rank: int
    mask: Image.Image
    marked: Image.Image


@dataclass(frozen=True)
class Page:
    """What the page says: network, folds, number of samples and of flagged ones, held-out Dice, the list's path."""

    network: str
    folds: int
    samples: int
    flagged: int
    dice: float
    list: str
    shown: Sequence[Shown]


def write_page(path: Path, page: Page) -> None:
    """Write it to ``path``, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("segkit.reporting", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["address"] = encoded
    colours = {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in (("missing", MISSING), ("extra", EXTRA))}
    html = environment.get_template("audit/page.html.j2").render(page=page, flagged_at=FLAGGED, colours=colours)
    with atomic_write(path, "w", encoding="utf-8") as file:
        file.write(html)
