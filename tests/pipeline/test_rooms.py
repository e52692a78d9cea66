"""A folder is a room: an edit makes stale exactly the stages whose results it can change."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from segkit.base.files import digest
from segkit.base.params import MODEL_NAMES
from tests.pipeline.declarations import declared
from tests.pipeline.import_graph import ROOT
from tests.pipeline.workspace import TWO_THREADS, Workspace, stages_run

TRAININGS = {f"train_{name}" for name in MODEL_NAMES}
EVALUATIONS = {f"evaluate@{name}" for name in MODEL_NAMES}
STALE = {
    "segkit/base": set(),
    "segkit/cli.py": set(),
    "segkit/commands": set(),
    "segkit/demo": set(),
    "segkit/reporting": set(),
    "segkit/inference": set(),
    "benchmarks": set(),
    "docs": set(),
    "segkit/sources": {"download"},
    "segkit/sources/synthetic": {"download"},
    "segkit/dataset": {"preprocess"},
    "segkit/augment": {"augment", *TRAININGS},
    "segkit/models": TRAININGS | EVALUATIONS,
    "segkit/training": TRAININGS,
    "segkit/evaluation": EVALUATIONS,
    "segkit/figures": {"augment", *EVALUATIONS},
}


def first_file(root: Path, room: str) -> Path:
    path = root / room
    return path if path.is_file() else min(file for file in path.rglob("*.*") if file.suffix in (".py", ".md"))


@contextmanager
def edited(path: Path) -> Iterator[None]:
    """While the block runs, the file has one comment more."""
    before = path.read_bytes()
    path.write_bytes(before + b"\n# a comment\n")
    try:
        yield
    finally:
        path.write_bytes(before)


def enter(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work there as its commands do."""
    for name, value in workspace.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(workspace.root)


def stale() -> set[str]:
    """The stages that ``dvc status`` names."""
    with Repo() as repo:
        return set(repo.status())


def test_every_room_is_in_the_table():
    rooms = {
        f"segkit/{path.name}" for path in (ROOT / "segkit").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert rooms <= set(STALE)


def test_an_edit_makes_stale_exactly_the_stages_of_the_table(private: Workspace, monkeypatch: pytest.MonkeyPatch):
    enter(private, monkeypatch)
    assert stale() == set()
    found = {}
    for room in STALE:
        with edited(first_file(private.root, room)):
            found[room] = stale()
    assert found == STALE


def test_an_edit_of_a_script_makes_its_own_stages_stale(private: Workspace, monkeypatch: pytest.MonkeyPatch):
    enter(private, monkeypatch)
    stages = declared(ROOT)
    for path in sorted((private.root / "stages").glob("*.py")):
        with edited(path):
            script = f"stages/{path.name}"
            assert stale() == {name for name, stage in stages.items() if script in stage.deps}, script


def test_a_training_made_stale_by_a_comment_ends_with_the_same_bytes_and_evaluate_is_skipped(private: Workspace):
    checkpoints = [private.root / f"models/{name}.safetensors" for name in MODEL_NAMES]
    before = [digest(path) for path in checkpoints]
    with edited(private.root / "segkit/training/losses.py"):
        assert set(stages_run(private.dvc("repro", **TWO_THREADS).stdout)) == TRAININGS
    assert [digest(path) for path in checkpoints] == before
