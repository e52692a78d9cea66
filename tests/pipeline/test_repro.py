"""``dvc repro``: all stages once, nothing the second time, and the same bits whenever it is forced."""

import re

import pytest

from tests.pipeline.conftest import Reproduction
from tests.pipeline.declarations import declared
from tests.pipeline.import_graph import ROOT
from tests.pipeline.workspace import TWO_THREADS, Workspace, stages_run

NAMES = list(declared(ROOT))


def test_repro_runs_every_stage_once(reproduction: Reproduction):
    assert sorted(stages_run(reproduction.stdout)) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_prints_one_summary_line(reproduction: Reproduction, name: str):
    printed = re.split(r"^Running stage '(.*)':\n", reproduction.stdout, flags=re.MULTILINE)
    output = dict(zip(printed[1::2], printed[2::2], strict=True))[name]
    assert len(re.findall(rf"^{name}: \S.* \(\d+\.\d s\)$", output, re.MULTILINE)) == 1


def test_repro_says_nothing_on_stderr(reproduction: Reproduction):
    ours = [line for line in reproduction.stderr.splitlines() if "Warning" in line or "Error" in line]
    assert ours == []


def test_repro_leaves_no_file_that_git_does_not_know(reproduced: Workspace):
    assert reproduced.git("status", "--porcelain", "--untracked-files=all") == ""
    known = reproduced.git("ls-files").splitlines()
    assert [path for path in known if path.startswith(("runs/", ".segkit/", "data/", "models/"))] == [
        "data/.gitignore",
        "data/own/exclude.csv",
        "data/own/images/.gitkeep",
        "data/own/masks/.gitkeep",
        "models/.gitignore",
        "models/resnet34_unet.md",
        "models/unet.md",
    ]


def test_second_repro_has_nothing_to_do(private: Workspace):
    output = private.dvc("repro").stdout
    assert stages_run(output) == []
    assert "Data and pipelines are up to date" in output


def test_repro_evaluate_means_both_models(private: Workspace):
    output = private.dvc("repro", "--dry", "--force", "--single-item", "evaluate").stdout
    assert stages_run(output) == [name for name in NAMES if name.startswith("evaluate@")]


def test_forced_repro_elsewhere_gives_the_same_bits(private: Workspace):
    output = private.dvc("repro", "--force", **TWO_THREADS).stdout
    assert sorted(stages_run(output)) == sorted(NAMES)
    assert private.git("status", "--porcelain", "--untracked-files=all") == ""
