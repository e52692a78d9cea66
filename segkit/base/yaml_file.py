"""Read a small YAML file of this repository the way DVC reads it: YAML 1.2, no aliases, no tags."""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from segkit.base.errors import InputError, brief

MAX_BYTES = 100_000  # thirty times the size of params.yaml


def read_yaml(path: Path) -> tuple[Any, list[str]]:
    """The dicts (keys are strings), lists and scalars of a YAML file, and a line about each duplicate key.

    Raises InputError, with a way to fix it, for a file that is missing, too large, not UTF-8 or not YAML.
    """
    return parse_yaml(_read_text(path), path)


def parse_yaml(text: str, path: object) -> tuple[Any, list[str]]:
    """As ``read_yaml``, of the text of a file; ``path``: what messages call it."""
    try:
        loader = _Loader(text)
        return loader.get_single_data(), loader.duplicates
    except RecursionError:
        fault = "it is nested too deeply"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        fault = place + brief(f"{error.context or ''} {error.problem or ''}", 200)
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter two: an escape beyond Unicode
        fault = brief(error, 200)
    raise InputError(f"{path} cannot be read: {fault}") from None


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise OSError(0, "it is not a file")  # opening a named pipe would block
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OSError(0, f"it has more than {MAX_BYTES:,} bytes")
        return content.decode("utf-8")
    except OSError as error:
        advice = f"run from the repository's root, or restore it with 'git checkout {path}'"
        raise InputError(f"{path} cannot be read: {error.strerror}; {advice}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: byte {error.start} is not UTF-8; save it as UTF-8") from None


class _Loader(yaml.SafeLoader):
    """PyYAML with the scalars of YAML 1.2: ``1e-4`` is a number; ``yes``, ``1:30`` and dates are strings.

    ``010`` is a string too, since readers disagree about the number. Aliases and tags can build bombs and objects, so
    they are refused.
    """

    yaml_implicit_resolvers: ClassVar[dict] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.duplicates: list[str] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.tag:
            what = "an alias (*name)" if isinstance(event, yaml.AliasEvent) else "a tag (!name)"
            problem = f"{what} is not supported here; write the value out, in quotes if it is a string"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        mapping = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a string", problem_mark=key.start_mark)
            if key.value in mapping:
                self.duplicates.append(f"line {key.start_mark.line + 1}: duplicate key {brief(key.value, 60)}")
            mapping[key.value] = self.construct_object(value, deep=True)
        return mapping


def _plain(name: str, pattern: str, first: str, make: Any) -> None:
    """Plain scalars that match ``pattern`` and start with a character of ``first`` are read by ``make``."""
    tag = f"tag:yaml.org,2002:{name}"
    _Loader.add_implicit_resolver(tag, re.compile(rf"(?:{pattern})\Z"), list(first) or [""])
    _Loader.add_constructor(tag, lambda loader, node: make(node.value))


_plain("null", "~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None)
_plain("bool", "true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true")
_plain("int", r"[-+]?(0|[1-9](_?[0-9]){0,400})", "-+0123456789", int)
_plain("float", r"[-+]?(?=.*[.eE])([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789", float)
