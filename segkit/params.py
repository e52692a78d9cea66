"""The typed view of params.yaml: read once, checked as a whole, frozen.

Every hyperparameter stands in params.yaml, so no key has a hidden default here. All faults are reported
together, each with its full path, and an unknown key with the nearest valid name.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from segkit.errors import InputError
from segkit.schema import Count, Matching, Size, Within, key_name, read, read_yaml

MAX_BYTES = 100_000  # of params.yaml; fifty times what it has
MAX_FAULTS = 20  # named in one message

PositiveInt = Annotated[int, Within(low=1, high=2**31 - 1)]
Seed = Annotated[int, Within(low=0, high=2**63 - 1)]
Width = Annotated[int, Within(low=1, high=1024)]
Threshold = Annotated[float, Within(above=0, high=1)]
Normalization = Literal["image", "dataset", "imagenet"]
Border = Literal["foreground", "background", "ignore"]


@dataclass(frozen=True)
class Synthetic:
    """``data.synthetic``: how many procedural pictures, how large, how many of them for the test set."""

    samples: Annotated[int, Within(low=20, high=1_000_000)]
    test_share: Annotated[float, Within(above=0, high=0.9)]
    min_side: Annotated[int, Within(low=48, high=4096)]
    max_side: Annotated[int, Within(low=48, high=4096)]

    def faults(self) -> list[str]:
        """What contradicts itself."""
        if None not in (self.min_side, self.max_side) and self.min_side > self.max_side:
            return ["min_side: must not exceed max_side"]
        return []


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

    def faults(self) -> list[str]:
        """What the chosen source lacks."""
        if self.source == "folder" and self.folder and "" in (self.folder.images, self.folder.masks):
            return ["folder: set images and masks to the two folders"]
        if self.source == "oxford_pet" and self.oxford_pet and self.oxford_pet.urls == ():
            return ["oxford_pet.urls: needs at least one address"]
        return []


@dataclass(frozen=True)
class Preprocess:
    """``preprocess``: network input size, what the trimap's border becomes, what to do with files that cannot be used,
    masks without foreground, and pictures that are in two splits."""

    size: Size
    normalize: Normalization
    border: Border
    on_bad: Literal["fail", "skip"]
    on_empty: Literal["fail", "skip", "keep"]
    on_duplicate: Literal["report", "skip", "fail"]


@dataclass(frozen=True)
class Augment:
    """``augment``: which transform the ``n_aug`` copies of the training set get."""

    type: Literal["combine", "flip"]
    n_aug: Annotated[int, Within(low=0, high=1000)]

    def faults(self) -> list[str]:
        """What contradicts itself."""
        if self.type == "flip" and self.n_aug is not None and self.n_aug > 2:
            return [
                f"n_aug: flip makes at most 2 copies (horizontal, vertical), not {self.n_aug}; lower it or set "
                "augment.type to combine"
            ]
        return []


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

    width: Width
    train: Train


@dataclass(frozen=True)
class ResNet34UNet:
    """``resnet34_unet``: ImageNet weights for the encoder or not; the recipe with overrides applied."""

    pretrained: bool
    train: Train


@dataclass(frozen=True)
class Evaluate:
    """``evaluate``: foreground probability from which a pixel is predicted as foreground."""

    threshold: Threshold


@dataclass(frozen=True)
class Runtime:
    """``runtime``: what changes no result beyond rounding, and no stage depends on."""

    device: Annotated[str, Matching(r"auto|cpu|mps|cuda(:\d+)?", "auto, cpu, mps, cuda or cuda:N")]
    devices: Count
    workers: Annotated[int, Within(low=0, high=1024)]
    save_every_seconds: Annotated[float, Within(above=0, high=1e9)]


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

    Raises InputError that names every fault: unreadable or empty file, YAML error, key that stands twice, unknown or
    missing key, wrong type, impossible value.
    """
    path = Path(path)
    faults: list[str] = []
    try:
        raw = read_yaml(_text(path), faults)
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if raw is None:
        raise InputError(f"{path} is empty; get it back with 'git checkout {path}'")
    return parse(raw, str(path), faults)


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # to open a pipe would wait for ever
            raise InputError(f"{path} is no file; move it away, then 'git checkout {path}'")
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run from the repository's root, or 'git checkout {path}'") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; mend it, or 'git checkout {path}'") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES:,} bytes; get it back with 'git checkout {path}'")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: byte {error.start} is not UTF-8; save it as UTF-8") from None


def parse(raw: Any, where: str = "params.yaml", faults: list[str] | None = None) -> Params:
    """Check a nested dict and return it as ``Params``; raises InputError with all faults in one line, those that the
    caller found before included."""
    found: list[str] = []
    params = read(Params, _with_overrides(raw), "", found)
    found = [*(faults or []), *(fault for fault in found if not _is_inherited(fault, raw))]
    if len(found) > MAX_FAULTS:
        found[MAX_FAULTS:] = [f"and {len(found) - MAX_FAULTS:,} more faults"]
    if found:
        raise InputError(f"{where}: {'; '.join(found)}")
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
    return not any(rest.startswith(f"{key_name(key)}: ") for key in raw[model].get("train") or {})


def refuse_edited(before: Params, keys: Sequence[str]) -> None:
    """Read params.yaml again; raises InputError where one of the dotted ``keys`` is no longer as in ``before``.

    DVC records parameters after a stage's command, so an edit made meanwhile would make dvc.lock lie.
    """
    after = load() if keys else before
    edited = [key for key in keys if attrgetter(key)(before) != attrgetter(key)(after)]
    if edited:
        raise InputError(
            f"params.yaml: {', '.join(edited)} was edited while this stage ran, so its result belongs to neither "
            "version; run dvc repro again"
        )


def as_dict(section: Any) -> dict[str, Any]:
    """A section as plain JSON types, for metadata."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(section).items()
    }
