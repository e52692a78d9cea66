"""The file of a study: named runs, each a model, parameters that differ from params.yaml, seeds and a published score.

seeds: [0]                                       # of the runs that name none
set: {data.source: oxford_pet, train.epochs: 60}  # of all runs
runs:
  unet-plain: {model: unet, set: {augment.n_aug: 0}, published: 0.7839}
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from segkit.base import params
from segkit.base.errors import InputError, brief, counted, few
from segkit.base.overrides import flattened, with_overrides, with_values
from segkit.base.validation import FROM_LIST, Section, validate
from segkit.base.values import Probability, Seed
from segkit.base.yaml_file import parse_yaml, read_yaml

SOURCES = get_args(params.Data.model_fields["source"].annotation)
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}"  # a part of the name of a git reference
Seeds = Annotated[tuple[Seed, ...], FROM_LIST, Field(min_length=1)]


class Run(Section):
    """One run of the file; ``published``: a score to compare with, as ``pixel_accuracy_batch`` is defined."""

    model: Literal[params.MODEL_NAMES]
    set: dict[str, Any] = Field(default_factory=dict)
    seeds: Seeds | None = None
    published: Probability | None = None


class StudyFile(Section):
    """The whole file."""

    seeds: Seeds = (0,)
    set: dict[str, Any] = Field(default_factory=dict)
    runs: Annotated[dict[str, Run], Field(min_length=1)]


@dataclass(frozen=True)
class Experiment:
    """One training and evaluation, as DVC knows it. ``settings``: the dotted keys that it changes, with their values.
    ``used``: every parameter that its stages depend on."""

    name: str
    model: str
    settings: Mapping[str, Any]
    used: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A run of the file and its experiments, one for each seed."""

    name: str
    model: str
    published: float | None
    settings: Mapping[str, Any]
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True)
class Study:
    """All runs of the file ``path``; ``texts``: what was set for all of them on the command line."""

    name: str
    path: Path
    rows: tuple[Row, ...]
    texts: tuple[str, ...] = ()

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        return tuple(experiment for row in self.rows for experiment in row.experiments)

    def command(self, action: str) -> str:
        """The command that does ``action`` with this study, for advice."""
        settings = [part for text in self.texts for part in ("-S", text)]
        return shlex.join(["python", "-m", "segkit", "study", action, str(self.path), *settings])


def read_study(path: Path, texts: Sequence[str] = (), base: Path = Path("params.yaml")) -> Study:
    """The study of the file ``path`` on top of the parameters of ``base``, with ``texts`` (``train.lr=1e-3``) set for
    all runs.

    Every run's parameters are checked as a whole. Raises InputError that names the faults of the first run that has
    any, or of the file.
    """
    if not path.is_file():
        there = few(sorted(map(str, Path("studies").glob("*.yaml")))) or "none in studies/"
        raise InputError(f"there is no study {brief(path)}; there are: {there}")
    raw, duplicates = read_yaml(path)
    if not raw:
        raise InputError(f"{path} is empty; a study lists runs, see docs/how-to/studies.md")
    if isinstance(raw, dict) and not raw.get("runs", True):
        raise InputError(f"{path}: runs: there are none; name at least one, as in docs/how-to/studies.md")
    _refuse_nested(path, raw)
    try:
        file = validate(StudyFile, raw)
    except ValueError as error:
        duplicates.append(str(error))
    if duplicates:
        raise InputError(f"{path}: {'; '.join(duplicates)}")
    for name in [path.stem, *file.runs]:
        if not re.fullmatch(NAME, name):
            what = "letters a to z, digits, - and _, at most 60 of them"
            raise InputError(f"{path}: {brief(repr(name))} cannot be part of an experiment's name; use {what}")
    params.load(base)  # its own faults first
    unchanged, _ = read_yaml(base)
    extra = dict(map(assignment, texts))
    rows = (
        _row(path, name, run, dict(file.set) | run.set | extra, file.seeds, unchanged)
        for name, run in file.runs.items()
    )
    return Study(path.stem, path, tuple(rows), tuple(texts))


def _refuse_nested(path: Path, raw: Any) -> None:
    """Raise InputError for ``set: {train: {lr: 1e-3}}``: a set names single parameters."""
    runs = raw.get("runs") if isinstance(raw, dict) else None
    places = [raw, *(runs.values() if isinstance(runs, dict) else [])]
    for settings in (place.get("set") for place in places if isinstance(place, dict)):
        for key, value in settings.items() if isinstance(settings, dict) else ():
            if isinstance(value, dict) and value:
                raise InputError(f"{path}: set: {_nested(key, value)}: VALUE")


def _nested(key: str, value: Mapping[str, Any]) -> str:
    return f"{brief(key)} is a section; write {brief(f'{key}.{next(iter(value))}')}"


def assignment(text: str) -> tuple[str, Any]:
    """The key and the value of ``KEY=VALUE``, as they would be in params.yaml."""
    key, equals, written = text.partition("=")
    if not equals or not key:
        raise InputError(f"-S {brief(text)}: write KEY=VALUE, such as train.lr=1e-3")
    value, _ = parse_yaml(written, f"-S {brief(key)}")
    if isinstance(value, dict) and value:
        raise InputError(f"-S {brief(text)}: {_nested(key, value)}=VALUE")
    return key.removeprefix("++").removeprefix("+"), value


def used_by(model: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters (dotted keys) in nested ``raw`` that can change a result of ``model``.

    Not ``runtime``, the other networks and the sources that are not used, and not the addresses of archives: the same
    archives may come from anywhere. What was downloaded is compared by its hash, see ``reading``.
    """
    merged = with_overrides(raw, params.MODEL_NAMES)
    flat = flattened({key: merged.get(key) for key in ("seed", "data", "preprocess", "augment", model, "evaluate")})
    unused = [f"data.{source}." for source in SOURCES if source != flat.get("data.source")]
    return {key: value for key, value in flat.items() if not key.startswith((*unused, "data.oxford_pet.urls"))}


def _row(path: Path, name: str, run: Run, settings: dict[str, Any], common: Seeds, unchanged: dict[str, Any]) -> Row:
    where, seeds = f"{path}: runs.{name}", run.seeds or common
    if "seed" in settings:
        raise InputError(f"{where}: seed is set; list the seeds under 'seeds', such as seeds: [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise InputError(f"{where}: seeds {list(seeds)} has one number twice; remove it")
    for fault in _ineffective(run.model, settings, unchanged):
        raise InputError(f"{where}: {fault}")
    experiments = []
    for seed in seeds:
        own = settings | {"seed": seed}
        try:
            raw = with_values(unchanged, own)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        params.parse(raw, where)
        experiment = f"{path.stem}-{name}-s{seed}"
        experiments.append(Experiment(experiment, run.model, own, used_by(run.model, raw)))
    return Row(name, run.model, run.published, settings, tuple(experiments))


def _ineffective(model: str, settings: Mapping[str, Any], unchanged: Mapping[str, Any]) -> Iterator[str]:
    """A line for each key of ``train`` that the network's own recipe in params.yaml would silently override."""
    own = flattened({model: {"train": unchanged[model].get("train") or {}}})
    for key in settings:
        if key.startswith("train.") and f"{model}.{key}" in own and f"{model}.{key}" not in settings:
            yield f"{key} is set, but params.yaml has {model}.{key}, which overrides it; set {model}.{key} as well"


def summary(study: Study) -> str:
    """``3 runs, 9 experiments``."""
    return f"{counted(len(study.rows), 'run')}, {counted(len(study.experiments), 'experiment')}"
