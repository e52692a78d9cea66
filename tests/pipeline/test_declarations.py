"""dvc.yaml tells the truth: what a stage declares is what it runs, reads and writes."""

import importlib
import json
import sys

import pytest

from segkit.params import MODEL_NAMES
from tests.pipeline.declarations import Stage, covers, declared, leaves, lookup, read_yaml
from tests.pipeline.import_graph import ROOT, STAGES, code_files
from tests.pipeline.workspace import Workspace

DECLARED = declared(ROOT)
PARAMS = read_yaml(ROOT / "params.yaml")
MODEL_STAGES = [f"train_{name}" for name in MODEL_NAMES] + [f"evaluate@{name}" for name in MODEL_NAMES]

each_stage = pytest.mark.parametrize("stage", DECLARED.values(), ids=DECLARED)


def test_the_six_stages_are_there_with_one_evaluation_a_model():
    assert {stage.script for stage in DECLARED.values()} == set(STAGES)
    assert {name for name in DECLARED if name not in STAGES} == {f"evaluate@{name}" for name in MODEL_NAMES}


@each_stage
def test_code_deps_are_the_import_graph(stage: Stage):
    expected = code_files(f"stages.{stage.script}") | {"stages/__init__.py"}
    hint = "`python -m tests.pipeline.import_graph` prints the lists for dvc.yaml"
    assert sorted(stage.code - expected) == [], f"declared and not imported; {hint}"
    assert sorted(expected - stage.code) == [], f"imported and not declared; {hint}"


@each_stage
def test_stage_runs_its_own_script_from_the_tree(stage: Stage):
    assert stage.cmd == " ".join(["python -m", f"stages.{stage.script}", *stage.name.split("@")[1:]])


@each_stage
def test_stage_says_what_it_does(stage: Stage):
    assert len(stage.desc) > 20 and "${" not in stage.desc


@each_stage
def test_declared_params_exist(stage: Stage):
    assert all(lookup(PARAMS, key) is not None for key in stage.params)


@each_stage
def test_declared_params_are_those_that_the_stage_guards_against_edits(stage: Stage):
    assert set(importlib.import_module(f"stages.{stage.script}").KEYS) == stage.params


@each_stage
def test_no_stage_depends_on_runtime(stage: Stage):
    assert not any(key.split(".")[0] == "runtime" for key in stage.params)


@pytest.mark.parametrize("key", [key for key in leaves(PARAMS) if not key.startswith("runtime.")])
def test_a_change_of_any_other_parameter_reruns_a_stage(key: str):
    assert [stage.name for stage in DECLARED.values() if covers(stage.params, key)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("data.source", ["download"]),
        ("preprocess.size", ["preprocess"]),
        ("preprocess.normalize", ["train_resnet34_unet", "train_unet"]),
        ("augment.n_aug", ["augment"]),
        ("train.lr", ["train_resnet34_unet", "train_unet"]),
        ("unet.width", ["train_unet"]),
        ("resnet34_unet.train", ["train_resnet34_unet"]),
        ("evaluate.threshold", ["evaluate@resnet34_unet", "evaluate@unet"]),
    ],
)
def test_a_change_reaches_no_more_stages_than_it_must(key: str, expected: list[str]):
    assert sorted(stage.name for stage in DECLARED.values() if covers(stage.params, key)) == expected


@each_stage
def test_data_deps_are_outs_of_other_stages(stage: Stage):
    outs = frozenset(path for other in DECLARED.values() if other != stage for path in other.outs)
    data = {path.replace("/", ".") for path in stage.deps - stage.code}
    assert all(covers(frozenset(path.replace("/", ".") for path in outs), path) for path in data)


def test_metrics_and_curves_are_in_git_and_the_rest_in_the_cache():
    outs = {path: cached for stage in DECLARED.values() for path, cached in stage.outs.items()}
    in_git = {path for path, cached in outs.items() if not cached}
    kinds = ("metrics/train_{}.json", "metrics/curves/{}.csv", "metrics/evaluate_{}.json")
    assert in_git == {kind.format(name) for kind in kinds for name in MODEL_NAMES}
    assert {"data/raw", "data/processed", "data/augmented"} < set(outs)
    assert {f"models/{name}.safetensors" for name in MODEL_NAMES} < set(outs)


def test_both_models_stand_side_by_side_in_every_plot():
    for plot in read_yaml(ROOT / "dvc.yaml")["plots"]:
        (options,) = plot.values()
        assert set(options["y"]) == {f"metrics/curves/{name}.csv" for name in MODEL_NAMES}


@pytest.mark.slow
def test_stages_read_no_parameter_that_they_do_not_declare(private: Workspace):
    output = private.run(sys.executable, "-m", "tests.pipeline.spy").stdout
    read = json.loads(output.splitlines()[-1])
    assert sorted(read) == sorted(DECLARED)
    undeclared = {
        name: [key for key in keys if not key.startswith("runtime.") and not covers(DECLARED[name].params, key)]
        for name, keys in read.items()
    }
    assert {name: keys for name, keys in undeclared.items() if keys} == {}
    assert all(read[name] for name in MODEL_STAGES), "the spy saw nothing"
