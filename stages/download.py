"""Fetch or draw the raw data: ``python -m stages.download``."""

from pathlib import Path

from segkit.base.stage import run_stage

KEYS = ("seed", "data.source", "data.synthetic", "data.oxford_pet", "data.folder")


def work(params):
    """``data.source`` to ``data/raw/download``."""
    from segkit.sources.download import download

    return download(params, Path("data/raw/download"))


if __name__ == "__main__":
    run_stage("download", work, KEYS)
