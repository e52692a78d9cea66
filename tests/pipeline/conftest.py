"""Workspaces for the pipeline's tests; the one that takes long is made once."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline.workspace import Workspace, environment, plain_copy


@dataclass(frozen=True)
class Reproduction:
    """A workspace in which ``dvc repro`` has run once, all committed, and what it printed."""

    workspace: Workspace
    stdout: str
    stderr: str


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
def reproduction(tmp_path_factory: pytest.TempPathFactory, _tree: Workspace) -> Iterator[Reproduction]:
    # A blank in the path, since people have such folders.
    root = tmp_path_factory.mktemp("reproduced") / "a clone"
    workspace = _tree.copy(root)
    workspace.git("init", "--quiet", "--initial-branch", "main")
    workspace.commit()
    result = workspace.dvc("repro")
    workspace.commit()
    yield Reproduction(workspace, result.stdout, result.stderr)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def reproduced(reproduction: Reproduction) -> Workspace:
    """The reproduced workspace, to be read."""
    return reproduction.workspace


@pytest.fixture
def private(reproduced: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the reproduced workspace, to be changed."""
    root = tmp_path / "private"
    yield reproduced.copy(root)
    shutil.rmtree(root, ignore_errors=True)
