"""Check nested values from outside against pydantic models, and describe in plain words what is wrong with them."""

import difflib
from collections.abc import Callable
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from segkit.base.errors import brief, counted

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]  # keys and list indices
MAX_FAULTS = 20  # named in one message


def require(holds: object, value: T, fault: str) -> T:
    """``value``; raises ValueError, which pydantic reports, if the condition does not hold."""
    if not holds:
        raise ValueError(fault)
    return value


FROM_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)  # YAML has no tuples


class Section(BaseModel):
    """A mapping with known keys: frozen, no unknown key, no conversion between types, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def validate(kind: type[Model], value: Any, ignored: Callable[[Location], bool] = lambda location: False) -> Model:
    """``value`` (dicts, lists, scalars) as the pydantic model ``kind``.

    Raises ValueError that names every fault with its full path, except those at the locations ``ignored``.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        faults = [fault for fault in error.errors(include_url=False) if not ignored(fault["loc"])]
        lines = [f"{_path(fault['loc']) or 'the file'}: {_describe(fault, kind)}" for fault in faults[:MAX_FAULTS]]
        more = [f"and {len(faults) - MAX_FAULTS:,} more faults"] if len(faults) > MAX_FAULTS else []
        raise ValueError("; ".join(lines + more)) from None


def _path(location: Location) -> str:
    names = (f"[{key}]" if isinstance(key, int) else f".{brief(key, 60) or repr(key)}" for key in location)
    return "".join(names).removeprefix(".")


def _describe(fault: dict[str, Any], kind: type[BaseModel]) -> str:
    message = (
        fault["msg"].replace("Input should", "must").replace("String should", "must").replace("valid tuple", "list")
    )
    match fault["type"]:
        case "missing":
            return "missing"
        case "extra_forbidden":
            return f"unknown key; {_meant(fault['loc'], kind)}"
        case "value_error":
            return message.removeprefix("Value error, ")
        case "model_type" | "dict_type":
            message = "must be a mapping of keys"
        case "too_short":
            message = f"must have at least {counted(fault['ctx']['min_length'], 'value')}"
    near = []
    if fault["type"] == "literal_error":
        allowed = fault["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        near = difflib.get_close_matches(brief(fault["input"]), allowed, 1)
    return f"{message}, not {brief(repr(fault['input']))}{f' (did you mean {near[0]}?)' if near else ''}"


def _meant(location: Location, kind: type[BaseModel]) -> str:
    """The known key that is closest to an unknown one, or the list of valid keys."""
    *above, key = map(str, location)
    key, paths = brief(key), _paths(kind)
    for name in location[:-1]:
        kind = _inside(kind, name)
    here = [".".join([*above, near]) for near in difflib.get_close_matches(key, kind.model_fields, 1, cutoff=0.5)]
    elsewhere = [paths[near] for near in difflib.get_close_matches(key, paths, 1, cutoff=0.8)]
    for path in [paths[key]] if key in paths else here + elsewhere:
        return f"did you mean {path}?"
    return f"valid keys are {', '.join(kind.model_fields) or 'none'}"


def _inside(kind: Any, key: str | int) -> Any:
    """The type of what a section, a list or a mapping of type ``kind`` holds under ``key``."""
    if not _is_section(kind):
        return [each for each in get_args(kind) if each is not ...][-1]
    annotation = kind.model_fields[key].annotation
    if get_origin(annotation) is UnionType:  # of an optional section, the section
        return next(filter(_is_section, get_args(annotation)), annotation)
    return annotation


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _paths(kind: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """The full path of every key by its last name; of several with one name, the first."""
    paths = {}
    for key, field in kind.model_fields.items():
        paths.setdefault(key, prefix + key)
        if _is_section(field.annotation):
            paths = _paths(field.annotation, f"{prefix}{key}.") | paths
    return paths
