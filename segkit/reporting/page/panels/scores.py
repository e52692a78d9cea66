"""All scores of all networks, at every size and with every reading of the border that was measured."""

from segkit.evaluation.scores import SCORES
from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Panel, Table, Text, decimals

BLOCKS = {
    "valid": "validation",
    "test": "test",
    "test_original": "test, original size",
    "test_original_no_border": "test, original size, border left out",
}
BORDER = {"foreground": "counted as foreground", "background": "counted as background", "ignore": "ignored"}


def panel(run: Run) -> Panel:
    """One row for each network in each block of ``metrics/scores``."""
    border = run.summary["border"]
    has_border = any(network.scores.test_original_no_border for network in run.networks)
    blocks = [key for key in BLOCKS if all(getattr(network.scores, key) for network in run.networks)]
    shown = [getattr(network.scores, key) for key in blocks for network in run.networks]
    rows = [[score.__name__, *(decimals(getattr(block, score.__name__)) for block in shown)] for score in SCORES]
    rows.append(["images", *(f"{block.images:,}" for block in shown)])
    titles = ["score", *(network.title for _ in blocks for network in run.networks)]
    groups = [(BLOCKS[key], len(run.networks)) for key in blocks]
    definitions = [[score.__name__, " ".join(score.__doc__.split("\n\n")[0].split())] for score in SCORES]
    return Panel("scores", "All scores", _finding(run), [
        Table("Scores by images, size and reading of the border", titles, rows, groups=groups),
        Text(_sizes(run)),
        Text(_missing(border, has_border), note=True),
        Table("What each score is", ["score", "definition"], definitions, numbers=2, folded=True),
    ])  # fmt: skip


def _finding(run: Run) -> str:
    parts = []
    for network in run.networks:
        change = network.scores.test_original.dice - network.scores.test.dice
        words = f"{abs(change):.3f} {'higher' if change > 0 else 'lower'}" if abs(change) >= 0.0005 else "the same"
        parts.append(f"{network.title} {words}")
    return f"Dice at the images' original size, compared with the network's size: {', '.join(parts)}."


def _sizes(run: Run) -> str:
    if run.summary["resize"] == "tile":
        return "All images were cut into windows, and are scored as a whole at their original size."
    height, width = run.summary["size"]
    return (
        f"Validation and test are scored at the network's size, {width}×{height} px. At original size the "
        "probabilities are resized bilinearly and compared with the masks as they were drawn."
    )


def _missing(border: str, has_border: bool) -> str:
    if not has_border:
        return "The masks have no border between the classes that could be read in two ways."
    others = [words for value, words in BORDER.items() if value != border]
    return (
        f"The border of the trimaps is {BORDER[border]} (preprocess.border), and left out in the last columns. Not "
        f"measured here: the border {' or '.join(others)}, which takes packing and training again with that setting."
    )
