"""Nothing is lost when a stage, or DVC itself, is killed: the same command resumes and gives the same result."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from segkit.base.lock import is_held
from tests.pipeline.killing import EDITS, RESUMED, digests, leftovers, remove_outs, training
from tests.pipeline.workspace import Workspace
from tests.tiny import ROOT

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


def test_killed_stages_end_as_if_nothing_had_happened():
    """A little of what ``python -m tests.pipeline.killing`` does."""
    command = [sys.executable, "-m", "tests.pipeline.killing", "--kills", "4", "--others", "1", "--model", "unet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("^train_unet .* [1-9][0-9]* runs resumed inside the training", done.stdout, re.M), done.stdout


def test_a_training_that_is_asked_to_stop_saves_says_so_and_resumes(private: Workspace):
    private.edit(LONG)
    command = [sys.executable, "-m", "stages.train_unet"]
    for number, words in ((signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")):
        with started(private, *command) as process:
            assert bool(RESUMED.search(wait_for(process, "unet: "))) == (number == signal.SIGTERM)
            wait_for(process, "epoch ")
            process.send_signal(number)
            rest = process.communicate(timeout=60)[0]
            assert process.returncode == 128 + number
            assert f"\ntrain_unet: {words} in epoch " in rest
            assert "; its state is saved; run the same command again" in rest
    with started(private, *command) as process:
        assert RESUMED.search(wait_for(process, "unet: "))


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])  # of which Debian's stays between, and bash does not
def test_a_stage_that_outlives_dvc_is_named_and_its_work_is_taken_over(private: Workspace, shell: str):
    private = replace(private, env=private.env | {"SHELL": shell})
    private.edit(EDITS | {"train.epochs": 4, "train.batch_size": 1})
    private.stage("train_unet", check=True)
    expected = digests(private.root, UNET.outs)
    remove_outs(private.root, UNET.outs)
    with started(private, sys.executable, "-m", "dvc", "repro", "train_unet") as process:
        wait_for(process, "epoch ")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()  # else DVC takes it for alive
        holder = (private.root / ".segkit/locks/train_unet").read_text().split()[0]
        os.kill(int(holder), signal.SIGSTOP)  # so that it is still at work then
        second = private.dvc("repro", "train_unet", check=False)
        os.kill(int(holder), signal.SIGCONT)
        assert second.returncode
        assert f"train_unet: process {holder} on " in second.stderr
        assert "is already running the stage train_unet in this folder; wait for it" in second.stderr
        deadline = time.monotonic() + 120
        while is_held(private.root / ".segkit/locks/train_unet"):
            assert time.monotonic() < deadline, "the stage that outlived DVC does not end"
            time.sleep(0.1)
    assert len(list((private.root / ".segkit/training").iterdir())) == 1
    third = private.dvc("repro", "train_unet")
    assert re.search(f"{RESUMED.pattern}5 after 0 steps", third.stdout)
    assert digests(private.root, UNET.outs) == expected
    assert leftovers(private.root) == []


def test_a_killed_run_in_a_temporary_folder_goes_on(private: Workspace):
    private.edit(LONG)
    private.commit()
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--set-param", "seed=5", "train_unet"]
    with started(private, *command) as process:
        wait_for(process, "epoch ")
        os.killpg(process.pid, signal.SIGKILL)
    (state,) = (private.root / ".segkit/training").glob("*.state")
    with started(private, *command) as process:
        assert RESUMED.search(wait_for(process, "unet: "))
    assert state.exists()
