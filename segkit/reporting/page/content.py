"""What a panel of the page consists of; ``page.html.j2`` turns it into HTML, and escapes every text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Text:
    """A paragraph; a ``note`` says what is not there, or what to keep in mind."""

    text: str
    note: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Figure:
    """A drawing with its finding in words; ``label`` says what is drawn, for those who do not see it."""

    svg: Markup
    label: str
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Table:
    """Rows of texts under a line of titles; from column ``numbers`` on they are numbers.

    ``groups``: a line above the titles, each for so many columns after the first. ``folded``: shown on demand.
    """

    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1
    folded: bool = False
    groups: Sequence[tuple[str, int]] = ()
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Row:
    """Figures or tables side by side where there is room; ``columns``: one below the other in columns, for blocks of
    very different heights."""

    blocks: Sequence[Figure | Table]
    columns: bool = False
    kind: ClassVar[str] = "row"


@dataclass(frozen=True)
class Score:
    """A network's result in large: value and interval, and in which colour the network is drawn."""

    name: str
    colour: str
    value: str
    interval: str
    remark: str


@dataclass(frozen=True)
class Scores:
    """Results side by side."""

    scores: Sequence[Score]
    kind: ClassVar[str] = "scores"


@dataclass(frozen=True)
class Picture:
    """An image as a data address, with its size in pixels."""

    source: str
    width: int
    height: int
    label: str
    caption: str = ""
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Panel:
    """A section of the page: ``key`` is its address, ``finding`` its result in one sentence."""

    key: str
    title: str
    finding: str
    blocks: list = field(default_factory=list)


def decimals(value: float, digits: int = 4) -> str:
    """``0.9315``; a dash for what is not defined."""
    return f"{value:.{digits}f}" if value == value else "–"


def signed(value: float, digits: int = 4) -> str:
    """``+0.0123`` or ``−0.0123``."""
    return f"{value:+.{digits}f}".replace("-", "−")


def percent(share: float, digits: int = 1) -> str:
    """``12.3 %``; a dash for what is not defined."""
    return f"{share:.{digits}%}".replace("%", " %") if share == share else "–"


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
