"""What DVC's queue and git's references mean for a study."""

import os
from dataclasses import replace

import pytest
import yaml

from segkit.base.overrides import with_values
from segkit.reporting import repository
from segkit.reporting.studies import reading
from segkit.reporting.studies.reading import CONFLICT, DONE, FAILED, INTERRUPTED, QUEUED, RUNNING, Commit, Task
from tests.reporting.studies.made import found, study
from tests.tiny import raw_params

TEXT = "runs: {a: {model: unet, set: {train.lr: 1e-4}}}"
SECOND = {"train.lr": 1e-4, "seed": 0}


@pytest.fixture
def commits(monkeypatch):
    """Commits by name, of which params.yaml has the settings given."""
    holds: dict[str, str] = {}

    def content(revision: str, path: str) -> str | None:
        return holds.get(revision) if path == "params.yaml" else None

    monkeypatch.setattr(repository, "content", content)
    return lambda name, **settings: holds.__setitem__(
        name, yaml.safe_dump(with_values(raw_params(), {key.replace("__", "."): v for key, v in settings.items()}))
    )


def judged(monkeypatch, living: set[str], active: int, *states: str) -> list[str]:
    monkeypatch.setattr(reading, "_lives", living.__contains__)
    tasks = [Task(str(number), "name", state) for number, state in enumerate(states)]
    return [task.state for task in reading._judged(tasks, active)]


def test_a_task_runs_while_its_process_lives(monkeypatch):
    assert judged(monkeypatch, {"0"}, 1, RUNNING, RUNNING, QUEUED) == [RUNNING, INTERRUPTED, QUEUED]
    assert judged(monkeypatch, {"0"}, 0, RUNNING, FAILED) == [RUNNING, FAILED]  # its worker alone was killed


def test_a_task_without_a_process_runs_while_a_worker_starts_or_collects_it(monkeypatch):
    assert judged(monkeypatch, set(), 1, RUNNING, RUNNING) == [RUNNING, INTERRUPTED]
    assert judged(monkeypatch, set(), 0, RUNNING, RUNNING) == [INTERRUPTED, INTERRUPTED]


def test_a_process_that_took_over_the_number_is_not_the_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = tmp_path / ".dvc/tmp/exps/run/abc/abc.json"
    record.parent.mkdir(parents=True)
    record.write_text(f'{{"pid": {os.getpid()}, "returncode": null}}')
    assert reading.process_of("abc") == os.getpid() and reading.is_taken(os.getpid())
    assert not reading._lives("abc") and reading.process_of("missing") is None


def test_a_task_that_failed_is_shown_until_there_is_a_newer_one(tmp_path, commits):
    (experiment,) = study(tmp_path, TEXT).experiments
    commits("new", **SECOND)
    failed, queued = Task("old", experiment.name, FAILED), Task("new", experiment.name, QUEUED)
    assert reading._find(experiment, [], [failed]).state == FAILED
    both = reading._find(experiment, [], [queued, failed])
    assert (both.state, both.revision, both.tasks) == (QUEUED, "new", (failed,))
    assert reading._find(experiment, [], []).state == reading.MISSING


def test_other_settings_are_named(tmp_path, commits):
    (experiment,) = study(tmp_path, TEXT).experiments
    commits("other", train__lr=1e-3, seed=0)
    commits("older", **SECOND, resnet34_unet__bridge=8, runtime__device="cuda")
    there = reading._find(experiment, [Commit("other", "refs/exps/ab/cd/mine-a-s0")], [])
    removal = "dvc exp remove refs/exps/ab/cd/mine-a-s0"
    assert (there.state, there.detail) == (CONFLICT, f"unet.train.lr; {removal}")
    waiting = reading._find(experiment, [], [Task("other", experiment.name, QUEUED)])
    assert (waiting.state, waiting.detail) == (CONFLICT, "unet.train.lr; dvc queue remove mine-a-s0")
    assert reading._differing(experiment, "older") == []  # the other network and the device change nothing
    assert "train" not in reading._differing(experiment, "no such commit")


def test_scores_of_other_pictures_are_not_compared(tmp_path):
    made = study(tmp_path, "runs: {a: {model: unet}, b: {model: unet}}", "data.source=oxford_pet")
    one, two = (
        replace(each, address=each.experiment.name) for each in found(made, {"a": [(0.5, 0.5)], "b": [(0.5, 0.5)]})
    )
    same = list(reading._same_data([replace(one, pictures="x"), replace(two, pictures="x")]))
    assert [each.state for each in same] == [DONE, DONE]
    _, other = reading._same_data([replace(one, pictures="x"), replace(two, pictures="y")])
    assert (other.state, other.scores) == (CONFLICT, None)
    assert other.detail == "other pictures than mine-a-s0; dvc exp remove mine-b-s0"
    _, other = reading._same_data([replace(one, excluded="x"), replace(two, excluded="y")])
    assert other.detail == "another data.exclude than mine-a-s0; dvc exp remove mine-b-s0"


@pytest.mark.parametrize("key", ["data.synthetic.samples", "data.oxford_pet.urls"])
def test_runs_that_vary_the_data_are_no_fault_but_the_same_archives_may_come_from_anywhere(tmp_path, key):
    values, source = ("40", "60"), key.split(".")[1]
    if source == "oxford_pet":
        values = ("[file:///a]", "[file:///b]")
    runs = ", ".join(f"r{i}: {{model: unet, set: {{{key}: {value}}}}}" for i, value in enumerate(values))
    made = study(tmp_path, f"runs: {{{runs}}}", f"data.source={source}")
    found_ = found(made, {"r0": [(0.5, 0.5)], "r1": [(0.5, 0.5)]})
    states = [each.state for each in reading._same_data([replace(e, pictures=str(i)) for i, e in enumerate(found_)])]
    assert states == [DONE, DONE if source == "synthetic" else CONFLICT]


def test_an_experiment_of_a_name_that_two_baselines_have_is_addressed_by_its_reference(monkeypatch):
    lines = "1 refs/exps/aa/b/one\n2 refs/exps/aa/b/two\n3 refs/exps/cc/d/two\n4 refs/exps/exec/EXEC_HEAD\n"
    monkeypatch.setattr(repository, "git", lambda *arguments: lines)
    assert reading._commits() == {
        "one": [Commit("1", "one")],
        "two": [Commit("2", "refs/exps/aa/b/two"), Commit("3", "refs/exps/cc/d/two")],
    }


def test_synthetic_pictures_of_another_seed_are_no_fault(tmp_path):
    made = study(tmp_path, "seeds: [0, 1]\nruns: {a: {model: unet}}", "data.source=synthetic")
    found_ = found(made, {"a": [(0.5, 0.5), (0.5, 0.5)]})
    states = [each.state for each in reading._same_data([replace(e, pictures=str(i)) for i, e in enumerate(found_)])]
    assert states == [DONE, DONE]


def test_what_a_stage_said_last_is_why_it_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = Task("abcdef0123", "name", FAILED)
    assert reading._reason(task) == "dvc queue logs abcdef0"
    printed = tmp_path / ".dvc/tmp/exps/run/abcdef0123/abcdef0123.out"
    printed.parent.mkdir(parents=True)
    printed.write_text("> python -m stages.x\nx: no such file\nERROR: failed to reproduce 'x': ...\nERROR: again\n")
    assert reading._reason(task) == "x: no such file; dvc queue logs abcdef0"
    printed.write_text("x: epoch 3\n")
    assert reading._reason(task) == "dvc queue logs abcdef0"
