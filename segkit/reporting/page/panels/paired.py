"""Two networks, or one at two revisions, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segkit.reporting.page.bootstrap import interval
from segkit.reporting.page.content import Figure, Panel, Row, Table, Text, decimals, percent, signed
from segkit.reporting.page.drawing import INK, colour, dots, drawing

EQUAL = 0.005  # Dice; a smaller difference is a tie
LISTED = 5


@dataclass(frozen=True)
class Pair:
    """Dice ``float64 (N,)`` of the same images ``names``, before and after, or of one network and another.

    ``first`` and ``second``: what is compared, in words, and ``columns`` the same in a word; ``place``: of the second
    one's colour; ``remark``: what limits the comparison.
    """

    first: str
    second: str
    names: np.ndarray
    before: np.ndarray
    after: np.ndarray
    place: int
    columns: tuple[str, str]
    remark: str = ""


def panel(pairs: list[Pair], remarks: Sequence[str] = ()) -> Panel:
    """One comparison below the other, then the ``remarks``."""
    if not pairs:
        finding = "There is nothing to compare: one network, and no --compare REV."
        return Panel("paired", "Paired comparison", finding)
    first, *others = pairs
    blocks = [*_blocks(first), *(block for pair in others for block in (Text(_finding(pair)), *_blocks(pair)))]
    blocks += [Text(remark, note=True) for remark in remarks]
    return Panel("paired", "Paired comparison", _finding(first), blocks)


def _finding(pair: Pair) -> str:
    found = interval(pair.after - pair.before)
    if found.low != found.low:
        return f"{pair.second} minus {pair.first}: {signed(found.mean, 3)} Dice on one image."
    verdict = "which excludes 0" if found.excludes_zero else "which contains 0: no certain difference"
    return (
        f"{pair.second} minus {pair.first}: {signed(found.mean, 3)} Dice, 95 % interval {signed(found.low, 3)} to "
        f"{signed(found.high, 3)}, {verdict}."
    )


def _blocks(pair: Pair) -> list:
    change = pair.after - pair.before
    wins, losses = int((change > EQUAL).sum()), int((change < -EQUAL).sum())
    count = len(change)
    words = (
        f"{pair.second} is better on {wins:,} ({percent(wins / count, 0)}), {pair.first} on {losses:,} "
        f"({percent(losses / count, 0)}) of {count:,} images; {count - wins - losses:,} differ by at most {EQUAL:g}."
    )
    order = np.argsort(change, kind="stable")
    chosen = dict.fromkeys([*order[::-1][:LISTED].tolist(), *order[:LISTED].tolist()])
    rows = [[pair.names[i], decimals(pair.before[i]), decimals(pair.after[i]), signed(change[i])] for i in chosen]
    titles = ["image", *map(_short, pair.columns), "difference"]
    table = Table(f"Largest and smallest difference, {pair.second} minus {pair.first}", titles, rows)
    note = [Text(pair.remark, note=True)] if pair.remark else []
    return [Row([_scatter(pair, words), table]), *note]


def _scatter(pair: Pair, words: str) -> Figure:
    low = min(pair.before.min(), pair.after.min())
    start = max(0, np.floor(low * 10 - 0.5) / 10)
    with drawing(400, 380, xlabel=f"Dice, {_short(pair.first)}", ylabel=f"Dice, {_short(pair.second)}") as drawn:
        drawn.axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        dots(drawn.axes, pair.before, pair.after, colour(pair.place))
        drawn.axes.set(xlim=(start, 1.01), ylim=(start, 1.01), aspect="equal")
    return Figure(drawn.svg, f"Dice of each image: {pair.second} against {pair.first}", words)


def _short(words: str) -> str:
    return words if len(words) <= 32 else f"{words[:31]}…"
