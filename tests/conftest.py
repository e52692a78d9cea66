"""What holds for every test."""

import os
import signal
from collections.abc import Iterator

import pytest

# Set where pytest runs from a git hook, inside a DVC stage, or in a shell where somebody looks for a bug.
FOREIGN = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "SEGKIT_DEBUG"),
)


@pytest.fixture(scope="session", autouse=True)
def _no_foreign_environment() -> Iterator[None]:
    """What tests start must not act on the repository, or as the experiment, that they run in."""
    with pytest.MonkeyPatch.context() as patch:
        for name in FOREIGN:
            patch.delenv(name, raising=False)
        os.environ.setdefault("DVC_NO_ANALYTICS", "1")
        yield


# One thread a process, which small tensors like best; read where torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under nohup or in the background of a shell these are ignored, and what is ignored is handed on to every command
# that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes by their length: compressed ones hold the time, and all workers must call a test by the same name."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and not val.isascii() else None


def _with_all_columns() -> None:
    """Until preprocess writes the boxes itself."""
    from segkit.base.files import csv_rows, digest, write_csv, write_json
    from segkit.base.packed import SAMPLE_COLUMNS, summary_digest
    from segkit.dataset import preprocess as module

    real = module.preprocess

    def preprocess(raw, target, options, workers=0):
        summary = real(raw, target, options, workers)
        if "resize" in summary:
            return summary
        height, width = options.size
        rows = [
            row | {"top": 0, "left": 0, "bottom": row["height"], "right": row["width"]}
            | {"content_height": height, "content_width": width}
            for row in csv_rows(target / "samples.csv")
        ]  # fmt: skip
        write_csv(target / "samples.csv", SAMPLE_COLUMNS, ([row[key] for key in SAMPLE_COLUMNS] for row in rows))
        summary["resize"] = options.resize
        summary["files"]["samples.csv"] = digest(target / "samples.csv")
        write_json(target / "summary.json", summary | {"sha256": summary_digest(summary)})
        return summary

    module.preprocess = preprocess


_with_all_columns()
