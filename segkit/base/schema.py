"""Read YAML or JSON into dataclasses: types and limits from annotations, all faults collected, none fatal here."""

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

from segkit.base.errors import InputError, brief

MAX_BYTES = 100_000  # of params.yaml; thirty times what it has


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
        return f"must be {' and '.join(bounds)}, not {_shown(value)}"


@dataclass(frozen=True)
class Matching:
    """The regular expression that a text must match, and how to say so."""

    pattern: str
    meaning: str

    def fault(self, value: str) -> str | None:
        """What is wrong with ``value``, or None."""
        return None if re.fullmatch(self.pattern, value) else f"must be {self.meaning}, not {_shown(value)}"


class Size(tuple):
    """``(height, width)`` in pixels, written in YAML as one int or as ``[height, width]``."""


class Count(int):
    """A whole number of things, written in YAML as an int or as ``auto``, which is 0."""


def read_text(path: Path) -> str:
    """The text of a small YAML file of this repository; raises InputError that says how to get it back."""
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


def read_yaml(text: str, faults: list[str]) -> Any:
    """The dicts, lists and scalars that ``text`` spells, None where it spells nothing; keys are texts.

    Plain scalars mean what DVC, that is YAML 1.2, takes them for: ``1e-4`` is a number, ``yes`` and ``1:30`` are
    texts. ``010`` is one too, as nobody knows which number it is. Aliases and tags, which make bombs and objects, are
    refused. Keys that stand twice are appended to ``faults``. Raises ValueError with one line where ``text`` is not
    such YAML.
    """
    try:
        node = yaml.compose(text, Loader=_Composer)
        return None if node is None else _value(node, "", faults)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(place + brief(f"{error.context or ''} {error.problem or ''}", 200)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter two: an escape beyond Unicode
        raise ValueError(brief(error, 200)) from None


class _Composer(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.tag:
            what = "an alias (*name)" if isinstance(event, yaml.AliasEvent) else "a tag (!name)"
            problem = f"{what} is not read here; write out what is meant, in quotes if it is a text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_PLAIN = [
    (re.compile(r"|~|null|Null|NULL"), lambda text: None),
    (re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    (re.compile(r"[-+]?(0|[1-9](_?[0-9])*)"), int),
    (re.compile(r"[-+]?(?=.*[.eE])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"), float),
]
_LONGEST_NUMBER = 400  # characters


def _value(node: yaml.Node, path: str, faults: list[str]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{path}[{number}]", faults) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and len(node.value) <= _LONGEST_NUMBER:
            for pattern, make in _PLAIN:
                if pattern.fullmatch(node.value):
                    return make(node.value)
        return node.value
    mapping = {}
    for key_node, item in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a key must be a text", problem_mark=key_node.start_mark)
        key = key_node.value
        place = f"{path}.{key_name(key)}" if path else key_name(key)
        if key in mapping:
            faults.append(f"{place}: stands twice, again in line {key_node.start_mark.line + 1}")
        mapping[key] = _value(item, place, faults)
    return mapping


def key_name(key: object) -> str:
    """A key as it stands in a message."""
    return brief(key, 60) or "''"


def _shown(value: Any) -> str:
    return brief(repr(value))


def read(kind: Any, value: Any, path: str, faults: list[str], names: dict[str, str] | None = None) -> Any:
    """Turn ``value`` into ``kind``; append what is wrong to ``faults`` and then return None, or for a dataclass one
    with None for each key at fault.

    A dataclass may have a method ``faults() -> list[str]`` for what does not fit together in it; it must bear None.
    ``names``: the full path of each known key by its last name, to say where a misplaced one belongs.
    """
    if dataclasses.is_dataclass(kind):
        return _read_section(kind, value, path, faults, names)
    if get_origin(kind) is Annotated:
        base, *limits = get_args(kind)
        value = read(base, value, path, faults)
        if value is not None:
            faults += [f"{path}: {fault}" for limit in limits if (fault := limit.fault(value))]
        return value
    if get_origin(kind) is Literal:
        if value in get_args(kind) and isinstance(value, str):
            return value
        near = difflib.get_close_matches(brief(value), get_args(kind), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        faults.append(f"{path}: must be one of {', '.join(get_args(kind))}, not {_shown(value)}{hint}")
    elif get_origin(kind) is tuple:
        return _read_list(get_args(kind), value, path, faults)
    elif kind is Size:
        sides = value if isinstance(value, list) else [value, value]
        if len(sides) == 2 and all(type(side) is int and 16 <= side <= 8192 for side in sides):
            return Size(sides)
        faults.append(f"{path}: must be an int from 16 to 8192 or [height, width] of such, not {_shown(value)}")
    elif kind is Count:
        if value == "auto" or (type(value) is int and 1 <= value <= 1024):
            return Count(0 if value == "auto" else value)
        faults.append(f"{path}: must be auto or a whole number from 1 to 1024, not {_shown(value)}")
    elif kind is float:
        if type(value) in (int, float) and abs(value) <= sys.float_info.max:
            return float(value)
        faults.append(f"{path}: must be a finite number, not {_shown(value)}")
    elif type(value) is kind:
        if kind is not str or not _CONTROL.search(value):
            return value
        faults.append(f"{path}: must be one line without control characters, not {_shown(value)}")
    else:
        faults.append(f"{path}: must be {_MEANINGS[kind]}, not {_shown(value)}")
    return None


_MEANINGS = {int: "a whole number", bool: "true or false", str: "a text", dict: "a mapping of keys"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # no path, address or name holds them
_MANY = 10  # unknown keys of one section that are named


def _read_list(kinds: tuple, value: Any, path: str, faults: list[str]) -> tuple | None:
    """``kinds`` as in ``tuple[str, ...]`` or ``tuple[int, int]``."""
    if isinstance(value, list):
        kinds = kinds[:1] * len(value) if kinds[-1] is ... else kinds
        if len(kinds) == len(value):
            items = enumerate(zip(kinds, value, strict=True))
            return tuple(read(kind, item, f"{path}[{number}]", faults) for number, (kind, item) in items)
    faults.append(f"{path}: must be a list{'' if kinds[-1] is ... else f' of {len(kinds)}'}, not {_shown(value)}")
    return None


def _read_section(kind: type, value: Any, path: str, faults: list[str], names: dict[str, str] | None) -> Any:
    if not isinstance(value, dict):
        faults.append(f"{path or 'the file'}: must be a mapping of keys, not {_shown(value)}")
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    prefix = f"{path}." if path else ""
    names = _paths(kind, prefix) if names is None else names
    unknown = [key for key in value if key not in hints]
    faults += [f"{prefix}{key_name(key)}: unknown key; {_meant(key, prefix, hints, names)}" for key in unknown[:_MANY]]
    if len(unknown) > _MANY:
        faults.append(f"{path or 'the file'}: {len(unknown) - _MANY:,} more unknown keys")
    fields = dict.fromkeys(hints)
    for key, field_kind in hints.items():
        if key in value:
            fields[key] = read(field_kind, value[key], prefix + key, faults, names)
        else:
            faults.append(f"{prefix}{key}: missing")
    section = kind(**fields)
    faults += [f"{prefix}{fault}" for fault in getattr(section, "faults", list)()]
    return section


def _meant(key: object, prefix: str, hints: dict[str, Any], names: dict[str, str]) -> str:
    """Which key somebody who wrote ``key`` may have meant."""
    key = brief(key)
    here = [prefix + near for near in difflib.get_close_matches(key, hints, 1, cutoff=0.5)]
    elsewhere = [names[near] for near in difflib.get_close_matches(key, names, 1, cutoff=0.8)]
    for path in [names[key]] if key in names else here + elsewhere:
        return f"did you mean {path}?"
    return f"valid keys are {', '.join(hints) or 'none'}"


def _paths(kind: type, prefix: str) -> dict[str, str]:
    """The full path of every key by its last name; of several, the first in the order of the fields."""
    paths = {}
    for key, inner in typing.get_type_hints(kind, include_extras=True).items():
        paths.setdefault(key, prefix + key)
        if dataclasses.is_dataclass(inner):
            paths = _paths(inner, f"{prefix}{key}.") | paths
    return paths
