"""What DVC holds of a study: finished experiments in git's references, all others in DVC's queue."""

import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ConfigDict

from segkit.base.errors import InputError, brief, few
from segkit.base.validation import Section, validate
from segkit.base.values import PositiveInt, Probability
from segkit.base.yaml_file import parse_yaml
from segkit.reporting import repository
from segkit.reporting.studies.definition import Experiment, Study, used_by

DONE, RUNNING, QUEUED = "done", "running", "queued"
FAILED, INTERRUPTED, MISSING = "failed", "interrupted", "not queued"
CONFLICT = "other settings"  # there is an experiment of this name that was not made as the study says
# Keys of data that only 'preprocess' reads, so that they do not change what was downloaded.
READ_LATER = {"data.exclude", *(f"data.folder.{key}" for key in ("foreground", "ignore", "range", "pages"))}
STATES = (DONE, RUNNING, QUEUED, FAILED, INTERRUPTED, MISSING, CONFLICT)


class Block(Section):
    """The scores of one split that are compared; a file holds more."""

    model_config = ConfigDict(extra="ignore")

    images: PositiveInt
    dice: Probability
    iou: Probability
    pixel_accuracy_batch: Probability


class Scores(Section):
    """``metrics/scores/MODEL.json``."""

    model_config = ConfigDict(extra="ignore")

    valid: Block
    test: Block
    test_original: Block


@dataclass(frozen=True)
class Commit:
    """A finished experiment; ``address``: what 'dvc exp remove' takes, its name if no other baseline has this name."""

    revision: str
    address: str


@dataclass(frozen=True)
class Task:
    """A line of DVC's queue; ``revision``: a commit that holds the task's params.yaml."""

    revision: str
    name: str
    state: str


@dataclass(frozen=True)
class Found:
    """An experiment of the study and what became of it. ``revision``: its commit, or that of its newest task.
    ``address``: as of its Commit. ``tasks``: what is left in the queue of attempts that failed or were interrupted.
    ``pictures``, ``excluded``: hashes of what was downloaded, and of the list ``data.exclude``."""

    experiment: Experiment
    state: str
    revision: str = ""
    address: str = ""
    detail: str = ""
    scores: Scores | None = None
    pictures: str | None = None
    excluded: str | None = None
    tasks: tuple[Task, ...] = ()


def read(study: Study) -> list[Found]:
    """What became of each experiment of the study, in its order. Raises InputError where there is no repository."""
    repository.require_repository()
    tasks = _tasks()  # first: what ends meanwhile is then in both, and not in neither
    commits = _commits()
    found = [_find(each, commits[each.name], tasks[each.name]) for each in study.experiments]
    return list(_same_data(found))


def _commits() -> Mapping[str, list[Commit]]:
    """Finished experiments by name, of all baselines, the newest first."""
    found = defaultdict(list)
    listing = repository.git("for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps")
    for line in (listing or "").splitlines():
        revision, _, reference = line.partition(" ")
        if match := re.fullmatch(r"refs/exps/[0-9a-f]{2}/[0-9a-f]+/(.+)", reference):
            found[match[1]].append(Commit(revision, reference))
    alone = {name: [Commit(commits[0].revision, name)] for name, commits in found.items() if len(commits) == 1}
    return found | alone


def _tasks() -> Mapping[str, list[Task]]:
    """The tasks of DVC's queue by name, the newest first; those that a killed worker left behind are INTERRUPTED."""
    printed = repository.dvc("queue", "status")
    lines = re.findall(r"^([0-9a-f]{7,40}) +(\S+) .* (Running|Queued|Failed|Success|Unknown) *$", printed, re.MULTILINE)
    active = re.search(r"^Worker status: (\d+) active", printed, re.MULTILINE)
    if active is None:
        raise InputError("'dvc queue status' printed something else than DVC 3.60 to 3.67 do; install one of these")
    tasks = [Task(_full(revision), name, state.lower()) for revision, name, state in lines]
    tasks.sort(key=lambda task: _time(task.revision), reverse=True)
    found = defaultdict(list)
    for task in _judged(tasks, int(active[1])):
        found[task.name].append(task)
    return found


def _judged(tasks: Iterable[Task], active: int) -> Iterable[Task]:
    """DVC calls a task running until its worker says otherwise, which a killed worker never does. Here it is running
    while its process lives. Before and after that the worker itself copies files: of tasks without a process, as many
    are running as there are ``active`` workers without one, the newest first, since a queue is worked off in order."""
    running = {task.revision: _lives(task.revision) for task in tasks if task.state == RUNNING}
    idle = active - sum(running.values())
    for task in tasks:
        if task.state == RUNNING and not running[task.revision]:
            idle -= 1
            task = replace(task, state=RUNNING if idle >= 0 else INTERRUPTED)
        yield task


def process_of(revision: str) -> int | None:
    """The process id that DVC recorded for a task, also of one that has ended."""
    # 'dvc exp show --json' prints it as well, but only of one baseline at a time, and not while a worker starts a task.
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads(_record(revision, "json").read_text(encoding="utf-8"))["pid"])
    return None


def _record(revision: str, ending: str) -> Path:
    """What DVC records of a task: ``json``, its process; ``out``, what it printed."""
    return Path(f".dvc/tmp/exps/run/{revision}/{revision}.{ending}")


def is_taken(pid: int | None) -> bool:
    """Whether a process has this id, whichever it is."""
    return pid is not None and _command_line(pid) != ""


def _lives(revision: str) -> bool:
    """Whether the process of a task lives; after a restart of the machine its id may belong to another one."""
    pid = process_of(revision)
    return pid is not None and revision in _command_line(pid)


def _command_line(pid: int) -> str:
    """Of a living process; empty if there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    if os.path.isdir("/proc/self"):
        return ""
    with suppress(OSError):  # macOS
        command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return ""


def _full(revision: str) -> str:
    return (repository.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or revision).strip()


def _time(revision: str) -> int:
    return int(repository.git("show", "--no-patch", "--format=%ct", revision) or 0)


def _find(experiment: Experiment, commits: list[Commit], tasks: list[Task]) -> Found:
    """A finished experiment counts before a task, and one with the study's settings before others."""
    others: list[Found] = []
    for commit in commits:
        differing = _differing(experiment, commit.revision)
        if not differing:
            return replace(_finished(experiment, commit), tasks=_over(tasks))
        others.append(_conflict(experiment, commit.revision, differing, f"dvc exp remove {commit.address}"))
    for state, removal in ((RUNNING, "kill"), (QUEUED, "remove")):
        for task in tasks:
            if task.state == state:
                differing = _differing(experiment, task.revision)
                if not differing:
                    return Found(experiment, state, task.revision, tasks=_over(tasks))
                others.append(_conflict(experiment, task.revision, differing, f"dvc queue {removal} {experiment.name}"))
    if others:
        return others[0]
    over = _over(tasks)
    if not over:
        return Found(experiment, MISSING)
    return Found(experiment, over[0].state, over[0].revision, detail=_reason(over[0]), tasks=over)


def _reason(task: Task) -> str:
    """Why a task failed: what its stage said last, before DVC's own error; and where to read all that it printed."""
    logs = f"dvc queue logs {task.revision[:7]}"
    with suppress(OSError):
        printed = _record(task.revision, "out").read_text(encoding="utf-8", errors="replace")
        before, error, _ = printed.partition("ERROR: failed to reproduce")
        if error and before.strip():
            return f"{brief(before.strip().splitlines()[-1], 200)}; {logs}"
    return logs


def _over(tasks: Iterable[Task]) -> tuple[Task, ...]:
    return tuple(task for task in tasks if task.state in (FAILED, INTERRUPTED))


def _conflict(experiment: Experiment, revision: str, differing: list[str], removal: str) -> Found:
    return Found(experiment, CONFLICT, revision, detail=f"{few(differing)}; {removal}")


def _differing(experiment: Experiment, revision: str) -> list[str]:
    """Keys of the parameters at ``revision`` that are not as the study says."""
    text = repository.content(revision, "params.yaml")
    raw = parse_yaml(text, f"{revision[:7]}:params.yaml")[0] if text is not None else {}
    there, wanted = used_by(experiment.model, raw if isinstance(raw, dict) else {}), experiment.used
    missing = object()
    return [key for key in {**wanted, **there} if there.get(key, missing) != wanted.get(key, missing)]


def _finished(experiment: Experiment, commit: Commit) -> Found:
    path, revision = f"metrics/scores/{experiment.model}.json", commit.revision
    try:
        scores = validate(Scores, json.loads(repository.content(revision, path) or ""))
    except ValueError as error:
        raise InputError(
            f"the experiment {experiment.name} has no usable {path} ({error}); remove it with 'dvc exp remove "
            f"{commit.address}' and queue it again"
        ) from None
    pictures = _hash(revision, "download", "outs", "data/raw/download")
    excluded = _hash(revision, "preprocess", "deps", experiment.used.get("data.exclude"))
    return Found(experiment, DONE, revision, commit.address, scores=scores, pictures=pictures, excluded=excluded)


def _hash(revision: str, stage: str, kind: str, path: object) -> str | None:
    """The hash of a file or folder in the dvc.lock of a commit."""
    lock, _ = parse_yaml(repository.content(revision, "dvc.lock") or "", f"{revision[:7]}:dvc.lock")
    with suppress(KeyError, TypeError):
        return next((str(each["md5"]) for each in lock["stages"][stage][kind] if each["path"] == path), None)
    return None


def _named_data(used: Mapping[str, object]) -> str:
    """What an experiment says about its pictures. Synthetic ones are drawn anew for each seed."""
    named = {key: value for key, value in used.items() if key.startswith("data.") and key not in READ_LATER}
    return repr(sorted((named | {"seed": used["seed"]} if used["data.source"] == "synthetic" else named).items()))


def _same_data(found: list[Found]) -> Iterable[Found]:
    """Where runs name the same data, scores of other pictures than those of the first finished experiment are not
    compared with it, nor those of a list ``data.exclude`` that has changed."""
    pictures: dict[object, Found] = {}
    lists: dict[object, Found] = {}
    for each in found:
        if each.state == DONE:
            used = each.experiment.used
            first = pictures.setdefault(_named_data(used), each)
            other = f"other pictures than {first.experiment.name}" if each.pictures != first.pictures else ""
            first = lists.setdefault(used.get("data.exclude"), each)
            other = other or (each.excluded != first.excluded and f"another data.exclude than {first.experiment.name}")
            if other:
                each = replace(each, state=CONFLICT, detail=f"{other}; dvc exp remove {each.address}", scores=None)
        yield each
