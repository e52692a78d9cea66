"""Decode, resize, split and pack the raw data: ``python -m stages.preprocess``."""

from pathlib import Path

from stages.runner import run_stage

KEYS = (
    "preprocess.size",
    "preprocess.border",
    "preprocess.on_bad",
    "preprocess.on_empty",
    "preprocess.on_duplicate",
)
NAMED = 3


def work(params):
    """``data/raw`` to ``data/processed``."""
    from segkit.data.preprocess import preprocess

    return describe(preprocess(Path("data/raw"), Path("data/processed"), params.preprocess, params.runtime.workers))


def describe(summary):
    """The summary in one line: sizes, foreground, what was skipped, and pictures that are there more than once."""
    splits = ", ".join(f"{split['images']:,} {name}" for name, split in summary["splits"].items())
    height, width = summary["size"]
    parts = [f"{splits} at {width}x{height} px, {summary['splits']['train']['foreground']:.0%} foreground"]
    for words, key in (
        ("skipped: {} samples", "skipped"),
        ("leakage: {} pictures are in two splits", "leakage"),
        ("contradiction: {} pictures come again with another mask", "contradictions"),
    ):
        if found := summary[key]:
            parts.append(f"{words.format(f'{len(found):,}')} ({_first(found)}; all in summary.json)")
    return "; ".join(parts)


def _first(found):
    """The first few of skipped samples (name to reason) or of pairs (name, split, name, split)."""
    if isinstance(found, dict):
        named = [f"{name}: {reason}" for name, reason in found.items()]
    else:
        named = [f"{one} in {split} = {other} in {other_split}" for one, split, other, other_split in found]
    return ", ".join(named[:NAMED]) + (", …" if len(named) > NAMED else "")


if __name__ == "__main__":
    run_stage("preprocess", work, KEYS)
