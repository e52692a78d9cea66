"""Shared by the benchmarks: a packed copy of real images, an engine, clocks, and how results are written."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from segkit.augment.plan import read_plan
from segkit.augment.preview import augment
from segkit.base import params as parameters
from segkit.base.errors import InputError
from segkit.base.files import write_json
from segkit.base.packed import open_split, read_summary
from segkit.base.params import Params
from segkit.base.workspace import cores
from segkit.base.yaml_file import read_yaml
from segkit.dataset.catalog import Sample, read_catalog
from segkit.dataset.preprocess import preprocess
from segkit.models.device import choose_device
from segkit.models.normalize import Normalizer
from segkit.training.batches import TrainingBatches
from segkit.training.loop import Engine
from segkit.training.run import build_engine


@dataclass(frozen=True)
class Project:
    """Packed data in ``folder`` and the parameters they were made with."""

    folder: Path
    params: Params

    def batches(self, name: str, device: torch.device) -> TrainingBatches:
        """The training batches of a network, as its stage makes them."""
        training = open_split(self.folder / "processed", "train")
        return TrainingBatches(
            training,
            read_plan(self.folder / "augmented" / "plan.csv", len(training), self.params.augment),
            self.params.augment.combine,
            self.normalizer,
            seed=self.params.seed,
            batch_size=getattr(self.params, name).train.batch_size,
            device=device,
        )

    @property
    def normalizer(self) -> Normalizer:
        """As ``preprocess.normalize`` says."""
        summary = read_summary(self.folder / "processed")
        return Normalizer.from_summary(self.params.preprocess.normalize, summary)


def params_at(size: int, lr: float | None = None) -> Params:
    """``params.yaml`` with another image size and, where given, learning rate; on the CPU, as what it is compared
    with, and without downloaded weights."""
    raw = parameters.load().model_dump()
    raw["preprocess"]["size"], raw["runtime"]["device"], raw["resnet34_unet"]["pretrained"] = size, "cpu", False
    for name in parameters.MODEL_NAMES:
        raw[name]["train"]["lr"] = lr or raw[name]["train"]["lr"]
    return Params(**raw)


def params_with(settings: dict[str, Any], texts: Sequence[str] = ()) -> Params:
    """``params.yaml`` with the keys of ``settings`` (``"train.lr": 0.001``) and then of ``texts`` (``train.lr=1e-3``);
    raises InputError for an unknown key or an impossible value."""
    raw, duplicates = read_yaml(Path("params.yaml"))
    for path, value in [*settings.items(), *map(_assignment, texts)]:
        *sections, key = path.split(".")
        place = raw
        for name in sections:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise InputError(f"{path}: params.yaml has no section {'.'.join(sections)!r}")
        place[key] = value
    return parameters.parse(raw, "params.yaml with the settings given", duplicates)


def _assignment(text: str) -> tuple[str, Any]:
    path, equals, written = text.partition("=")
    if not equals:
        raise InputError(f"{text}: write KEY=VALUE, such as train.lr=1e-3")
    value = yaml.safe_load(written)
    with suppress(TypeError, ValueError):  # YAML 1.1 takes 1e-3 for a string
        value = float(value) if isinstance(value, str) else value
    return path, value


def training_samples(raw: Path, params: Params) -> list[Sample]:
    """Those of ``raw`` that the networks are trained on."""
    return [sample for sample in read_catalog(raw, params.preprocess.valid_every) if sample.split == "train"]


def make_project(raw: Path, folder: Path, params: Params) -> Project:
    """Pack ``raw``, in the layout of Oxford-IIIT Pet, and plan its augmentation."""
    preprocess(raw, folder / "processed", params.preprocess)
    augment(folder / "processed", folder / "augmented", params.augment, params.seed)
    return Project(folder, params)


def make_engine(name: str, params: Params) -> Engine:
    """A fresh network as its stage trains it."""
    return build_engine(name, params, choose_device(params.runtime.device))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of ``work`` in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(values: list[float], digits: int = 3) -> float:
    """The median, rounded."""
    return round(statistics.median(values), digits)


def report(result: dict[str, Any], path: Path | None) -> None:
    """Print ``result`` with the machine it was taken on as JSON, and write it where ``path`` says."""
    result["machine"] = {
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(result, indent=2))
    if path:
        write_json(path, result)
