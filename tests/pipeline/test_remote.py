"""Results travel: through a DVC remote with their data, through git alone with their numbers."""

import dataclasses
import json
from pathlib import Path

import pytest

from segkit.base.files import digest
from tests.pipeline.workspace import Workspace, stages_run


@pytest.fixture
def clone(private: Workspace, tmp_path: Path) -> Workspace:
    """What another person gets from git."""
    private.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    return dataclasses.replace(private, root=tmp_path / "clone")


def test_a_clone_that_pulls_has_nothing_to_do(private: Workspace, clone: Workspace, tmp_path: Path):
    for workspace in (private, clone):
        workspace.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    private.dvc("push")
    clone.dvc("pull")
    output = clone.dvc("repro").stdout
    assert stages_run(output) == []
    assert "up to date" in output
    for path in ("models/unet.safetensors", "data/processed/test/images.npy", "metrics/per_image/unet.csv"):
        assert digest(clone.root / path) == digest(private.root / path)
    assert clone.git("status", "--porcelain") == ""


def test_a_clone_without_any_data_shows_the_numbers(private: Workspace, clone: Workspace):
    shown = [json.loads(workspace.dvc("metrics", "show", "--json").stdout) for workspace in (private, clone)]
    assert shown[0] == shown[1]
    assert len(shown[0][""]["data"]) == 2
    (baseline, *_) = json.loads(clone.dvc("exp", "show", "--json").stdout)
    assert len(baseline["data"]["metrics"]) == 2


def test_a_clone_that_converts_line_ends_has_the_same_code(private: Workspace, tmp_path: Path):
    """DVC hashes bytes: with ``core.autocrlf=true`` all code would count as changed, but for .gitattributes."""
    private.git("clone", "--quiet", "--config", "core.autocrlf=true", ".", str(tmp_path / "clone"))
    paths = private.git("ls-files", "dvc.yaml", "params.yaml", "segkit", "stages", "metrics/*.json").splitlines()
    assert len(paths) > 60
    assert [path for path in paths if digest(tmp_path / "clone" / path) != digest(private.root / path)] == []
