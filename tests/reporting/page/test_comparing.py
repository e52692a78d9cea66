"""Results of other revisions: through git and DVC, as a person has them."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from segkit.base.errors import InputError
from segkit.base.workspace import Paths
from segkit.reporting.page.collect import Run, collect
from segkit.reporting.page.comparing import ORIGINAL, OTHER_MASKS, _comparable, over_seeds, pairs
from segkit.reporting.page.origin import origin
from segkit.reporting.page.panels.paired import panel
from segkit.reporting.page.revision import resolve
from segkit.reporting.page.settings import settings_here
from segkit.reporting.page.tables import COUNTS, ORIGINAL_COUNTS
from tests.reporting.page.conftest import changed_summary

pytestmark = pytest.mark.slow
AUTHOR = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@a"}
FILE = "metrics/per_image/unet.csv"


def run(*command: str) -> str:
    done = subprocess.run(command, env=os.environ | AUTHOR, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def dvc(*arguments: str) -> None:
    run(sys.executable, "-m", "dvc", *arguments)


def commit(message: str) -> str:
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", message)
    return run("git", "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def history(project, tmp_path_factory):
    """A repository whose first commit has better scores on fewer images, and seed 7, than the second; an experiment
    points to the first. The paths of both commits."""
    folder = tmp_path_factory.mktemp("history") / "repository"
    shutil.copytree(project, folder, ignore=lambda _, names: [name for name in names if "resnet34" in name])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("git", "init", "--quiet")
        dvc("init", "--quiet")
        path, params = folder / FILE, folder / "params.yaml"
        text, settings = path.read_text(encoding="utf-8"), params.read_text(encoding="utf-8")
        header, *rows = text.splitlines()
        better = [row.split(",") for row in rows[:-1]]
        for row in better:
            place = header.split(",").index
            for kind in ("", "_original"):
                tp, fp, fn, tn = (place(f"{column}{kind}") for column in ("tp", "fp", "fn", "tn"))
                row[tp], row[tn] = str(int(row[tp]) + int(row[fn])), str(int(row[tn]) + int(row[fp]))
                row[fp] = row[fn] = "0"
        path.write_text("\n".join([header, *map(",".join, better)]) + "\n", encoding="utf-8")
        params.write_text(settings.replace("seed: 0", "seed: 7"), encoding="utf-8")
        (folder / ".gitignore").write_text("/data\n/models\n/runs\n/reports\n", encoding="utf-8")
        dvc("add", "--quiet", FILE)
        first = commit("better")
        run("git", "update-ref", "refs/exps/aa/bbbb/fine-one", first)
        path.unlink()
        path.write_text(text, encoding="utf-8")
        params.write_text(settings, encoding="utf-8")
        dvc("add", "--quiet", FILE)
        second = commit("worse")
    return folder, first, second


def photographs() -> Run:
    """The results, as if their images were not drawn from the seed."""
    return changed_summary(collect(Paths()), source="oxford_pet")


@pytest.fixture
def repository(history, monkeypatch):
    monkeypatch.chdir(history[0])
    return history


def test_commits_and_experiments_have_names(repository):
    _, first, second = repository
    for name, commit in {"HEAD": second, "HEAD~1": first, first[:8]: first, "fine-one": first}.items():
        assert resolve(name, "--compare") == commit


def test_images_are_matched_by_name(repository):
    (pair,), remarks = pairs(photographs(), "fine-one")
    assert remarks == []
    assert (pair.first, pair.second) == ("U-Net at fine-one", "U-Net here")
    assert pair.before.tolist() == [1.0] * 30
    assert pair.after.tolist() == collect(Paths()).networks[0].dice[:-1].tolist()
    assert pair.remark == "30 images have the same name at both; 1 are in one test set only and left out."


def test_a_revision_and_itself_do_not_differ(repository):
    (pair,), _ = pairs(collect(Paths()), "HEAD")
    assert pair.before.tolist() == pair.after.tolist() and not pair.remark
    (dice,) = over_seeds(photographs(), []).values()
    assert dice[0].tolist() == pair.after.tolist()


def test_a_revision_at_which_no_network_was_run(repository, monkeypatch):
    stages = {"evaluate@unet": {}, "train_unet": {"params": {"params.yaml": {"train.lr": 0.5}}}}
    monkeypatch.setattr("segkit.reporting.page.comparing.stages_of", lambda text: stages)
    with pytest.raises(
        InputError, match=r"--compare HEAD: no network was run with .*: params.yaml has train.lr: 0.003"
    ):
        pairs(collect(Paths()), "HEAD")
    monkeypatch.setattr("segkit.reporting.page.comparing.settings_at", lambda *_: settings_here() | {"seed": "7"})
    with pytest.raises(
        InputError, match=r"--seed-rev HEAD: params.yaml has train.lr: 0.003, but the results of unet are"
    ):
        over_seeds(photographs(), ["HEAD"])


@pytest.mark.parametrize(
    ("resnet", "reason"),
    [
        ({}, "dvc.lock has no results of resnet34_unet"),
        (
            {"evaluate@resnet34_unet": {"params": {"params.yaml": {"evaluate.threshold": 0.4}}}},
            "params.yaml has evaluate.threshold: 0.5, but the results of resnet34_unet are of 0.4",
        ),
    ],
    ids=["never", "with other settings"],
)
def test_a_network_that_was_not_run_at_the_revision_is_left_out(project, monkeypatch, resnet, reason):
    monkeypatch.chdir(project)
    replacements = {
        "resolve": lambda *_: "abc",
        "settings_at": lambda *_: settings_here(),
        "content": lambda *_: None,
        "stages_of": lambda _: {"evaluate@unet": {}} | resnet,
        "_at": lambda run, network, commit, words: network.images,
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(f"segkit.reporting.page.comparing.{name}", replacement)
    found, remarks = pairs(collect(Paths()), "there")
    assert [pair.first for pair in found] == ["U-Net", "U-Net at there"]
    assert remarks == [f"ResNet34-UNet at there is left out, because it was not run there: {reason}."]
    assert panel(found, remarks).blocks[-1].text == remarks[0]


def columns(*images: tuple[int, ...], original: tuple[tuple[int, ...], ...]) -> dict[str, np.ndarray]:
    found = {name: np.array(values, float) for name, values in zip(COUNTS, zip(*images, strict=True), strict=True)}
    return found | {
        name: np.array(values, float) for name, values in zip(ORIGINAL_COUNTS, zip(*original, strict=True), strict=True)
    }


def test_networks_of_other_input_sizes_are_compared_at_the_original_size():
    there = columns((2, 1, 1, 0), original=((40, 0, 60, 0),))
    here = columns((8, 4, 4, 0), original=((100, 0, 0, 0),))
    before, after, remark = _comparable(there, here)
    assert (before, after) == (pytest.approx([80 / 140]), pytest.approx([1])) and remark == ORIGINAL
    assert _comparable(there, there)[2] == ""


def test_masks_that_are_not_the_same_are_said():
    there = columns((2, 1, 1, 0), original=((40, 0, 60, 0),))
    here = columns((2, 1, 0, 1), original=((40, 0, 50, 10),))
    before, after, remark = _comparable(there, here)
    assert remark == OTHER_MASKS and before < after


def test_revisions_that_are_none(repository):
    for wrong in ("no-such", "--all", "HEAD:params.yaml", "", "fine-one~9"):
        with pytest.raises(InputError, match="neither a revision of git nor an experiment of DVC"):
            resolve(wrong, "--compare")
    with pytest.raises(InputError, match="there are fine-one"):
        resolve("fine-two", "--compare")


def test_a_revision_without_results(repository):
    run("git", "checkout", "--quiet", "--orphan", "empty")
    try:
        run("git", "commit", "--quiet", "--allow-empty", "--message", "as it is")
        run("git", "rm", "--quiet", "--cached", f"{FILE}.dvc")
        run("git", "commit", "--quiet", "--message", "without")
        with pytest.raises(InputError, match=r"--compare empty: metrics/per_image/unet\.csv cannot be read there"):
            pairs(collect(Paths()), "empty")
    finally:
        run("git", "reset", "--quiet", "--hard", repository[2])


def test_trainings_that_differ_in_their_seed(repository, monkeypatch):
    with pytest.raises(InputError, match="--seed-rev fine-one: unet was tested on other images"):
        over_seeds(photographs(), ["fine-one"])
    with pytest.raises(InputError, match="--seed-rev HEAD: has seed 0, as here"):
        over_seeds(collect(Paths()), ["HEAD"])
    monkeypatch.setattr("segkit.reporting.page.comparing.settings_here", lambda: {"seed": "0", "train.lr": "1"})
    with pytest.raises(InputError, match=r"--seed-rev fine-one: differs in .*, and not in seed alone"):
        over_seeds(photographs(), ["fine-one"])


def test_synthetic_images_of_another_seed_are_others(repository):
    with pytest.raises(InputError, match="--compare fine-one: with another seed the synthetic test images are others"):
        pairs(collect(Paths()), "fine-one")
    with pytest.raises(InputError, match="--seed-rev fine-one: with another seed"):
        over_seeds(collect(Paths()), ["fine-one"])


def test_settings_that_differ_from_the_defaults(repository):
    found = origin([], "HEAD~1", torch.device("cpu"))
    assert found.differences == {"seed": ("7", "0")}
    assert found.facts["commit"] == repository[2] and found.facts["working tree"] == "clean"
    assert found.again.splitlines()[0] == f"git checkout {repository[2]}"
    assert origin([], None, torch.device("cpu")).differences == {}
