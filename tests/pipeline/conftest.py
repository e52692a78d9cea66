"""Workspaces for the pipeline's tests; the one that takes long is made once."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.pipeline.workspace import TWO_THREADS, Workspace, environment, plain_copy


@dataclass(frozen=True)
class Reproduction:
    """A workspace in which ``dvc repro`` has run once, all committed, and what it printed."""

    workspace: Workspace
    stdout: str
    stderr: str


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that works in a workspace starts processes there."""
    for item in items:
        if {"tree", "reproduction"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment(tmp_path_factory.mktemp("dvc"))


@pytest.fixture(scope="session")
def _tree(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Workspace:
    return plain_copy(tmp_path_factory.mktemp("code") / "tree", env)


@pytest.fixture
def tree(_tree: Workspace, tmp_path: Path) -> Workspace:
    """The code and the parameters alone, to be changed."""
    return _tree.copy(tmp_path / "tree")


@pytest.fixture(scope="session")
def reproduction(tmp_path_factory: pytest.TempPathFactory, _tree: Workspace) -> Reproduction:
    """Made once, also where several pytest-xdist workers run the tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    # A space in the path, because such folders exist.
    root, printed = shared / "reproduced" / "a clone", shared / "reproduced.json"
    with FileLock(shared / "reproduced.lock"):
        if not printed.exists():
            workspace = _tree.copy(root)
            workspace.git("init", "--quiet", "--initial-branch", "main")
            workspace.commit()
            result = workspace.dvc("repro", **TWO_THREADS)
            workspace.commit()
            printed.write_text(json.dumps([result.stdout, result.stderr]))
    return Reproduction(dataclasses.replace(_tree, root=root), *json.loads(printed.read_text()))


@pytest.fixture(scope="session")
def reproduced(reproduction: Reproduction) -> Workspace:
    """The reproduced workspace, to be read."""
    return reproduction.workspace


@pytest.fixture
def private(reproduced: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the reproduced workspace, to be changed."""
    return reproduced.copy(tmp_path / "private")
