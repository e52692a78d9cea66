"""A training that is interrupted anywhere and run again gives the same result, bit for bit."""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
import torch

from segkit.base.errors import InputError
from segkit.base.files import digest
from segkit.base.interrupts import Interrupted, Stop
from segkit.base.prefetch import run_ahead
from segkit.base.workspace import Paths
from segkit.models.checkpoint import load_checkpoint
from segkit.training import launch, run
from segkit.training.distributed import World
from segkit.training.fit import Fit
from segkit.training.logbook import Logbook
from segkit.training.loop import Engine
from segkit.training.state import SavedState, snapshot
from tests.tiny import ROOT, make_project, small_params
from tests.training.conftest import Recorder

SIGTERM = 15
EPOCHS, STEPS, VALID_STEPS = 3, 6, 1


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    return folder / "data"


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return tmp_path


def params(**changes):
    return small_params(**{"train__epochs": EPOCHS, "train__lr": 0.01} | changes)


def written(project, name: str) -> dict[str, str]:
    outs = (f"models/{name}.safetensors", f"metrics/curves/{name}.csv", f"metrics/training/{name}.json")
    return {out: digest(project / out) for out in outs}


def states(project) -> list:
    return sorted((project / ".segkit/training").iterdir())


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """What each network's training writes when nothing happens."""
    found = {}

    def of(name: str, monkeypatch, **changes):
        if name not in found:
            folder = tmp_path_factory.mktemp(name)
            (folder / "data").symlink_to(data)
            with monkeypatch.context() as context:
                context.chdir(folder)
                launch.train(name, params(**changes))
            found[name] = written(folder, name)
        return found[name]

    return of


def interrupted_at(forward: int, name: str, monkeypatch, **changes) -> str:
    """Ask a training to stop in the ``forward``-th call of its network; returns the line it leaves with."""
    stop, called = Stop(), []
    compute = Engine._forward

    def counting(engine, *arguments):
        called.append(1)
        if len(called) == forward:
            stop.number = SIGTERM
        return compute(engine, *arguments)

    with monkeypatch.context() as context, pytest.raises(Interrupted) as caught:
        context.setattr(Engine, "_forward", counting)
        run.train(name, params(**changes), torch.device("cpu"), stop=stop)
    assert caught.value.status == 128 + SIGTERM
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "forward", "changes"),
    [
        ("unet", 1, {}),
        ("unet", STEPS + VALID_STEPS, {}),
        pytest.param("resnet34_unet", 3, {"train__epochs": 1}, marks=pytest.mark.slow),
    ],
)
def test_it_resumes_and_ends_the_same(project, undisturbed, name, forward, changes, monkeypatch, capsys):
    expected = undisturbed(name, monkeypatch, **changes)
    line = interrupted_at(forward, name, monkeypatch, **changes)
    assert "ended by SIGTERM in epoch " in line and "its state is saved" in line
    assert not (project / "models").exists()
    capsys.readouterr()
    launch.train(name, params(**changes))
    assert "; resuming in epoch " in capsys.readouterr().out
    assert written(project, name) == expected
    assert states(project) == []


def test_it_may_be_interrupted_again_and_again(project, undisturbed, monkeypatch):
    for forward in (2, 4, 3, 5):
        interrupted_at(forward, "unet", monkeypatch)
    launch.train("unet", params())
    assert written(project, "unet") == undisturbed("unet", monkeypatch)


def test_the_lines_say_where_it_was_interrupted_and_where_it_resumes(project, monkeypatch, capsys):
    line = interrupted_at(STEPS + VALID_STEPS + 1 + 2, "unet", monkeypatch)  # one picture for the log after the first
    assert line.startswith("ended by SIGTERM in epoch 2 after 2 steps; its state is saved; run the same command")
    capsys.readouterr()
    launch.train("unet", params())
    first, few_steps, *epochs = capsys.readouterr().out.splitlines()
    assert first.endswith("; resuming in epoch 2 after 2 steps")
    assert few_steps.startswith(f"unet: {STEPS} steps per epoch are few; ")
    assert [epoch[:9] for epoch in epochs] == ["epoch   2", "epoch   3"]


def test_the_table_of_epochs_counts_all_runs_and_says_where_one_resumed(project, monkeypatch):
    folder = project / "runs/workspace/unet"
    for forward in (STEPS + VALID_STEPS + 3, 2):  # twice in the second epoch; one picture for the log after the first
        interrupted_at(forward, "unet", monkeypatch)
    before = (folder / "epochs.csv").read_text()
    launch.train("unet", params())
    assert (folder / "epochs.csv").read_text().startswith(before)
    with open(folder / "epochs.csv", newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert list(rows[0]) == ["epoch", "seconds", "data_seconds", "images", "resumed"]
    assert [(row["epoch"], row["images"], row["resumed"]) for row in rows] == [(1, 24, 0), (2, 24, 1), (3, 24, 0)]
    assert all(0 < row["data_seconds"] < row["seconds"] for row in rows)
    timing = json.loads((folder / "timing.json").read_text())
    assert timing["training_seconds"] == pytest.approx(sum(row["seconds"] for row in rows), abs=0.002)
    assert timing["data_seconds"] == pytest.approx(sum(row["data_seconds"] for row in rows), abs=0.002)


def test_saves_within_an_epoch_change_nothing(project, undisturbed, monkeypatch):
    launch.train("unet", params(runtime__save_every_seconds=1e-6))
    assert written(project, "unet") == undisturbed("unet", monkeypatch)


def test_a_schedule_needs_no_state_and_curves_are_there_at_every_epoch(project, monkeypatch):
    """Interrupted in its second epoch, with a learning rate that moves at every step."""
    changes = {"train__schedule": "cosine", "train__loss": {"cross_entropy": 1.0, "dice": 0.5}}
    launch.train("unet", params(**changes))
    expected, curves = written(project, "unet"), project / "metrics/curves/unet.csv"
    rows = curves.read_text().splitlines(keepends=True)
    rates = [float(row.split(",")[-1]) for row in rows[1:]]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.1 * rates[0]
    for path in ("models", "metrics"):
        shutil.rmtree(project / path)
    interrupted_at(STEPS + VALID_STEPS + 5, "unet", monkeypatch, **changes)
    assert curves.read_text() == "".join(rows[:2])
    curves.unlink()  # as DVC does
    interrupted_at(1, "unet", monkeypatch, **changes)
    assert curves.read_text() == "".join(rows[:2])
    launch.train("unet", params(**changes))
    assert written(project, "unet") == expected


def test_the_threshold_decides_no_weight_so_a_changed_one_finds_the_state(project, monkeypatch, capsys):
    interrupted_at(8, "unet", monkeypatch)
    capsys.readouterr()
    launch.train("unet", params(evaluate__threshold=0.4))
    assert "; resuming in epoch " in capsys.readouterr().out
    assert load_checkpoint(project / "models/unet.safetensors").metadata["threshold"] == 0.4


@pytest.mark.parametrize("changes", [{"train__lr": 0.02}, {"seed": 1}, {"unet__width": 8}, {"train__epochs": 4}])
def test_a_changed_parameter_never_finds_the_state(project, monkeypatch, capsys, changes):
    interrupted_at(8, "unet", monkeypatch)
    (state,) = states(project)
    launch.train("unet", params(**changes))
    assert "resuming" not in capsys.readouterr().out
    assert states(project) == [state]  # and it is still there for the one it belongs to


def test_changed_data_never_find_the_state(project, data, monkeypatch, capsys):
    interrupted_at(8, "unet", monkeypatch)
    (project / "data").unlink()
    make_project(project, border="background")
    launch.train("unet", params())
    assert "resuming" not in capsys.readouterr().out


def test_changed_code_never_finds_the_state(project, monkeypatch, capsys):
    interrupted_at(8, "unet", monkeypatch)
    monkeypatch.setattr(run, "code_fingerprint", lambda: "0" * 64)
    launch.train("unet", params())
    assert "resuming" not in capsys.readouterr().out


def test_a_damaged_state_is_reported_and_the_training_starts_over(project, undisturbed, monkeypatch, capsys):
    interrupted_at(8, "unet", monkeypatch)
    (state,) = states(project)
    state.write_bytes(state.read_bytes()[:-1])
    launch.train("unet", params())
    output = capsys.readouterr().out
    assert f"{state} is damaged; this training starts over" in output and "resuming" not in output
    assert written(project, "unet") == undisturbed("unet", monkeypatch)


def test_the_renamed_state_of_another_training_is_reported_and_not_used(project, undisturbed, monkeypatch, capsys):
    interrupted_at(8, "unet", monkeypatch)
    (own,) = states(project)
    own.unlink()
    interrupted_at(8, "unet", monkeypatch, train__lr=0.02)
    (other,) = states(project)
    other.rename(own)
    launch.train("unet", params())
    output = capsys.readouterr().out
    assert f"{own} belongs to another training; this training starts over" in output and "resuming" not in output
    assert written(project, "unet") == undisturbed("unet", monkeypatch)


def _of_other_shapes(state):
    state["model"] = {name: tensor.double().flatten()[:1] for name, tensor in state["model"].items()}


def _of_other_parts(state):
    state["optimizer"]["param_groups"][0]["params"].pop()


def _without_epoch(state):
    del state["epoch"]


@pytest.mark.parametrize("change", [_of_other_shapes, _of_other_parts, _without_epoch])
def test_a_state_whose_content_does_not_fit_is_reported_and_not_used(project, undisturbed, monkeypatch, capsys, change):
    """Its checksum and fingerprint are right."""

    def changed(fit):
        state = original(fit)
        change(state)
        return state

    original = Fit.state
    with monkeypatch.context() as context:
        context.setattr(Fit, "state", changed)
        interrupted_at(8, "unet", monkeypatch)
    (path,) = states(project)
    launch.train("unet", params())
    output = capsys.readouterr().out
    assert f"{path} does not fit this training (" in output and "; this training starts over" in output
    assert "resuming" not in output
    assert written(project, "unet") == undisturbed("unet", monkeypatch)


def test_from_every_step_the_same_batches_and_losses_follow(project, monkeypatch):
    """Also where the thread that prepares batches runs further ahead, or not at all."""
    small, cpu = params(unet__width=2, train__schedule="cosine"), torch.device("cpu")
    _, given, validation = run.read_data("unet", small, Paths(), cpu, World())
    forward, seen = Engine._forward, []

    def recording(engine, network, images):
        seen.append(hashlib.sha256(images.numpy().tobytes()).hexdigest())
        return forward(engine, network, images)

    def trained(saver, state=None) -> tuple:
        """Everything that a training computes from ``state`` on."""
        seen.clear()
        fit = Fit("unet", run.build_engine("unet", small, cpu), small.unet.train, Logbook(None, None, 1), saver, Stop())
        if state:
            fit.restore(state)
        fit.run(given, validation)
        return list(seen), fit.logbook.rows, digest_of(fit.stopping.best_weights), digest_of(fit.state()["optimizer"])

    monkeypatch.setattr(Engine, "_forward", recording)
    recorder = Recorder()
    batches, *result = trained(recorder)
    assert len(recorder.states) == EPOCHS * (STEPS + 1)  # at every epoch's end twice: before and after validation
    for number, state in enumerate(recorder.states, start=1):
        ahead = partial(run_ahead, depth=1 + number % 4) if number % 5 else iter
        monkeypatch.setattr("segkit.training.batches.run_ahead", ahead)
        followed, *resumed = trained(None, state)
        assert batches[len(batches) - len(followed) :] == followed
        assert resumed == result, f"resumed from state {number}"


def digest_of(values) -> str:
    """A digest of tensors, nested in dicts and lists, bit for bit."""
    content = io.BytesIO()
    torch.save(snapshot(values), content)
    return hashlib.sha256(content.getvalue()).hexdigest()


def test_a_training_that_early_stopping_ended_is_not_continued(project, monkeypatch, capsys):
    changes = {"train__patience": 1, "train__lr": 1e-9, "train__epochs": 50, "train__precision": "fp32"}
    monkeypatch.setattr(run, "_write", lambda *arguments: pytest.fail("killed here"))
    with pytest.raises(pytest.fail.Exception):
        run.train("unet", params(**changes), torch.device("cpu"))
    monkeypatch.undo()
    monkeypatch.chdir(project)
    capsys.readouterr()
    line = launch.train("unet", params(**changes))
    output = capsys.readouterr().out
    assert "(stopped early)" in line
    assert "\nepoch " not in output
    rows = json.loads((project / "metrics/training/unet.json").read_text())["epochs"]
    assert 1 < rows < 50 and len((project / "metrics/curves/unet.csv").read_text().splitlines()) == rows + 1


def test_a_signal_while_the_result_is_written_keeps_the_state_until_the_next_run(project, undisturbed, monkeypatch):
    stop, write = Stop(), run._write

    def writing(*arguments):
        stop.number = SIGTERM
        return write(*arguments)

    with monkeypatch.context() as context, pytest.raises(Interrupted, match="after its result was written"):
        context.setattr(run, "_write", writing)
        run.train("unet", params(), torch.device("cpu"), stop=stop)
    assert len(states(project)) == 1
    launch.train("unet", params())
    assert written(project, "unet") == undisturbed("unet", monkeypatch)
    assert states(project) == []


def test_an_edit_of_the_parameters_meanwhile_keeps_the_state(project, monkeypatch):
    def edited(before, keys):
        raise InputError("params.yaml: train was edited")

    monkeypatch.setattr(launch, "refuse_edited", edited)
    with pytest.raises(InputError, match="was edited"):
        launch.train("unet", params(), keys=("train",))
    assert len(states(project)) == 1


def test_a_result_that_nobody_waits_for_any_more_stays_in_the_state(project, undisturbed, monkeypatch, capsys):
    """DVC was killed meanwhile and has not recorded it; its next run removes the outputs and trains again."""
    parents = iter([10, 1])
    with monkeypatch.context() as context:
        context.setattr(launch.os, "getppid", lambda: next(parents))
        launch.train("unet", params())
    (project / "models/unet.safetensors").unlink()
    capsys.readouterr()
    launch.train("unet", params())
    assert "\nepoch " not in capsys.readouterr().out
    assert written(project, "unet") == undisturbed("unet", monkeypatch)
    assert states(project) == []


def test_a_state_that_cannot_be_written_ends_the_training_and_keeps_the_one_before(project, monkeypatch):
    write = SavedState.write

    def full(self, state):
        if state["epoch"] > 1:
            raise OSError(28, "No space left on device", str(self.path))
        write(self, state)

    with monkeypatch.context() as context, pytest.raises(OSError, match="No space left"):
        context.setattr(SavedState, "write", full)
        launch.train("unet", params())
    (state,) = states(project)
    assert torch.load(state, weights_only=True)["epoch"] == 1


FULL = """
import resource, sys
from segkit.base.command import run_command
from segkit.training import launch
from tests.tiny import small_params

small = small_params(unet__width=1, train__epochs=2)
for limit in map(int, sys.argv[1:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    status = run_command("train_unet", lambda: launch.train("unet", small))
    print(limit, "ended with", status, file=sys.stderr)
"""


@pytest.mark.slow
def test_a_full_disk_ends_the_training_with_one_line_that_names_the_place(project):
    """Wherever the disk is full first, simulated by a limit on the file size."""
    limits = [100, 3000, 20_000, 60_000]
    command = [sys.executable, "-c", FULL, *map(str, limits)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    lines = done.stderr.splitlines()
    assert lines[1::2] == [f"{limit} ended with 2" for limit in limits]
    for line in lines[::2]:
        assert line.startswith((f"train_unet: {project}/runs/workspace/unet", f"train_unet: {project}/.segkit/"))
        assert "File too large" in line
    assert "/runs/" in done.stderr and "/.segkit/" in done.stderr
