"""Types of the values in params.yaml: what each allows, and what its fault says."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator

from segkit.base.errors import brief
from segkit.base.validation import require


def _one_line(text: str) -> str:
    """Reject control characters, which no path, URL or name needs."""
    fault = f"must be one line without control characters, not {brief(repr(text))}"
    return require(not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text), text, fault)


def _size(value: object) -> tuple[int, int]:
    """Height and width in pixels, written as one int or as both."""
    sides = tuple(value) if isinstance(value, list | tuple) else (value, value)
    valid = len(sides) == 2 and all(type(side) is int and 16 <= side <= 8192 for side in sides)
    return require(valid, sides, f"must be an int from 16 to 8192 or [height, width], not {brief(repr(value))}")


def _device(name: str) -> str:
    valid = re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", name)
    return require(valid, name, f"must be auto, cpu, mps, cuda or cuda:N, not {brief(repr(name))}")


def _devices(value: object) -> object:
    valid = value == "auto" or (type(value) is int and 1 <= value <= 1024)
    return require(valid, value, f"must be auto or a whole number from 1 to 1024, not {brief(repr(value))}")


def _pattern(text: str) -> str:
    """``auto``, or how names of masks follow from those of images: ``MASK`` or ``IMAGE -> MASK``."""
    sides = text.split(" -> ")
    valid = text == "auto" or (len(sides) <= 2 and all(side.count("{name}") == 1 for side in sides))
    fault = (
        f"must be auto, or a pattern such as {{name}}_mask or img_{{name}} -> mask_{{name}}, not {brief(repr(text))}"
    )
    return require(valid, text, fault)


def _group(text: str) -> str:
    """A regular expression with one group, or nothing."""
    try:
        groups = re.compile(text).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is not a regular expression ({error}), {brief(repr(text))}") from None
    fault = f"needs exactly one pair of parentheses, around what names the group, not {brief(repr(text))}"
    return require(not text or groups == 1, text, fault)


def _share_or_list(value: object) -> object:
    valid = (isinstance(value, str) and value) or (type(value) in (int, float) and 0 < value <= 0.9)
    fault = f"must be a fraction above 0 and at most 0.9, or a file with one name per line, not {brief(repr(value))}"
    return require(valid, value, fault)


def _mask_values(value: object) -> object:
    """A list of values of masks: numbers, or colours as ``"#rrggbb"``."""
    values = tuple(value) if isinstance(value, list | tuple) else None
    fault = f"must be a list of numbers or of colours such as '#ff0000', not {brief(repr(value))}"
    return require(values is not None and all(map(_is_mask_value, values)), values, fault)


def _is_mask_value(value: object) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch("#[0-9a-f]{6}", value))
    return type(value) in (int, float) and abs(value) < 2**53


def _foreground(value: object) -> object:
    if value in ("auto", "nonzero"):
        return value
    valid = isinstance(value, list | tuple) and value
    return _mask_values(require(valid, value, f"must be auto, nonzero or a list of values, not {brief(repr(value))}"))


def _range(value: object) -> object:
    if value == "auto":
        return value
    ends = tuple(value) if isinstance(value, list | tuple) else ()
    valid = len(ends) == 2 and all(type(end) in (int, float) and abs(end) < 2**53 for end in ends) and ends[0] < ends[1]
    return require(valid, ends, f"must be auto or [darkest, brightest], not {brief(repr(value))}")


def _pretrained(value: object) -> object:
    """A switch, or the path of a file; the ending tells a file from a misspelt switch."""
    if isinstance(value, bool):
        return value
    valid = isinstance(value, str) and re.search(r"[^/]\.safetensors$", value)
    fault = f"must be true, false or the path of a file NAME.safetensors, not {brief(repr(value))}"
    return _one_line(require(valid, value, fault))


def _folder_or_auto(text: str) -> str:
    return require(text.strip(), text, "must be auto or a folder, not empty")


PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Width = Annotated[int, Field(ge=1, le=1024)]
Share = Annotated[float, Field(gt=0, le=0.9)]
Probability = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Threshold = Annotated[float, Field(gt=0, le=1)]
Normalization = Literal["image", "dataset", "imagenet"]
Norm = Literal["none", "batch"]
Tta = Literal["none", "flip"]
Border = Literal["foreground", "background", "ignore"]
Resize = Literal["stretch", "fit", "tile"]

Text = Annotated[str, AfterValidator(_one_line)]
Size = Annotated[tuple[int, int], PlainValidator(_size)]
Device = Annotated[str, AfterValidator(_device)]
Devices = Annotated[int | Literal["auto"], PlainValidator(_devices)]
MatchPattern = Annotated[str, AfterValidator(_pattern)]
GroupPattern = Annotated[str, AfterValidator(_group)]
Pretrained = Annotated[bool | str, PlainValidator(_pretrained)]
FolderOrAuto = Annotated[Text, AfterValidator(_folder_or_auto)]
ShareOrList = Annotated[float | str, PlainValidator(_share_or_list)]
MaskValues = Annotated[tuple[float | str, ...], PlainValidator(_mask_values)]
Foreground = Annotated[str | tuple[float | str, ...], PlainValidator(_foreground)]
Range = Annotated[str | tuple[float, float], PlainValidator(_range)]
