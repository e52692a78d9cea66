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
