"""The typed view of params.yaml: read once, checked as a whole, frozen.

Every hyperparameter is in params.yaml, so no key has a hidden default here. All faults are reported together, each with
its full path, and an unknown key with the nearest valid name.

Networks, sources, loss terms, learning-rate schedules, optimizers and random transforms are registered only here: a
key, or one of the values that it allows, is the name of a module or function.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, create_model, field_validator, model_validator

from segkit.base.errors import InputError
from segkit.base.overrides import is_inherited, with_overrides
from segkit.base.validation import FROM_LIST, MAX_FAULTS, Section, require, validate
from segkit.base.values import (
    Border,
    Device,
    Devices,
    FolderOrAuto,
    Foreground,
    GroupPattern,
    MaskValues,
    MatchPattern,
    Norm,
    Normalization,
    PositiveInt,
    Pretrained,
    Probability,
    Range,
    Resize,
    Seed,
    Share,
    ShareOrList,
    Size,
    Text,
    Threshold,
    Tta,
    Weight,
    Width,
)
from segkit.base.yaml_file import read_yaml


class Synthetic(Section):
    """``data.synthetic``: number and size of the synthetic images, and the fraction in the test set."""

    samples: Annotated[int, Field(ge=20, le=1_000_000)]
    test_share: Share
    min_side: Annotated[int, Field(ge=48, le=4096)]
    max_side: Annotated[int, Field(ge=48, le=4096)]

    @field_validator("max_side")
    @classmethod
    def _not_below_min_side(cls, value: int, info: ValidationInfo) -> int:
        return require(value >= info.data.get("min_side", value), value, "must not be below min_side")


class OxfordPet(Section):
    """``data.oxford_pet``: base addresses of the two archives, tried in order."""

    urls: Annotated[tuple[Text, ...], FROM_LIST]


class FolderSplit(Section):
    """``data.folder.split``: fractions of the images, or files in the folder of images that list names."""

    test: ShareOrList
    valid: ShareOrList

    @field_validator("valid")
    @classmethod
    def _leaves_a_training_set(cls, value: float | str, info: ValidationInfo) -> float | str:
        shares = [share for share in (info.data.get("test"), value) if not isinstance(share, str | None)]
        return require(sum(shares) <= 0.9, value, "test and valid together must be at most 0.9; lower one of them")


class Folder(Section):
    """``data.folder``: a folder of images and a folder of masks, how they match and how they are read.

    ``match``: ``auto`` or a pattern. ``group``: a regular expression whose group names the patient, the stack, or
    whatever must stay within one split. ``foreground``, ``ignore``: values of masks. ``range``: values of images that
    become black and white, for images of more than 8 bits.
    """

    images: Text
    masks: Text
    match: MatchPattern
    split: FolderSplit
    group: GroupPattern
    pages: Literal["first", "all"]
    foreground: Foreground
    ignore: MaskValues
    range: Range


class Data(Section):
    """``data``: the source of the images, and the list of samples to leave out."""

    source: Literal["synthetic", "oxford_pet", "folder"]
    synthetic: Synthetic
    oxford_pet: OxfordPet
    folder: Folder
    exclude: Text

    @field_validator("oxford_pet")
    @classmethod
    def _has_addresses(cls, value: OxfordPet, info: ValidationInfo) -> OxfordPet:
        return require(value.urls or info.data.get("source") != "oxford_pet", value, "urls needs at least one address")

    @field_validator("folder")
    @classmethod
    def _has_folders(cls, value: Folder, info: ValidationInfo) -> Folder:
        complete = value.images and value.masks
        return require(
            complete or info.data.get("source") != "folder", value, "set images and masks to the two folders"
        )


class Preprocess(Section):
    """``preprocess``: network input size, how images are brought to it, what the trimap's border becomes, what to do
    with files that cannot be used, masks without foreground, masks that look reversed, and images that are in two
    splits."""

    size: Size
    resize: Resize
    normalize: Normalization
    border: Border
    valid_every: Annotated[int, Field(ge=2, le=1000)]
    on_bad: Literal["fail", "skip"]
    on_empty: Literal["fail", "skip", "keep"]
    on_suspect: Literal["fail", "report"]
    on_duplicate: Literal["report", "skip", "fail"]


class Combine(Section):
    """``augment.combine``: strength of each random transform, in the order in which they are applied; 0 turns one off.

    Each is a function of its name in ``segkit.augment.transforms``; ``NAME_probability`` belongs to ``NAME``.
    """

    flip: Probability
    rotation: Annotated[float, Field(ge=0, le=180)]
    scale: Annotated[float, Field(ge=0, le=9)]
    stretch: Annotated[float, Field(ge=0, le=9)]
    shear: Annotated[float, Field(ge=0, le=60)]
    shift: Annotated[float, Field(ge=0, le=1)]
    light: Annotated[float, Field(ge=0, le=1)]
    light_probability: Probability
    colour: Annotated[float, Field(ge=0, le=1)]
    gamma: Annotated[float, Field(ge=0, le=3)]
    blur: Annotated[float, Field(ge=0, le=0.2)]
    blur_probability: Probability
    noise: Annotated[float, Field(ge=0, le=1)]
    noise_probability: Probability


class Augment(Section):
    """``augment``: how the training set and its ``n_aug`` copies are transformed; the fewest samples of an epoch."""

    type: Literal["combine", "flip"]
    n_aug: Annotated[int, Field(ge=0, le=1000)]
    originals: Literal["keep", "augment"]
    min_samples: Annotated[int, Field(ge=0, le=1_000_000)]
    combine: Combine

    @field_validator("n_aug")
    @classmethod
    def _flips_exist(cls, value: int, info: ValidationInfo) -> int:
        fault = f"flip makes at most 2 copies (horizontal, vertical), not {value}; lower it or set type to combine"
        return require(value <= 2 or info.data.get("type") != "flip", value, fault)


class Loss(Section):
    """``train.loss``: the weight of each term, a function of its name in ``segkit.training.losses``."""

    cross_entropy: Weight
    dice: Weight

    @model_validator(mode="after")
    def _has_a_term(self) -> Self:
        return require(any(vars(self).values()), self, "at least one term needs a weight above 0")


class Train(Section):
    """``train``: the recipe; ``MODEL.train`` overrides single keys of it for one model."""

    epochs: PositiveInt
    batch_size: PositiveInt
    loss: Loss
    optimizer: Literal["adamw"]
    schedule: Literal["constant", "cosine"]
    warmup: Annotated[float, Field(ge=0, le=0.5)]
    small_images: Annotated[float, Field(ge=0, le=1)]
    lr: Annotated[float, Field(gt=0, le=10)]
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    select: Literal["loss", "dice"]
    patience: PositiveInt
    precision: Literal["auto", "fp32", "bf16"]


class Network(Section):
    """The section of a network: what it is built from, and the recipe with this network's overrides applied."""

    train: Train
    training_only: ClassVar[tuple[str, ...]] = ("train",)  # keys that it is trained with, and not built from
    earlier: ClassVar[dict[str, Any]] = {}  # of checkpoints from before there was a key: what it would have been

    @classmethod
    def architecture(cls) -> type[Section]:
        """The arguments of ``segkit.models.build``, as a section of their own."""
        fields = {name: field for name, field in cls.model_fields.items() if name not in cls.training_only}
        kinds = {name: (field.annotation, field) for name, field in fields.items()}
        return create_model("Architecture", __base__=Section, **kinds)


class UNet(Network):
    """``unet``: channels of the first level, and the normalisation after each 3×3 convolution."""

    earlier: ClassVar[dict[str, Any]] = {"norm": "none"}
    width: Width
    norm: Norm


class ResNet34UNet(Network):
    """``resnet34_unet``: whether the encoder starts from ImageNet weights or from those of a file, and the factor for
    its learning rate; 0 freezes its weights."""

    training_only: ClassVar[tuple[str, ...]] = ("train", "pretrained", "encoder_lr")
    earlier: ClassVar[dict[str, Any]] = {"bridge": 256}
    bridge: Width
    pretrained: Pretrained
    encoder_lr: Annotated[float, Field(ge=0, le=1000)]


class Evaluate(Section):
    """``evaluate``: foreground probability from which a pixel is predicted as foreground, and test-time augmentation:
    ``flip`` is the mean over an image and its mirror image."""

    threshold: Threshold
    tta: Tta


class Runtime(Section):
    """``runtime``: settings that change no result beyond rounding; no stage depends on them."""

    device: Device
    devices: Devices
    workers: Annotated[int, Field(ge=0, le=1024)]
    save_every_seconds: Annotated[float, Field(gt=0, le=1e9)]
    weights_dir: FolderOrAuto


class Params(Section):
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
    name: field.annotation for name, field in Params.model_fields.items() if issubclass(field.annotation, Network)
}
MODEL_NAMES = tuple(NETWORKS)


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check ``path``; raises InputError that names every fault."""
    path = Path(path)
    raw, duplicates = read_yaml(path)
    if raw is None:
        raise InputError(f"{path} is empty; restore it with 'git checkout {path}'")
    return parse(raw, str(path), duplicates)


def parse(raw: Any, where: str = "params.yaml", faults: Sequence[str] = ()) -> Params:
    """Check a nested dict and return it as ``Params``.

    Raises InputError with all faults in one line: duplicate keys (``faults``), unknown and missing keys, wrong types,
    impossible values.
    """
    more = [f"and {len(faults) - MAX_FAULTS:,} more duplicate keys"] if len(faults) > MAX_FAULTS else []
    params, faults = None, [*faults[:MAX_FAULTS], *more]
    try:
        params = validate(
            Params, with_overrides(raw, MODEL_NAMES), lambda location: is_inherited(location, raw, MODEL_NAMES)
        )
    except ValueError as error:
        faults.append(str(error))
    if faults:
        raise InputError(f"{where}: {'; '.join(faults)}")
    return params


def recipe_key(params: Params, model: str, key: str) -> str:
    """Where ``key`` of a model's recipe is in params.yaml, for advice: in its own section if it differs there."""
    own = getattr(getattr(params, model).train, key) != getattr(params.train, key)
    return f"{model}.train.{key}" if own else f"train.{key}"
