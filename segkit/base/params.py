"""The typed view of params.yaml: read once, checked as a whole, frozen.

Every hyperparameter stands in params.yaml, so no key has a hidden default here. All faults are reported
together, each with its full path, and an unknown key with the nearest valid name.

A network, a source, a loss term, a learning-rate schedule, an optimizer and a random transform are registered here and
nowhere else: the name of its key (or one of the names its key allows) is the name of its module or function.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from segkit.base.errors import InputError
from segkit.base.schema import Count, Matching, Size, Within, read, read_text, read_yaml

MAX_FAULTS = 20  # named in one message

PositiveInt = Annotated[int, Within(low=1, high=2**31 - 1)]
Seed = Annotated[int, Within(low=0, high=2**63 - 1)]
Width = Annotated[int, Within(low=1, high=1024)]
Share = Annotated[float, Within(above=0, high=0.9)]
Probability = Annotated[float, Within(low=0, high=1)]
Weight = Annotated[float, Within(low=0, high=1000)]
Threshold = Annotated[float, Within(above=0, high=1)]
Normalization = Literal["image", "dataset", "imagenet"]
Border = Literal["foreground", "background", "ignore"]


@dataclass(frozen=True)
class Synthetic:
    """``data.synthetic``: how many procedural pictures, how large, how many of them for the test set."""

    samples: Annotated[int, Within(low=20, high=1_000_000)]
    test_share: Share
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
    test_share: Share


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
    valid_every: Annotated[int, Within(low=2, high=1000)]
    on_bad: Literal["fail", "skip"]
    on_empty: Literal["fail", "skip", "keep"]
    on_duplicate: Literal["report", "skip", "fail"]


@dataclass(frozen=True)
class Combine:
    """``augment.combine``: how far each random transform goes, in the order in which they are applied; 0 turns one off.

    Each is a function of its name in ``segkit.augment.transforms``; ``light_probability`` belongs to ``light``.
    """

    flip: Probability
    rotation: Annotated[float, Within(low=0, high=180)]
    shift: Annotated[float, Within(low=0, high=1)]
    light: Annotated[float, Within(low=0, high=1)]
    light_probability: Probability


@dataclass(frozen=True)
class Augment:
    """``augment``: which transform the ``n_aug`` copies of the training set get."""

    type: Literal["combine", "flip"]
    n_aug: Annotated[int, Within(low=0, high=1000)]
    combine: Combine

    def faults(self) -> list[str]:
        """What contradicts itself."""
        if self.type == "flip" and self.n_aug is not None and self.n_aug > 2:
            return [
                f"n_aug: flip makes at most 2 copies (horizontal, vertical), not {self.n_aug}; lower it or set "
                "augment.type to combine"
            ]
        return []


@dataclass(frozen=True)
class Loss:
    """``train.loss``: the weight of each term, a function of its name in ``segkit.training.losses``."""

    cross_entropy: Weight
    dice: Weight

    def faults(self) -> list[str]:
        """A loss without terms."""
        return ["cross_entropy: one term at least needs a weight above 0"] if set(vars(self).values()) == {0} else []


@dataclass(frozen=True)
class Train:
    """``train``: the recipe; ``MODEL.train`` overrides single keys of it for one model."""

    epochs: PositiveInt
    batch_size: PositiveInt
    loss: Loss
    optimizer: Literal["adamw"]
    schedule: Literal["constant", "cosine"]
    lr: Annotated[float, Within(above=0, high=10)]
    weight_decay: Annotated[float, Within(low=0, high=10)]
    patience: PositiveInt
    precision: Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Network:
    """The section of a network: what it is built from, and the recipe with this network's overrides applied."""

    train: Train

    @classmethod
    def architecture(cls) -> dict[str, Any]:
        """Names and kinds of the arguments that ``segkit.models.build`` needs to build it again."""
        hints = get_type_hints(cls, include_extras=True)
        return {key: kind for key, kind in hints.items() if key not in ("train", "pretrained")}


@dataclass(frozen=True)
class UNet(Network):
    """``unet``: channels of the first level."""

    width: Width


@dataclass(frozen=True)
class ResNet34UNet(Network):
    """``resnet34_unet``: ImageNet weights for the encoder or not."""

    pretrained: bool


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


NETWORKS: dict[str, type[Network]] = {
    name: kind for name, kind in get_type_hints(Params).items() if issubclass(kind, Network)
}
MODEL_NAMES = tuple(NETWORKS)


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check ``path``.

    Raises InputError that names every fault: unreadable or empty file, YAML error, key that stands twice, unknown or
    missing key, wrong type, impossible value.
    """
    path = Path(path)
    faults: list[str] = []
    try:
        raw = read_yaml(read_text(path), faults)
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if raw is None:
        raise InputError(f"{path} is empty; get it back with 'git checkout {path}'")
    return parse(raw, str(path), faults)


def parse(raw: Any, where: str = "params.yaml", faults: list[str] | None = None) -> Params:
    """Check a nested dict and return it as ``Params``; raises InputError with all faults in one line, those that the
    caller found before included."""
    found: list[str] = []
    params = read(Params, _with_overrides(raw), "", found)
    found = [*(faults or []), *(fault for fault in found if not _is_inherited(fault, raw, found))]
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
            merged[name] = model | {"train": _merged(raw["train"], model.get("train") or {})}
    return merged


def _merged(common: dict, own: dict) -> dict:
    """``common`` with the keys of ``own``, section by section."""
    merged = common | own
    for key in common.keys() & own.keys():
        if isinstance(common[key], dict) and isinstance(own[key], dict):
            merged[key] = _merged(common[key], own[key])
    return merged


def _is_inherited(fault: str, raw: Any, faults: list[str]) -> bool:
    """Whether the fault shows at MODEL.train only because the common recipe, reported as well, has it."""
    model, _, rest = fault.partition(".train.")
    if model not in MODEL_NAMES or not rest:
        return False
    path, own = rest.partition(": ")[0].split("."), raw[model].get("train") or {}
    common = f"train.{path[0]}"
    while path and isinstance(own, dict) and path[0] in own:
        own = own[path.pop(0)]
    return bool(path) and any(other.startswith(("train: ", f"{common}: ", f"{common}.")) for other in faults)


def recipe_key(params: Params, model: str, key: str) -> str:
    """Where ``key`` of a model's recipe stands in params.yaml, for advice: in its own section if it differs there."""
    own = getattr(getattr(params, model).train, key) != getattr(params.train, key)
    return f"{model}.train.{key}" if own else f"train.{key}"


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
