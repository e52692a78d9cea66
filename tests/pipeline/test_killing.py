"""Nothing is lost when a stage, or DVC itself, is killed: the same command again goes on and ends the same."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from tests.pipeline.killing import EDITS, JOBS, digests, disturb, leftovers, run_undisturbed, training
from tests.pipeline.workspace import Workspace

pytestmark = pytest.mark.slow

UNET = training("unet")
LONG = EDITS | {"train.epochs": 1000, "train.patience": 1000, "train.lr": 1e-5}


@contextmanager
def started(workspace: Workspace, *command: str) -> Iterator[subprocess.Popen]:
    """A command that runs meanwhile, in a process group of its own."""
    process = subprocess.Popen(
        command, cwd=workspace.root, env=workspace.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(process: subprocess.Popen, start: str) -> str:
    """The first line it prints that begins with ``start``."""
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise AssertionError(f"{process.args} ended without a line that begins with {start!r}")


def test_killed_stages_end_as_if_nothing_had_happened(tree: Workspace):
    """A little of what ``python -m tests.pipeline.killing`` does."""
    tree.edit(EDITS)
    for job in (job for job in JOBS if job.model != "resnet34_unet"):  # the long one kills both networks
        kills = 4 if job == UNET else 1
        report = disturb(tree, job, kills, random.Random(job.name), most_in_a_row=kills)
        assert not report.different, report.line()
        assert job != UNET or report.resumed


@pytest.mark.parametrize(("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")])
def test_a_training_that_is_asked_to_stop_saves_and_says_so(private: Workspace, number: int, words: str):
    private.edit(LONG)
    private.dvc("repro", "augment")
    command = [sys.executable, "-m", "stages.train_unet"]
    with started(private, *command) as process:
        wait_for(process, "epoch ")
        process.send_signal(number)
        rest = process.communicate(timeout=60)[0]
        assert process.returncode == 128 + number
        assert f"\ntrain_unet: {words} in epoch " in rest
        assert "and its state is saved; run the same command again to resume\n" in rest
    with started(private, *command) as process:
        assert "; goes on in epoch " in wait_for(process, "unet: ")


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])  # of which Debian's stays between, and bash does not
def test_a_stage_that_outlives_dvc_is_named_and_its_work_is_taken_over(private: Workspace, shell: str):
    private = replace(private, env=private.env | {"SHELL": shell})
    private.edit(EDITS | {"train.epochs": 4})
    private.dvc("repro", "augment")
    expected, _ = run_undisturbed(private, UNET)
    with started(private, sys.executable, "-m", "dvc", "repro", "train_unet") as process:
        wait_for(process, "epoch ")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()  # else DVC takes it for alive
        holder = (private.root / ".segkit/locks/train_unet").read_text().split()[0]
        second = private.dvc("repro", "train_unet", check=False)
        assert second.returncode
        assert f"train_unet: process {holder} on " in second.stderr
        assert "is already running the stage train_unet in this folder; wait for it" in second.stderr
        deadline = time.monotonic() + 120
        while (private.root / ".segkit/locks/train_unet").exists():
            assert time.monotonic() < deadline, "the stage that outlived DVC does not end"
            time.sleep(0.1)
    assert len(list((private.root / ".segkit/training").iterdir())) == 1
    third = private.dvc("repro", "train_unet")
    assert "; goes on in epoch 5 after 0 steps" in third.stdout
    assert digests(private.root, UNET.outs) == expected
    assert leftovers(private.root) == []


def test_a_killed_run_in_a_temporary_folder_goes_on(private: Workspace):
    private.edit(LONG)
    private.dvc("repro", "augment")
    private.commit()
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--set-param", "seed=5", "train_unet"]
    with started(private, *command) as process:
        wait_for(process, "epoch ")
        os.killpg(process.pid, signal.SIGKILL)
    (state,) = (private.root / ".segkit/training").glob("*.state")
    with started(private, *command) as process:
        assert "; goes on in epoch " in wait_for(process, "unet: ")
    assert state.exists()
