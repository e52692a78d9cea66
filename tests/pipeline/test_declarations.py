"""dvc.yaml tells the truth: what a stage declares is what it runs, reads and writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segkit.base.params import MODEL_NAMES
from segkit.base.workspace import OUTPUTS
from tests.pipeline.declarations import Stage, covers, declared, leaves, lookup, read_yaml
from tests.pipeline.import_graph import ROOT, STAGES, code_files
from tests.pipeline.scripts import script
from tests.pipeline.workspace import Workspace

DECLARED = declared(ROOT)
PARAMS = read_yaml(ROOT / "params.yaml")
MODEL_STAGES = [f"train_{name}" for name in MODEL_NAMES] + [f"evaluate@{name}" for name in MODEL_NAMES]

USERS = {"download": {"${data.folder.images}", "${data.folder.masks}"}, "preprocess": {"${data.exclude}"}}

each_stage = pytest.mark.parametrize("stage", DECLARED.values(), ids=DECLARED)


def test_the_six_stages_are_there_with_one_evaluation_a_model():
    assert {stage.script for stage in DECLARED.values()} == set(STAGES)
    assert {name for name in DECLARED if name not in STAGES} == {f"evaluate@{name}" for name in MODEL_NAMES}


@each_stage
def test_every_module_that_a_stage_imports_is_declared_or_cannot_change_its_result(stage: Stage):
    module = stage.cmd.split()[2]
    imported = code_files(module) - {"segkit/__init__.py", "stages/__init__.py"}  # without code: test_architecture
    undeclared = {path for path in imported if not path.startswith("segkit/base/") and not within(path, stage.code)}
    assert undeclared == set()
    assert [path for path in stage.code if not any(within(file, {path}) for file in imported)] == [], "never imported"


def within(path: str, folders: set[str]) -> bool:
    """Whether a file is one of ``folders`` or in one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def test_the_import_graph_sees_what_is_chosen_by_name():
    assert "segkit/sources/folder.py" in code_files("stages.download")
    assert "segkit/models/unet.py" in code_files("stages.train")


@each_stage
def test_code_dependencies_are_the_script_and_a_handful_of_folders(stage: Stage):
    assert len(stage.code) <= 6
    assert [path for path in stage.code if not (ROOT / path).is_dir()] == [
        f"{stage.cmd.split()[2].replace('.', '/')}.py"
    ]


def test_dvc_yaml_can_be_read_in_one_sitting():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 130


@each_stage
def test_the_command_runs_the_stage_of_that_name(stage: Stage):
    assert script(stage.cmd)[0] == stage.name


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_training_may_be_called_by_the_stage_s_own_name(name: str):
    named = script(f"python -m stages.train_{name}")
    assert (named[0], named[2]) == script(f"python -m stages.train {name}")[::2]


@each_stage
def test_stage_says_what_it_does(stage: Stage):
    assert len(stage.desc) > 20 and "${" not in stage.desc


@each_stage
def test_declared_params_exist(stage: Stage):
    assert all(lookup(PARAMS, key) is not None for key in stage.params)


@each_stage
def test_declared_params_are_those_that_the_stage_guards_against_edits(stage: Stage):
    assert set(script(stage.cmd)[2]) == stage.params


@each_stage
def test_no_stage_depends_on_runtime(stage: Stage):
    assert not any(key.split(".")[0] == "runtime" for key in stage.params)


@pytest.mark.parametrize("key", [key for key in leaves(PARAMS) if not key.startswith("runtime.")])
def test_a_change_of_any_other_parameter_reruns_a_stage(key: str):
    assert [stage.name for stage in DECLARED.values() if covers(stage.params, key)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("data.source", ["download", "preprocess"]),
        ("data.folder.foreground", ["download", "preprocess"]),
        ("data.exclude", ["preprocess"]),
        ("preprocess.size", ["preprocess"]),
        ("preprocess.normalize", ["train_resnet34_unet", "train_unet"]),
        ("preprocess.valid_every", ["preprocess"]),
        ("augment.n_aug", ["augment", "train_resnet34_unet", "train_unet"]),
        ("augment.combine.rotation", ["augment", "train_resnet34_unet", "train_unet"]),
        ("train.lr", ["train_resnet34_unet", "train_unet"]),
        ("unet.width", ["train_unet"]),
        ("resnet34_unet.train", ["train_resnet34_unet"]),
        ("evaluate.threshold", ["evaluate@resnet34_unet", "evaluate@unet"]),
    ],
)
def test_a_change_reaches_no_more_stages_than_it_must(key: str, expected: list[str]):
    assert sorted(stage.name for stage in DECLARED.values() if covers(stage.params, key)) == expected


@each_stage
def test_data_deps_are_outs_of_other_stages_or_folders_of_the_user(stage: Stage):
    outs = frozenset(path for other in DECLARED.values() if other != stage for path in other.outs)
    users = USERS.get(stage.name, set())
    assert users <= stage.deps
    data = {path.replace("/", ".") for path in stage.deps - stage.code - users}
    assert all(covers(frozenset(path.replace("/", ".") for path in outs), path) for path in data)


def test_no_file_of_a_user_may_lie_in_what_a_stage_writes():
    outs = {Path(path) for stage in DECLARED.values() for path in stage.outs}
    outputs = {Path(path) for path in OUTPUTS}
    assert all(outputs & {path, *path.parents} for path in outs)
    not_from_dvc_yaml = {path for path in outputs if not any(path in (out, *out.parents) for out in outs)}
    assert not_from_dvc_yaml == {Path("runs"), Path(".segkit"), Path(".dvc")}


def test_the_user_s_folders_are_in_git_and_their_files_are_not():
    listed = subprocess.run(["git", "ls-files", "data/own"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    assert listed.stdout.split() == ["data/own/exclude.csv", "data/own/images/.gitkeep", "data/own/masks/.gitkeep"]
    names = ["data/own/images/a.png", "data/own/masks/more/a.png"]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.split() == names


def test_dvc_has_one_metrics_file_a_model():
    metrics = {path for stage in DECLARED.values() for path in stage.metrics}
    assert metrics == {f"metrics/{name}.json" for name in MODEL_NAMES}


def test_scores_and_curves_are_in_git_and_the_rest_in_the_cache():
    outs = {path: cached for stage in DECLARED.values() for path, cached in stage.outs.items()}
    in_git = {path for path, cached in outs.items() if not cached}
    metrics = ("{}.json", "scores/{}.json", "training/{}.json", "curves/{}.csv", "analysis/{}")
    kinds = [*(f"metrics/{kind}" for kind in metrics), "models/{}.md"]
    assert in_git == {kind.format(name) for kind in kinds for name in MODEL_NAMES}
    assert {"data/raw/download", "data/processed", "data/augmented"} < set(outs)
    assert {f"models/{name}.safetensors" for name in MODEL_NAMES} < set(outs)


def test_both_models_stand_side_by_side_in_every_plot():
    for plot in read_yaml(ROOT / "dvc.yaml")["plots"]:
        (options,) = plot.values()
        first, *_ = options["y"]
        assert MODEL_NAMES[0] in first
        assert list(options["y"]) == [first.replace(MODEL_NAMES[0], name) for name in MODEL_NAMES]
        assert len({str(columns) for columns in options["y"].values()}) == 1


def test_stages_read_no_parameter_that_they_do_not_declare(private: Workspace):
    """But for how the checkpoint is evaluated by default, which a training writes into it: no weight depends on it."""
    output = private.run(sys.executable, "-m", "tests.pipeline.spy").stdout
    read = json.loads(output.splitlines()[-1])
    assert sorted(read) == sorted(DECLARED)
    undeclared = {
        name: [
            key
            for key in keys
            if not key.startswith("runtime.")
            and not covers(DECLARED[name].params, key)
            and not (name.startswith("train_") and key in ("evaluate.threshold", "evaluate.tta"))
        ]
        for name, keys in read.items()
    }
    assert {name: keys for name, keys in undeclared.items() if keys} == {}
    assert all(read[name] for name in MODEL_STAGES), "the spy saw nothing"
