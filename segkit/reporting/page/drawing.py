"""Figures as SVG inside the page: drawn once, in the colours of the reader's light or dark scheme.

matplotlib draws with colours that stand for a role, and each becomes a variable of the page's style sheet. Text stays
text, in the page's own font. The same numbers give the same bytes.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

ROLES = ("ink", "muted", "grid", "first", "second", "paper")
COLOUR = {role: f"#0{number}0{number}0{number}" for number, role in enumerate(ROLES, 1)}
INK, MUTED, GRID, FIRST, SECOND, PAPER = COLOUR.values()
DASHES = ("-", (0, (4, 1.6)))  # of the first and the second network, for those who see no colours
WIDTH, HEIGHT = 440, 290  # pixels; narrow enough for a phone
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "segkit",
    "text.parse_math": False,  # a name may hold dollar signs
    "path.simplify": False,
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


@dataclass
class Drawing:
    """A figure in progress: draw on ``axes``; ``svg`` is there after the ``with`` block."""

    axes: Axes
    svg: Markup | None = None


@contextmanager
def drawing(width: int = WIDTH, height: int = HEIGHT, **labels: str) -> Iterator[Drawing]:
    """A figure of ``width`` by ``height`` pixels; ``labels``: ``xlabel``, ``ylabel`` and the like of its axes."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault | STYLE):
        canvas = Canvas(figsize=(width / 72, height / 72), layout="constrained")
        drawn = Drawing(canvas.add_subplot(**labels))
        yield drawn
        content = io.StringIO()
        canvas.savefig(content, format="svg", metadata={"Date": None})
        drawn.svg = Markup(_inline(content.getvalue()))


def colour(index: int) -> str:
    """Of a network, by its place."""
    return (FIRST, SECOND)[index % 2]


def role(index: int) -> str:
    """The name of the same colour in the style sheet."""
    return ("first", "second")[index % 2]


def dots(axes: Axes, x: np.ndarray, y: np.ndarray, fill: str, size: float = 3.5) -> None:
    """Thousands of points as one path, a tenth as long as a marker for each."""
    points = np.repeat(np.stack([x, y], axis=1), 2, axis=0)
    codes = np.tile([Outline.MOVETO, Outline.LINETO], len(points) // 2)
    style = {"facecolor": "none", "edgecolor": fill, "linewidth": size, "capstyle": "round", "alpha": 0.6}
    axes.add_patch(PathPatch(Outline(points, codes), **style))


def legend(axes: Axes, columns: int = 2) -> None:
    """Above the axes, where it covers nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0.2, handlelength=2.2)


def _inline(svg: str) -> str:
    """The figure alone, without what only a file of its own needs."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true" focusable="false">', svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    own = hashlib.sha256(svg.encode()).hexdigest()[:8]  # the page holds many figures, and an id is for one element
    for name in used:
        svg = svg.replace(f'id="{name}"', f'id="{own}-{name}"').replace(f"#{name}", f"#{own}-{name}")
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'font-family: [^;"]*; ?', "", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)  # hundredths of a pixel
    svg = re.sub(r"M (\S+ \S+) \nL \1 \n", r"M\1h0", svg)  # dots
    svg = re.sub(r">\s+<", "><", svg)
    for name, stands_for in COLOUR.items():
        svg = svg.replace(stands_for, f"var(--{name})")
    return svg.strip()
