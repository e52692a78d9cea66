"""Bad parameters, missing inputs and a broken set-up end in exit 2 and one line that says how to fix it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segkit.base.params import MODEL_NAMES
from tests.pipeline.import_graph import STAGES
from tests.pipeline.workspace import Workspace

MODELS = {"evaluate": MODEL_NAMES[0]}


def run_stage(workspace: Workspace, name: str, **env: str) -> subprocess.CompletedProcess[str]:
    return workspace.stage(name, *filter(None, [MODELS.get(name)]), **env)


def only_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that refused its input."""
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_refuses_an_unknown_parameter_before_any_work(tree: Workspace, name: str):
    tree.edit({"train.lrr": 0.01})
    line = only_line(run_stage(tree, name))
    assert re.match(rf"{name}(@unet)?: params\.yaml: train\.lrr: ", line) and "train.lr?" in line
    assert {path.name for path in (tree.root / "data").glob("*")} == {".gitignore", "own"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"augment.type": "flip", "augment.n_aug": 3}, ["augment.n_aug", "at most 2"]),
        ({"train.lr": "fast"}, ["train.lr", "number", "'fast'"]),
        ({"train.epochs": 0}, ["train.epochs", "greater than or equal to 1"]),
        ({"preprocess.border": "foregroud"}, ["preprocess.border", "did you mean foreground?"]),
        ({"unet.train": {"lrr": 1}}, ["unet.train.lrr", "train.lr?"]),
        ({"runtime.device": 0}, ["runtime.device", "string"]),
        ({"data.source": "folder", "data.folder.masks": ""}, ["data.folder", "images and masks"]),
        (
            {"train.lrr": 1, "train.lr": -1, "unet.width": 0.5, "augment.typ": "flip", "seed": "x"},
            ["train.lrr", "train.lr:", "unet.width", "augment.typ", "seed"],
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_wrong_parameters_are_named_all_at_once(tree: Workspace, values: dict[str, Any], expected: list[str]):
    tree.edit(values)
    line = only_line(run_stage(tree, "download"))
    assert [words for words in expected if words not in line] == []


@pytest.mark.parametrize("text", ["", "train: [", "just words", "- a\n- b\n", "train: {lr: \t1}\n", None])
def test_params_yaml_that_is_none_is_one_line(tree: Workspace, text: str | None):
    (tree.root / "params.yaml").unlink()
    if text is not None:
        (tree.root / "params.yaml").write_text(text)
    assert only_line(run_stage(tree, "download")).startswith("download: params.yaml")


def test_a_traceback_comes_on_request(tree: Workspace):
    tree.edit({"train.lrr": 0.01})
    result = run_stage(tree, "download", SEGKIT_DEBUG="1")
    assert result.returncode != 0
    assert "Traceback" in result.stderr and "train.lrr" in result.stderr


def run_with_edit(tree: Workspace, text: str, replacement: str) -> subprocess.CompletedProcess[str]:
    """Run a stage that depends on ``train`` and edits params.yaml while it works."""
    program = f"""
from pathlib import Path
from segkit.base.stage import run_stage

def work(params):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace({text!r}, {replacement!r}))
    return "worked"

run_stage("meddled", work, ("seed", "train"))
"""
    return tree.run(sys.executable, "-c", program, check=False)


def test_parameters_edited_while_a_stage_runs_make_it_fail(tree: Workspace):
    result = run_with_edit(tree, "lr: 0.001", "lr: 0.002")
    line = only_line(result)
    assert line.startswith("meddled: params.yaml: train was edited while this stage ran")
    assert "dvc repro" in line
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "replacement"),
    [("seed:", "# a note\nseed:"), ("threshold: 0.5", "threshold: 0.4")],
    ids=["comment", "parameter of another stage"],
)
def test_edits_that_do_not_concern_a_running_stage_do_no_harm(tree: Workspace, text: str, replacement: str):
    result = run_with_edit(tree, text, replacement)
    assert replacement in (tree.root / "params.yaml").read_text()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("meddled: worked (")


@pytest.mark.parametrize("name", STAGES[1:])
def test_a_stage_without_its_inputs_says_which_and_what_to_run(tree: Workspace, name: str):
    line = only_line(run_stage(tree, name))
    assert "data/" in line or "models/" in line
    assert "dvc " in line


@pytest.mark.parametrize("name", ["augment", "train_unet", "train_resnet34_unet", "evaluate"])
def test_a_python_without_torch_is_told_to_set_up(tree: Workspace, tmp_path: Path, name: str):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('blocked', name='torch')\n")
    line = only_line(run_stage(tree, name, PYTHONPATH=str(tmp_path)))
    assert "'torch'" in line and "make setup" in line and line.startswith(name)


@pytest.mark.parametrize("name", STAGES)
def test_arguments_that_a_stage_does_not_know_are_refused_and_not_ignored(tree: Workspace, name: str):
    line = only_line(tree.stage(name, *filter(None, [MODELS.get(name)]), "--epochs=3"))
    assert line.startswith(f"{name}: usage: python -m stages.{name}")


@pytest.mark.parametrize("arguments", [[], ["vgg"], ["unet", "resnet34_unet"]])
def test_evaluate_without_a_known_model_shows_its_usage(tree: Workspace, arguments: list[str]):
    line = only_line(tree.stage("evaluate", *arguments))
    assert "usage" in line and all(name in line for name in MODEL_NAMES)


def test_dvc_refuses_to_set_a_parameter_that_is_not_there(private: Workspace):
    result = private.dvc("exp", "run", "-S", "train.lrr=0.01", check=False)
    assert result.returncode != 0 and "train.lrr" in result.stderr
    assert private.git("status", "--porcelain") == ""


def test_dvc_stops_at_the_stage_that_refuses_and_goes_on_when_mended(private: Workspace):
    private.edit({"augment.type": "flip", "augment.n_aug": 3})
    refused = private.dvc("repro", check=False)
    assert refused.returncode != 0
    assert [line for line in refused.stderr.splitlines() if line.startswith("augment: params.yaml: augment.n_aug")]
    assert "exited with 2" in refused.stderr and "Traceback" not in refused.stderr
    private.git("checkout", "--quiet", "params.yaml")
    assert private.dvc("repro").returncode == 0
    assert private.git("status", "--porcelain") == ""
