"""Read YAML into dataclasses: types and limits from annotations, all faults collected, none of them fatal here."""

import dataclasses
import difflib
import math
import re
import sys
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml


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


@dataclass(frozen=True)
class Matching:
    """The regular expression that a text must match, and how to say so."""

    pattern: str
    meaning: str

    def fault(self, value: str) -> str | None:
        """What is wrong with ``value``, or None."""
        return None if re.fullmatch(self.pattern, value) else f"must be {self.meaning}, not {value!r}"


class Size(tuple):
    """``(height, width)`` in pixels, written in YAML as one int or as ``[height, width]``."""


class Count(int):
    """A whole number of things, written in YAML as an int or as ``auto``, which is 0."""


class Loader(yaml.SafeLoader):
    """YAML 1.1 reads ``1e-4`` as a string; this loader reads it as the float that everybody means.

    Of two equal keys YAML keeps the last; this loader refuses them.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (key_node, _) in zip(keys, node.value, strict=True):
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read(kind: Any, value: Any, path: str, faults: list[str]) -> Any:
    """Turn ``value`` into ``kind``; append what is wrong to ``faults`` and then return None."""
    if dataclasses.is_dataclass(kind):
        return _read_section(kind, value, path, faults)
    if get_origin(kind) is Annotated:
        base, *limits = get_args(kind)
        value = read(base, value, path, faults)
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
    elif kind is Count:
        if value == "auto" or (type(value) is int and 1 <= value <= 1024):
            return Count(0 if value == "auto" else value)
        faults.append(f"{path}: must be auto or a whole number from 1 to 1024, not {value!r}")
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
            fields[key] = read(field_kind, value[key], prefix + key, faults)
        else:
            faults.append(f"{prefix}{key}: missing")
    return kind(**fields) if len(fields) == len(hints) else None
