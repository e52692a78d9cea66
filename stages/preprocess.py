"""Decode, resize, split and pack the raw data: ``python -m stages.preprocess``."""

from pathlib import Path

from stages.runner import run_stage

KEYS = ("preprocess.size", "preprocess.border", "preprocess.on_bad")


def work(params):
    """``data/raw`` to ``data/processed``."""
    from segkit.data.preprocess import preprocess

    summary = preprocess(Path("data/raw"), Path("data/processed"), params.preprocess, params.runtime.workers)
    splits = ", ".join(f"{split['images']:,} {name}" for name, split in summary["splits"].items())
    height, width = summary["size"]
    skipped = "".join(f"; skipped {name} ({reason})" for name, reason in summary["skipped"].items())
    return f"{splits} at {width}x{height} px, {summary['splits']['train']['foreground']:.0%} foreground{skipped}"


if __name__ == "__main__":
    run_stage("preprocess", work, KEYS)
