"""``python -m segkit study`` with the real DVC: queued, no-op, done, failed, killed, queued again, other settings."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from segkit.base.files import csv_rows
from tests.pipeline.workspace import TIMEOUT, Workspace

STUDY = """
set: {train.epochs: 1}
runs:
  done: {model: unet, set: {unet.train.lr: 1e-3}, published: 0.9}
  absent: {model: resnet34_unet, set: {data.source: folder, data.folder.images: data/own/absent}}
  endless: {model: unet, set: {train.epochs: 1000000, train.patience: 1000000}}
"""
NAMES = ("tiny-done-s0", "tiny-absent-s0", "tiny-endless-s0")


def study(workspace: Workspace, action: str, *options: str, status: int = 0) -> list[str]:
    """The lines that ``study ACTION`` prints; where it fails, those of stderr."""
    command = [sys.executable, "-m", "segkit", "study", action, "studies/tiny.yaml", *options]
    done = workspace.run(*command, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return (done.stderr if status else done.stdout).splitlines()


def states(workspace: Workspace) -> list[str]:
    """What ``study status`` says of each experiment, without its advice."""
    lines = [line.split(maxsplit=1) for line in study(workspace, "status") if line.startswith("tiny-")]
    assert tuple(name for name, _ in lines) == NAMES
    return [state.split("  ")[0] for _, state in lines]


def wait_for(workspace: Workspace, wanted: list[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while (now := states(workspace)) != wanted:
        assert time.monotonic() < deadline, f"still {now}, not {wanted}"


def start_worker(workspace: Workspace) -> None:
    """Its worker would keep a pipe open, so that whoever reads that would wait for the end of the queue."""
    command, nowhere = [sys.executable, "-m", "dvc", "queue", "start"], subprocess.DEVNULL
    subprocess.run(command, cwd=workspace.root, env=workspace.env, stdout=nowhere, stderr=nowhere, check=True)


def kill_worker(workspace: Workspace) -> None:
    """The worker of the queue with all that it started, as a restart of the machine would."""
    for record in (workspace.root / ".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json"):
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(json.loads(record.read_text())["pid"]), signal.SIGKILL)


@pytest.fixture
def lab(private: Workspace):
    (private.root / "studies").mkdir(exist_ok=True)
    (private.root / "studies/tiny.yaml").write_text(STUDY)
    yield private
    kill_worker(private)


@pytest.mark.slow
def test_a_study_from_the_queue_to_the_table(lab: Workspace):
    assert states(lab) == ["not queued"] * 3
    assert "no run is done yet (3 not queued)" in study(lab, "table", status=2)[0]
    assert [line.split()[1] for line in study(lab, "queue")[:3]] == ["queued"] * 3
    again = study(lab, "queue")
    assert [line.split(maxsplit=1)[1] for line in again[:3]] == ["already queued"] * 3 and "dvc queue start" in again[3]

    lab.git("commit", "--allow-empty", "--quiet", "--message", "meanwhile")  # experiments of earlier baselines count
    start_worker(lab)
    wait_for(lab, ["done", "failed", "running"])
    assert [line.split(maxsplit=1)[1] for line in study(lab, "queue")[::2][:2]] == ["done", "already running"]
    kill_worker(lab)
    wait_for(lab, ["done", "queued", "interrupted"])

    table = study(lab, "table", "--csv", "table.csv")
    assert max(map(len, table)) <= 120
    scores = json.loads(lab.git("show", f"{_revision(lab, NAMES[0])}:metrics/scores/unet.json"))
    shown = [scores["valid"]["dice"], scores["test"]["dice"], scores["test"]["pixel_accuracy_batch"]]
    assert f"| **done** | unet | 1 | {' | '.join(f'{score:.4f}' for score in shown)} | 0.9000 |" in table
    rows = list(csv_rows(lab.root / "table.csv"))
    assert [row["run"] for row in rows] == ["done", "absent", "endless"]
    assert float(rows[0]["test_iou_mean"]) == pytest.approx(scores["test"]["iou"], abs=1e-6)
    assert rows[0]["test_iou_sd"] == rows[1]["test_iou_mean"] == ""

    said = study(lab, "queue")
    assert said[0].endswith("  done") and said[2].endswith("  queued again after an interruption")
    assert states(lab) == ["done", "queued", "queued"]
    listing = lab.dvc("queue", "status").stdout
    assert [listing.count(name) for name in NAMES] == [1, 1, 1]  # no attempt that is over stays


def _revision(lab: Workspace, name: str) -> str:
    listing = lab.git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").split()
    assert len(listing) == 1
    return listing[0]


@pytest.mark.slow
def test_what_was_made_with_other_settings_is_not_overwritten(lab: Workspace):
    study(lab, "queue", "-S", "evaluate.threshold=0.4", "-S", "runtime.weights_dir='(a\\d), b'")
    assert states(lab) == ["other settings"] * 3
    printed = study(lab, "status")
    assert "tiny-done-s0     other settings  evaluate.threshold; dvc queue remove tiny-done-s0" in printed
    assert study(lab, "queue", "-S", "evaluate.threshold=0.5", status=2)[-1].startswith(
        "segkit study: nothing was queued, because DVC holds tiny-done-s0 and others with other settings"
    )
    before = lab.dvc("queue", "status").stdout
    assert study(lab, "queue", "-S", "evaluate.threshold=0.4")[0].endswith("already queued")
    assert lab.dvc("queue", "status").stdout == before
    stashed = lab.git("show", "refs/exps/celery/stash:params.yaml")
    assert r"weights_dir: (a\d), b" in stashed


def test_outside_of_a_repository_a_study_is_refused_in_one_line(tree: Workspace):
    (tree.root / "studies/tiny.yaml").write_text(STUDY)
    assert study(tree, "queue", status=2) == [
        "segkit study: this folder is not in a git repository; run from a clone, or run 'git init' and commit"
    ]
    tree.git("init", "--quiet")
    assert "has no commit yet" in study(tree, "queue", status=2)[0]
    tree.commit()
    (tree.root / ".dvc").rename(tree.root / "elsewhere")
    assert "not the root of a DVC repository" in study(tree, "status", status=2)[0]
