"""``dvc exp run``: a changed number reruns what depends on it, and every comparison shows it."""

import csv
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from segkit.base.params import MODEL_NAMES
from tests.pipeline.declarations import read_yaml
from tests.pipeline.import_graph import ROOT
from tests.pipeline.workspace import Workspace, checkpoint_metadata, stages_run

README = (ROOT / "README.md").read_text(encoding="utf-8")
(COMPARISON,) = re.findall(r"^\$ dvc (exp show --only-changed .*)$", README, re.MULTILINE)
QUEUE_PATIENCE = 900  # seconds
# Title, and the lines of each network, as DVC names them.
PLOTS = {
    "Loss": ("{}.csv::train_loss", "{}.csv::valid_loss"),
    "Dice": ("{}.csv::train_dice", "{}.csv::valid_dice"),
    "Precision and recall": ("{}/thresholds.csv",),
    "Threshold": ("{}/thresholds.csv",),
    "Images": ("{}/histogram.csv",),
    "Reliability": ("{}/reliability.csv",),
}


@dataclass(frozen=True)
class Experiment:
    """What one experiment ran, and what its checkpoints and its curves say."""

    stages: list[str]
    checkpoints: dict[str, dict]
    epochs: dict[str, int]


@pytest.fixture(scope="module")
def lab(reproduced: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A reproduced workspace in which the experiments of this file run one after another."""
    return reproduced.copy(tmp_path_factory.mktemp("experiments") / "lab")


def experiment(lab: Workspace, name: str, setting: str) -> Experiment:
    """Run one in the workspace, on top of its present state."""
    output = lab.dvc("exp", "run", "--name", name, "--set-param", setting).stdout
    return Experiment(
        stages_run(output),
        {model: checkpoint_metadata(lab.root / f"models/{model}.safetensors") for model in MODEL_NAMES},
        {model: epochs(lab, model) for model in MODEL_NAMES},
    )


def epochs(lab: Workspace, model: str) -> int:
    """How many rows the curves of a model have."""
    return len((lab.root / f"metrics/curves/{model}.csv").read_text().splitlines()) - 1


@pytest.fixture(scope="module")
def slower(lab: Workspace) -> Experiment:
    return experiment(lab, "slower", "train.lr=1e-4")


@pytest.fixture(scope="module")
def answers(lab: Workspace, slower: Experiment) -> dict[str, str]:
    """What DVC prints after the first experiment, also for the commands that the README shows."""
    compared = [f"{kind} diff main slower --json" for kind in ("metrics", "params", "plots")]
    plots = ("plots show", "plots diff main slower")  # both write a page, of which the last one is looked at
    questions = ["metrics show", "metrics diff", "exp show --csv", COMPARISON, *compared, *plots]
    return dict(zip(questions, lab.ask(*questions), strict=True))


@pytest.fixture(scope="module")
def wider(lab: Workspace, slower: Experiment, answers: dict[str, str]) -> Experiment:
    return experiment(lab, "wider", "unet.width=8")


@pytest.fixture(scope="module")
def shorter(lab: Workspace, wider: Experiment) -> Experiment:
    return experiment(lab, "shorter", "++resnet34_unet.train.epochs=1")


@pytest.fixture(scope="module")
def queued(lab: Workspace, shorter: Experiment) -> Iterator[str]:
    """The name of an experiment that a queue worker has run; what the workspace held stays as it was."""
    before = lab.git("status", "--porcelain")
    lab.dvc("exp", "run", "--queue", "--name", "queued", "--set-param", "train.lr=1e-5", "train_unet")
    try:
        lab.dvc("queue", "start")
        deadline = time.monotonic() + QUEUE_PATIENCE
        while (status := _queue_status(lab, "queued")) not in ("Success", "Failed"):
            assert time.monotonic() < deadline, f"the queued experiment is still {status}"
            time.sleep(1)
        assert status == "Success", lab.dvc("queue", "logs", "queued").stdout
        assert lab.git("status", "--porcelain") == before
        yield "queued"
    finally:
        lab.dvc("queue", "stop", "--kill", check=False)


def _queue_status(lab: Workspace, name: str) -> str:
    match = re.search(rf"\b{name}\b.*\b(\w+)\s*$", lab.dvc("queue", "status").stdout, re.MULTILINE)
    assert match, "the experiment is not in the queue"
    return match.group(1)


def cached(lab: Workspace, experiment: str, stage: str, path: str) -> Path:
    """Where DVC's cache holds an output of an experiment that was never put into the workspace."""
    (reference,) = lab.git("for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{experiment}").split()
    lock = lab.root.parent / f"{experiment}.lock"
    lock.write_text(lab.git("show", f"{reference}:dvc.lock"))
    (md5,) = (out["md5"] for out in read_yaml(lock)["stages"][stage]["outs"] if out["path"] == path)
    return lab.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def test_learning_rate_reruns_training_and_evaluation_only(slower: Experiment):
    assert sorted(slower.stages) == sorted(f"{kind}{name}" for kind in ("train_", "evaluate@") for name in MODEL_NAMES)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_learning_rate_from_the_command_line_arrives_as_a_number(slower: Experiment, name: str):
    rate = slower.checkpoints[name]["train"]["lr"]
    assert isinstance(rate, float) and rate == 1e-4


def test_width_of_the_unet_leaves_the_other_model_alone(wider: Experiment, slower: Experiment):
    assert sorted(wider.stages) == ["evaluate@unet", "train_unet"]
    assert wider.checkpoints["unet"]["architecture"]["width"] == 8
    assert wider.checkpoints["resnet34_unet"] == slower.checkpoints["resnet34_unet"]


def test_override_for_one_model_leaves_the_other_model_alone(shorter: Experiment, wider: Experiment):
    assert sorted(shorter.stages) == ["evaluate@resnet34_unet", "train_resnet34_unet"]
    assert shorter.epochs == {"unet": 2, "resnet34_unet": 1}
    recipe, recipe_before = (run.checkpoints["resnet34_unet"]["train"] for run in (shorter, wider))
    assert recipe == recipe_before | {"epochs": 1}
    assert shorter.checkpoints["unet"] == wider.checkpoints["unet"]


def test_rate_that_yaml_writes_without_a_point_arrives_as_a_number(lab: Workspace, queued: str):
    rate = checkpoint_metadata(cached(lab, queued, "train_unet", "models/unet.safetensors"))["train"]["lr"]
    assert isinstance(rate, float) and rate == 1e-5


def test_logs_of_a_queued_run_land_in_the_main_checkout(lab: Workspace, queued: str):
    assert list((lab.root / "runs" / queued / "unet").glob("events.out.tfevents.*"))
    assert (lab.root / "runs" / queued / "unet" / "timing.json").is_file()


def test_logs_of_a_workspace_run_carry_the_name_of_the_experiment(lab: Workspace, slower: Experiment):
    for name in MODEL_NAMES:
        assert list((lab.root / "runs/slower" / name).glob("events.out.tfevents.*"))


def test_temporary_run_leaves_the_workspace_alone_and_logs_to_it(lab: Workspace, shorter: Experiment):
    before = lab.git("status", "--porcelain"), (lab.root / "dvc.lock").read_bytes()
    output = lab.dvc("exp", "run", "--temp", "--name", "apart", "--set-param", "++unet.train.weight_decay=0.02").stdout
    assert sorted(stages_run(output)) == ["evaluate@unet", "train_unet"]
    assert (lab.git("status", "--porcelain"), (lab.root / "dvc.lock").read_bytes()) == before
    assert list((lab.root / "runs/apart/unet").glob("events.out.tfevents.*"))
    metadata = checkpoint_metadata(cached(lab, "apart", "train_unet", "models/unet.safetensors"))
    assert metadata["train"]["weight_decay"] == 0.02


def test_metrics_diff_compares_both_models(answers: dict[str, str]):
    changes = json.loads(answers["metrics diff main slower --json"])
    for name in MODEL_NAMES:
        change = changes[f"metrics/{name}.json"]["valid_loss"]
        assert change["diff"] == pytest.approx(change["new"] - change["old"])


def test_the_tables_fit_a_screen(answers: dict[str, str]):
    assert max(map(len, answers["metrics show"].splitlines())) <= 100
    _, *rows = answers["metrics diff"].splitlines()
    assert 0 < len(rows) <= 10 and max(map(len, rows)) <= 100
    (columns, *_) = csv.reader(answers["exp show --csv"].splitlines())
    assert len(columns) <= 105
    assert {f"metrics/{name}.json:dice" for name in MODEL_NAMES} <= set(columns)


def test_the_comparison_of_the_readme_shows_the_dice_of_both_networks_in_140_characters(answers: dict[str, str]):
    table = answers[COMPARISON]
    assert max(map(len, table.splitlines())) <= 140
    assert "[slower]" in table and "train.lr" in table
    assert all(f"metrics/{name}.json:dice " in table for name in MODEL_NAMES)


def test_params_diff_names_the_changed_number_alone(answers: dict[str, str]):
    changes = json.loads(answers["params diff main slower --json"])
    assert changes == {"params.yaml": {"train.lr": {"old": 0.001, "new": 0.0001, "diff": pytest.approx(-0.0009)}}}


def assert_every_plot_has_both_networks(plots: dict, revisions: set[str]) -> None:
    for title, lines in PLOTS.items():
        (plot,) = plots[title]
        rows = plot["content"]["data"]["values"]
        found = {(row["rev"], row.get("filename::field", row.get("filename"))) for row in rows}
        names = [line.format(name) for name in MODEL_NAMES for line in lines]
        assert found == {(revision, name) for revision in revisions for name in names}, title


def test_plots_diff_writes_a_page_with_both_curves_and_paired_pictures(lab: Workspace, answers: dict[str, str]):
    plots = json.loads(answers["plots diff main slower --json"])["data"]
    assert_every_plot_has_both_networks(plots, {"main", "slower"})
    for name in MODEL_NAMES:
        pictures = plots[f"metrics/pictures/{name}/sample_01.png"]
        assert sorted(picture["revisions"] for picture in pictures) == [["main"], ["slower"]]
        assert all(Path(picture["url"]).is_file() for picture in pictures)
    page = (lab.root / "dvc_plots/index.html").read_text()
    assert all(f"metrics_pictures_{name}_sample_01.png" in page for name in MODEL_NAMES)


def test_a_clone_without_the_cache_draws_all_but_the_pictures(lab: Workspace, slower: Experiment, tmp_path: Path):
    lab.git("clone", "--quiet", "--branch", "main", str(lab.root), str(tmp_path / "clone"))
    clone = replace(lab, root=tmp_path / "clone")
    plots = json.loads(clone.dvc("plots", "show", "--json").stdout)["data"]
    assert_every_plot_has_both_networks(plots, {"workspace"})
    assert "mean_probability" in clone.dvc("plots", "show", "--show-vega", "Reliability").stdout


def test_plots_leave_no_file_that_git_does_not_know(lab: Workspace, answers: dict[str, str]):
    assert [line for line in lab.git("status", "--porcelain").splitlines() if line.startswith("??")] == []


def test_exp_show_lists_every_experiment_with_parameters_and_metrics(lab: Workspace, queued: str):
    shown = json.loads(lab.dvc("exp", "show", "--json").stdout)
    revisions = [revision for entry in shown for group in entry["experiments"] or [] for revision in group["revs"]]
    by_name = {revision["name"]: revision["data"] for revision in revisions}
    assert {"slower", "wider", "shorter", "queued"} <= set(by_name)
    rates = {name: data["params"]["params.yaml"]["data"]["train"]["lr"] for name, data in by_name.items()}
    assert (rates["slower"], rates["queued"]) == (1e-4, 1e-5)
    for name in MODEL_NAMES:
        scores = by_name["slower"]["metrics"][f"metrics/{name}.json"]["data"]
        assert 0 <= scores["dice"] <= 1
