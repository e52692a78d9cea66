"""The typed view of params.yaml: read once, checked as a whole, frozen.

Every hyperparameter stands in params.yaml, so no key has a hidden default here. All faults are reported
together, each with its full path, and an unknown key with the nearest valid name.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from segkit.errors import InputError
from segkit.schema import Count, Loader, Matching, Size, Within, read

PositiveInt = Annotated[int, Within(low=1, high=2**31 - 1)]
Seed = Annotated[int, Within(low=0, high=2**63 - 1)]


@dataclass(frozen=True)
class Synthetic:
    """``data.synthetic``: how many procedural pictures, how large, how many of them for the test set."""

    samples: Annotated[int, Within(low=20, high=1_000_000)]
    test_share: Annotated[float, Within(above=0, high=0.9)]
    min_side: Annotated[int, Within(low=48, high=4096)]
    max_side: Annotated[int, Within(low=48, high=4096)]


@dataclass(frozen=True)
class OxfordPet:
    """``data.oxford_pet``: base addresses of the two archives, tried in order."""

    urls: tuple[str, ...]


@dataclass(frozen=True)
class Folder:
    """``data.folder``: a folder of pictures and a folder of masks whose names match without the ending."""

    images: str
    masks: str


@dataclass(frozen=True)
class Data:
    """``data``: where the pictures come from."""

    source: Literal["synthetic", "oxford_pet", "folder"]
    synthetic: Synthetic
    oxford_pet: OxfordPet
    folder: Folder


@dataclass(frozen=True)
class Preprocess:
    """``preprocess``: network input size, what the trimap's border becomes, what to do with files that cannot be used,
    masks without foreground, and pictures that are in two splits."""

    size: Size
    normalize: Literal["image", "dataset", "imagenet"]
    border: Literal["foreground", "background", "ignore"]
    on_bad: Literal["fail", "skip"]
    on_empty: Literal["fail", "skip", "keep"]
    on_duplicate: Literal["report", "skip", "fail"]


@dataclass(frozen=True)
class Augment:
    """``augment``: which transform the ``n_aug`` copies of the training set get."""

    type: Literal["combine", "flip"]
    n_aug: Annotated[int, Within(low=0, high=1000)]


@dataclass(frozen=True)
class Train:
    """``train``: the recipe; ``MODEL.train`` overrides single keys of it for one model."""

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: Annotated[float, Within(above=0, high=10)]
    weight_decay: Annotated[float, Within(low=0, high=10)]
    patience: PositiveInt
    precision: Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class UNet:
    """``unet``: channels of the first level; the recipe with this model's overrides applied."""

    width: Annotated[int, Within(low=1, high=1024)]
    train: Train


@dataclass(frozen=True)
class ResNet34UNet:
    """``resnet34_unet``: ImageNet weights for the encoder or not; the recipe with overrides applied."""

    pretrained: bool
    train: Train


@dataclass(frozen=True)
class Evaluate:
    """``evaluate``: foreground probability from which a pixel is predicted as foreground."""

    threshold: Annotated[float, Within(above=0, high=1)]


@dataclass(frozen=True)
class Runtime:
    """``runtime``: what changes no result beyond rounding, and no stage depends on."""

    device: Annotated[str, Matching(r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, mps, cuda or cuda:N")]
    devices: Count
    workers: Annotated[int, Within(low=0, high=1024)]


@dataclass(frozen=True)
class Params:
    """All of params.yaml."""

    seed: Seed
    data: Data
    preprocess: Preprocess
    augment: Augment
    train: Train
    unet: UNet
    resnet34_unet: ResNet34UNet
    evaluate: Evaluate
    runtime: Runtime


MODEL_NAMES = ("unet", "resnet34_unet")


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check ``path``.

    Raises InputError that names every fault: unreadable file, YAML error, unknown or missing key, wrong
    type, impossible value.
    """
    path = Path(path)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run from the repository's root, or 'git checkout {path}'") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no text, or no such date
        raise InputError(f"{path} cannot be read: {error}") from None
    return parse(raw, str(path))


def parse(raw: Any, where: str = "params.yaml") -> Params:
    """Check a nested dict and return it as ``Params``; raises InputError with all faults in one line."""
    faults: list[str] = []
    params = read(Params, _with_overrides(raw), "", faults)
    faults = [fault for fault in faults if not _is_inherited(fault, raw)]
    if not faults:
        faults += _inconsistencies(params)
    if faults:
        raise InputError(f"{where}: {'; '.join(faults)}")
    return params


def _with_overrides(raw: Any) -> Any:
    """Fill each model's ``train`` with the common recipe, so that the model's own keys win."""
    if not isinstance(raw, dict) or not isinstance(raw.get("train"), dict):
        return raw
    merged = dict(raw)
    for name in MODEL_NAMES:
        model = raw.get(name)
        if isinstance(model, dict) and isinstance(model.get("train"), dict | None):
            merged[name] = model | {"train": raw["train"] | (model.get("train") or {})}
    return merged


def _is_inherited(fault: str, raw: Any) -> bool:
    """Whether the fault shows at MODEL.train only because the common recipe, reported as well, has it."""
    model, _, rest = fault.partition(".train.")
    if model not in MODEL_NAMES or not rest:
        return False
    return not any(rest.startswith(f"{key}: ") for key in raw[model].get("train") or {})


def _inconsistencies(params: Params) -> list[str]:
    """Faults that show only between keys."""
    faults = []
    if params.augment.type == "flip" and params.augment.n_aug > 2:
        faults.append(
            f"augment.n_aug: flip makes at most 2 copies (horizontal, vertical), not {params.augment.n_aug}; "
            "lower it or set augment.type to combine"
        )
    if params.data.synthetic.min_side > params.data.synthetic.max_side:
        faults.append("data.synthetic.min_side: must not exceed data.synthetic.max_side")
    if params.data.source == "folder" and not (params.data.folder.images and params.data.folder.masks):
        faults.append("data.folder: set images and masks to the two folders")
    if params.data.source == "oxford_pet" and not params.data.oxford_pet.urls:
        faults.append("data.oxford_pet.urls: needs at least one address")
    return faults


def as_dict(section: Any) -> dict[str, Any]:
    """A section as plain JSON types, for metadata."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(section).items()
    }
