"""The typed view of params.yaml: read once, checked as a whole, frozen.

Every hyperparameter stands in params.yaml, so no key has a hidden default here. All faults are reported
together, each with its full path, and an unknown key with the nearest valid name.
"""

import dataclasses
import difflib
import math
import re
import sys
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml

from segkit.errors import InputError


@dataclass(frozen=True)
class Within:
    """The closed interval a number must lie in; ``above`` is an open lower end instead."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf

    def fault(self, value: float) -> str | None:
        """What is wrong with ``value``, or None."""
        if self.low <= value <= self.high and value > self.above:
            return None
        bounds = [f"at least {self.low:g}"] if self.low > -math.inf else []
        bounds += [f"above {self.above:g}"] if self.above > -math.inf else []
        bounds += [f"at most {self.high:g}"] if self.high < math.inf else []
        return f"must be {' and '.join(bounds)}, not {value!r}"


PositiveInt = Annotated[int, Within(low=1, high=2**31 - 1)]
Seed = Annotated[int, Within(low=0, high=2**63 - 1)]


class Size(tuple):
    """``(height, width)`` in pixels, written in YAML as one int or as ``[height, width]``."""


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
    """``preprocess``: network input size, what the trimap's border becomes, what to do with bad files."""

    size: Size
    normalize: Literal["image", "dataset", "imagenet"]
    border: Literal["foreground", "background", "ignore"]
    on_bad: Literal["fail", "skip"]


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

    device: str
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


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads ``1e-4`` as a string; this loader reads it as the float that everybody means."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check ``path``.

    Raises InputError that names every fault: unreadable file, YAML error, unknown or missing key, wrong
    type, impossible value.
    """
    path = Path(path)
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run from the repository's root, or 'git checkout {path}'") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no text, or no such date
        raise InputError(f"{path} cannot be read: {error}") from None
    return parse(raw, str(path))


def parse(raw: Any, where: str = "params.yaml") -> Params:
    """Check a nested dict and return it as ``Params``; raises InputError with all faults in one line."""
    faults: list[str] = []
    params = _read(Params, _with_overrides(raw), "", faults)
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


def _read(kind: Any, value: Any, path: str, faults: list[str]) -> Any:
    """Turn ``value`` into ``kind``; append what is wrong to ``faults`` and then return None."""
    if dataclasses.is_dataclass(kind):
        return _read_section(kind, value, path, faults)
    if get_origin(kind) is Annotated:
        base, *limits = get_args(kind)
        value = _read(base, value, path, faults)
        if value is not None:
            faults += [f"{path}: {fault}" for limit in limits if (fault := limit.fault(value))]
        return value
    if get_origin(kind) is Literal:
        if value in get_args(kind) and isinstance(value, str):
            return value
        near = difflib.get_close_matches(str(value), get_args(kind), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        faults.append(f"{path}: must be one of {', '.join(get_args(kind))}, not {value!r}{hint}")
    elif get_origin(kind) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        faults.append(f"{path}: must be a list of texts, not {value!r}")
    elif kind is Size:
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) == 2 and all(type(side) is int and 16 <= side <= 8192 for side in sides):
            return Size(sides)
        faults.append(f"{path}: must be an int from 16 to 8192 or [height, width] of such, not {value!r}")
    elif kind is float:
        if type(value) in (int, float) and abs(value) <= sys.float_info.max:
            return float(value)
        faults.append(f"{path}: must be a finite number, not {value!r}")
    elif type(value) is kind:
        return value
    else:
        faults.append(f"{path}: must be {_NAMES[kind]}, not {value!r}")
    return None


_NAMES = {int: "a whole number", bool: "true or false", str: "a text"}


def _read_section(kind: type, value: Any, path: str, faults: list[str]) -> Any:
    if not isinstance(value, dict):
        faults.append(f"{path or 'the file'}: must be a mapping of keys, not {value!r}")
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    prefix = f"{path}." if path else ""
    for key in value:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, 1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"valid keys are {', '.join(hints)}"
            faults.append(f"{prefix}{key}: unknown key; {hint}")
    fields = {}
    for key, field_kind in hints.items():
        if key in value:
            fields[key] = _read(field_kind, value[key], prefix + key, faults)
        else:
            faults.append(f"{prefix}{key}: missing")
    return kind(**fields) if len(fields) == len(hints) else None


def as_dict(section: Any) -> dict[str, Any]:
    """A section as plain JSON types, for metadata."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(section).items()
    }
