"""dvc.lock is true: it belongs to the dvc.yaml, the parameters, the code and the metrics beside it."""

import hashlib
import json
from pathlib import Path

import pytest

from segkit.base.files import digest
from tests.pipeline.declarations import Stage, declared, lookup, read_yaml, recorded
from tests.pipeline.import_graph import ROOT

NAMES = tuple(declared(ROOT))


@pytest.fixture(params=["committed", pytest.param("reproduced", marks=pytest.mark.slow)])
def root(request: pytest.FixtureRequest) -> Path:
    """This checkout, and, to know that these tests pass where the lock is fresh, a reproduced clone."""
    if request.param == "reproduced":
        return request.getfixturevalue("reproduced").root
    if not (ROOT / "dvc.lock").is_file():
        pytest.skip("dvc.lock not committed yet")
    return ROOT


@pytest.fixture(params=NAMES)
def pair(request: pytest.FixtureRequest, root: Path) -> tuple[Path, Stage, dict]:
    """A stage as declared and as recorded."""
    lock = recorded(root)
    assert request.param in lock, "the stage has not run; run dvc repro and commit dvc.lock"
    return root, declared(root)[request.param], lock[request.param]


def test_lock_has_the_declared_stages_and_no_other(root: Path):
    assert set(recorded(root)) == set(NAMES)


def test_lock_has_the_declared_command_files_and_parameters(pair: tuple[Path, Stage, dict]):
    root, stage, record = pair
    assert record["cmd"] == stage.cmd
    params = read_yaml(root / "params.yaml")
    deps = {lookup(params, path[2:-1]) if path.startswith("${") else path for path in stage.deps}
    assert {entry["path"] for entry in record["deps"]} == deps
    assert {entry["path"] for entry in record["outs"]} == set(stage.outs)
    assert set(record["params"]["params.yaml"]) == stage.params


def test_recorded_parameters_are_those_of_params_yaml(pair: tuple[Path, Stage, dict]):
    root, stage, record = pair
    params = read_yaml(root / "params.yaml")
    assert record["params"]["params.yaml"] == {key: lookup(params, key) for key in stage.params}


def test_recorded_code_is_the_code(pair: tuple[Path, Stage, dict]):
    root, stage, record = pair
    checksums = {entry["path"]: entry["md5"] for entry in record["deps"]}
    stale = [path for path in sorted(stage.code) if checksums[path] != md5(root / path)]
    assert stale == [], "changed since the recorded run; run dvc repro and commit dvc.lock and metrics"


def md5(path: Path) -> str:
    """What DVC records of a file, or of a folder."""
    if path.is_file():
        return digest(path, "md5")
    files = [file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    entries = [{"md5": digest(file, "md5"), "relpath": file.relative_to(path).as_posix()} for file in files]
    entries.sort(key=lambda entry: entry["relpath"].split("/"))
    return hashlib.md5(json.dumps(entries).encode()).hexdigest() + ".dir"


def test_recorded_metrics_and_curves_are_the_files(pair: tuple[Path, Stage, dict]):
    root, stage, record = pair
    checksums = {entry["path"]: entry["md5"] for entry in record["outs"]}
    in_git = [path for path, cached in stage.outs.items() if not cached]
    assert {path: md5(root / path) for path in in_git} == {path: checksums[path] for path in in_git}


def test_each_stage_used_what_the_one_before_it_made(root: Path):
    stages = recorded(root).values()
    made = {entry["path"]: entry["md5"] for stage in stages for entry in stage["outs"]}
    used = [(entry["path"], entry["md5"]) for stage in stages for entry in stage["deps"]]
    assert [(path, md5) for path, md5 in used if made.get(path, md5) != md5] == []
