"""Parameters and data sets small enough for a test, drawn from numbers; nothing is read but params.yaml."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import settings
from PIL import Image
from torch import nn

from segkit.augment.plan import make_plan, write_plan
from segkit.base import params
from segkit.base.params import Augment, Combine, Folder, FolderSplit, Loss, Params, Preprocess
from segkit.dataset.preprocess import preprocess
from segkit.training.loop import Engine
from segkit.training.losses import WeightedLoss

ROOT = Path(__file__).resolve().parents[1]

# Other work may share the machine: how long an example takes says nothing.
few = settings(deadline=None, max_examples=30)
many = settings(deadline=None, max_examples=100)


@pytest.fixture(autouse=True)
def quiet_torch():
    """For a conftest: one thread, which small tensors like best; torch's global switches restored afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@cache
def _params_yaml() -> dict[str, Any]:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in params.MODEL_NAMES:
        raw[name]["train"] = {}
    return raw


def raw_params() -> dict[str, Any]:
    """params.yaml as nested dicts, free to change, without the models' own recipes."""
    return deepcopy(_params_yaml())


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """``raw_params()`` with keys such as ``"train.lr"`` set."""
    raw = raw_params()
    for path, value in changes.items():
        *sections, key = path.split(".")
        section = raw
        for name in sections:
            section = section[name]
        section[key] = value
    return raw


def spelled(path: str, spelling: str) -> str:
    """The text of a params.yaml with this spelling of the value of ``"train.lr"`` or another key."""
    return yaml.safe_dump(changed({path: "HERE"})).replace("HERE", spelling)


# A plain recipe, whatever the defaults are.
PLAIN = {
    "augment.n_aug": 1,
    "augment.originals": "keep",
    "augment.min_samples": 0,
    "train.loss.dice": 0.0,
    "train.schedule": "constant",
    "train.warmup": 0.0,
    "train.select": "loss",
    "train.patience": 7,
}


def small_params(**changes: Any) -> Params:
    """Parameters for a training of seconds on the CPU; ``train__lr=1`` sets ``train.lr``."""
    small = {
        "preprocess.size": 32,
        "unet.width": 4,
        "train.epochs": 2,
        "train.batch_size": 4,
        "train.lr": 0.001,
        "train.precision": "fp32",
        "runtime.device": "cpu",
        "runtime.workers": 1,
    }
    return params.parse(changed(PLAIN | small | {path.replace("__", "."): value for path, value in changes.items()}))


def options(size: tuple[int, int] = (32, 32), **changes: Any) -> Preprocess:
    """The ``preprocess`` section."""
    defaults = {
        "resize": "stretch",
        "normalize": "image",
        "border": "foreground",
        "valid_every": 10,
        "on_bad": "fail",
        "on_empty": "fail",
        "on_suspect": "fail",
        "on_duplicate": "report",
    }
    return Preprocess(size=size, **defaults | changes)


def own_folder(images: Path, masks: Path, **changes: Any) -> Folder:
    """The ``data.folder`` section."""
    defaults = {
        "match": "auto",
        "split": FolderSplit(test=0.2, valid=0.1),
        "group": "",
        "pages": "first",
        "foreground": "auto",
        "ignore": (),
        "range": "auto",
    }
    return Folder(images=str(images), masks=str(masks), **defaults | changes)


# Of the report: what the others do is tested by themselves.
COMBINE = Combine(
    flip=0.5,
    rotation=10.0,
    scale=0.0,
    stretch=0.0,
    shear=0.0,
    shift=0.03,
    light=0.2,
    light_probability=0.5,
    colour=0.0,
    gamma=0.0,
    blur=0.0,
    blur_probability=0.1,
    noise=0.0,
    noise_probability=0.1,
)


def augmentation(kind: str, n_aug: int, originals: str = "keep", **changes: float) -> Augment:
    """The ``augment`` section."""
    return Augment(
        type=kind, n_aug=n_aug, originals=originals, min_samples=0, combine=COMBINE.model_copy(update=changes)
    )


def engine(model: nn.Module, optimizer: torch.optim.Optimizer | None = None, **changes: Any) -> Engine:
    """An engine on the CPU with cross-entropy and a rate that stays what the optimizer's is."""
    rate = optimizer.param_groups[0]["lr"] if optimizer else 0.0
    loss = WeightedLoss.of(Loss(cross_entropy=1.0, dice=0.0))
    fields = {"loss": loss, "learning_rate": lambda epochs: rate, "device": torch.device("cpu"), "precision": "fp32"}
    return Engine(model=model, optimizer=optimizer, **fields | changes)


def usable(model: str, architecture: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The least metadata that a checkpoint can be used with, and ``more``."""
    needed = {
        "model": model,
        "architecture": architecture,
        "input_size": [32, 32],
        "normalize": {"kind": "image", "mean": [], "std": []},
        "threshold": 0.5,
        "border": "foreground",
        "valid": {"loss": 0.5},
    }
    return needed | more


def pet(number: int, width: int = 40, height: int = 30) -> tuple[Image.Image, Image.Image]:
    """A warm disc on a cold noisy ground, and its trimap: 1 disc, 3 rim, 2 ground."""
    numbers = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    centre_x, centre_y = numbers.uniform(0.35, 0.65, 2) * (width, height)
    distance = np.hypot(x - centre_x, y - centre_y) / (0.3 * min(width, height))
    pixels = np.where((distance < 1)[..., None], (220, 140, 60), (30, 60, 120)) + numbers.integers(
        0, 30, (height, width, 3)
    )
    trimap = np.select([distance < 0.8, distance < 1], [1, 3], 2)
    return Image.fromarray(pixels.astype(np.uint8)), Image.fromarray(trimap.astype(np.uint8))


class RawSet:
    """A data set in the layout of Oxford-IIIT Pet: PNG pictures, named .jpg, and trimaps."""

    def __init__(self, folder: Path, trainval: int = 0, test: int = 0) -> None:
        self.folder = folder
        self.lists: dict[str, list[str]] = {"trainval": [], "test": []}
        (folder / "images").mkdir(parents=True)
        (folder / "annotations" / "trimaps").mkdir(parents=True)
        (folder / "annotations" / "list.txt").touch()
        for number in range(trainval + test):
            split = "trainval" if number < trainval else "test"
            self.add(
                split, f"{'cat' if number % 2 else 'big_dog'}_{number}", *pet(number, 36 + number % 5, 30 + number % 3)
            )

    def add(self, split: str, name: str, picture: Image.Image, trimap: Image.Image) -> None:
        picture.save(self.picture(name), format="PNG")
        trimap.save(self.mask(name))
        self.list(split, name)

    def list(self, split: str, name: str) -> None:
        self.lists[split].append(name)
        for file_name, names in self.lists.items():
            lines = "".join(f"{name} 1 1 1\n" for name in names)
            (self.folder / "annotations" / f"{file_name}.txt").write_text(lines, encoding="utf-8")

    def picture(self, name: str) -> Path:
        return self.folder / "images" / f"{name}.jpg"

    def mask(self, name: str) -> Path:
        return self.folder / "annotations" / "trimaps" / f"{name}.png"


def make_project(
    folder: Path, trainval: int = 14, test: int = 5, n_aug: int = 1, size: tuple[int, int] = (32, 32), **changes: str
) -> RawSet:
    """Raw, processed and augmented data where the stages leave them: ``folder/data``."""
    raw = RawSet(folder / "data/raw", trainval, test)
    summary = preprocess(raw.folder, folder / "data/processed", options(size, **changes), workers=1)
    plan = make_plan(summary["splits"]["train"]["images"], augmentation("combine", n_aug))
    write_plan(folder / "data/augmented/plan.csv", plan)
    return raw
