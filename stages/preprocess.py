"""Decode, resize, split and pack the raw data: ``python -m stages.preprocess``."""

from pathlib import Path

from segkit.base.stage import run_stage

KEYS = (
    "data.source",
    "data.exclude",
    "preprocess.size",
    "preprocess.resize",
    "preprocess.border",
    "preprocess.valid_every",
    "preprocess.on_bad",
    "preprocess.on_empty",
    "preprocess.on_suspect",
    "preprocess.on_duplicate",
    "data.folder.foreground",
    "data.folder.ignore",
    "data.folder.range",
    "data.folder.pages",
)


def work(params):
    """``data/raw/download`` to ``data/processed``."""
    from segkit.dataset.findings import describe, remarks
    from segkit.dataset.preprocess import preprocess

    raw, target = Path("data/raw/download"), Path("data/processed")
    data = params.data
    options, workers = params.preprocess, params.runtime.workers
    summary = preprocess(raw, target, options, workers, data.folder, data.source, Path(data.exclude))
    for remark in remarks(summary):
        print(f"preprocess: {remark}", flush=True)
    return describe(summary)


if __name__ == "__main__":
    run_stage("preprocess", work, KEYS)
