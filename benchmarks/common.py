"""What the benchmarks share: a packed copy of real pictures, an engine, clocks, and how results are written."""

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from segkit import params as parameters
from segkit.data.augment import augment
from segkit.data.batches import TrainingBatches
from segkit.data.normalize import Normalizer
from segkit.data.packed import open_split, read_summary
from segkit.data.plan import read_plan
from segkit.data.preprocess import preprocess
from segkit.files import write_json
from segkit.params import Params
from segkit.schema import Size
from segkit.training import bench
from segkit.training.device import keep_freed_memory
from segkit.training.loop import Engine
from segkit.workspace import cores


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
            read_plan(self.folder / "augmented" / "plan.csv", len(training)),
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
    """``params.yaml`` with another picture size and, where given, learning rate; on the CPU, as what it is compared
    with."""
    params = parameters.load()
    params = replace(params, runtime=replace(params.runtime, device="cpu"))
    preprocess_options = replace(params.preprocess, size=Size((size, size)))
    models = {
        name: replace(section, train=replace(section.train, lr=lr or section.train.lr))
        for name in parameters.MODEL_NAMES
        if (section := getattr(params, name))
    }
    return replace(params, preprocess=preprocess_options, **models)


def make_project(raw: Path, folder: Path, params: Params) -> Project:
    """Pack ``raw``, which lies in the layout of Oxford-IIIT Pet, and plan its augmentation."""
    preprocess(raw, folder / "processed", params.preprocess)
    augment(folder / "processed", folder / "augmented", params.augment, params.seed)
    return Project(folder, params)


def make_engine(name: str, params: Params, keep_memory: bool = True) -> Engine:
    """A fresh network as its stage trains it."""
    if keep_memory:
        keep_freed_memory()
    return bench.make_engine(name, params)


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes by the clock."""
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
