"""All scores of all networks, at every size and with every reading of the border that was measured."""

from segkit.evaluation.scores import SCORES
from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Panel, Table, Text, decimals

BORDER = {"foreground": "counted as foreground", "background": "counted as background", "ignore": "ignored"}


def panel(run: Run) -> Panel:
    """One row for each network in each block of ``metrics/scores``."""
    border = run.summary["border"]
    has_border = any(network.scores.test_original_no_border for network in run.networks)
    height, width = run.summary["size"]
    as_set = f", border {BORDER[border]}" if has_border else ""
    small = "original size, from windows" if run.summary["resize"] == "tile" else f"network size {width}×{height} px"
    blocks = {
        "valid": f"validation, {small}{as_set}",
        "test": f"test, {small}{as_set}",
        "test_original": f"test, original size{as_set}",
        "test_original_no_border": "test, original size, border left out",
    }
    rows = [
        [words, network.title, f"{block.images:,}", *(decimals(getattr(block, score.__name__)) for score in SCORES)]
        for key, words in blocks.items()
        for network in run.networks
        if (block := getattr(network.scores, key))
    ]
    titles = ["pictures", "network", "number", *(score.__name__ for score in SCORES)]
    definitions = [[score.__name__, " ".join(score.__doc__.split("\n\n")[0].split())] for score in SCORES]
    return Panel("scores", "All scores", _finding(run), [
        Table("Scores by pictures, size and reading of the border", titles, rows, numbers=2),
        Text(_missing(border, has_border), note=True),
        Table("What each score is", ["score", "definition"], definitions, numbers=2, folded=True),
    ])  # fmt: skip


def _finding(run: Run) -> str:
    parts = []
    for network in run.networks:
        change = network.scores.test_original.dice - network.scores.test.dice
        words = f"{abs(change):.3f} {'higher' if change > 0 else 'lower'}" if abs(change) >= 0.0005 else "the same"
        parts.append(f"{network.title} {words}")
    return f"Dice at the pictures' original size, compared with the network's size: {', '.join(parts)}."


def _missing(border: str, has_border: bool) -> str:
    if not has_border:
        return "The masks have no border between the classes that could be read in two ways."
    others = [words for value, words in BORDER.items() if value != border]
    return (
        f"The border of the trimaps is {BORDER[border]} (preprocess.border), and left out in the last rows. Not measured "
        f"here: the border {' or '.join(others)}, which takes packing and training again with that setting."
    )
