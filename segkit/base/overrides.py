"""Nested parameters with other values: dotted keys that are set, and MODEL.train, which overrides train for a model."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.base.errors import InputError, brief


def with_values(raw: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested ``raw`` in which each dotted key of ``values`` has its value; whether the keys exist is for
    ``segkit.base.params`` to say. Raises InputError for a key below something that is not a section."""
    result = copy.deepcopy(dict(raw))
    for path, value in values.items():
        *sections, last = path.split(".")
        place = result
        for name in sections:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise InputError(f"{brief(path)}: {brief(name)} is a value and not a section of params.yaml")
        place[last] = value
    return result


def flattened(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a nested mapping by their dotted keys; an empty section is a value."""
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        section = isinstance(value, Mapping) and value
        flat |= flattened(value, f"{prefix}{key}.") if section else {f"{prefix}{key}": value}
    return flat


def with_overrides(raw: Any, models: Sequence[str]) -> Any:
    """Each network's ``train`` merged over the common recipe, so that the network's own keys win."""
    if not isinstance(raw, dict):
        return raw
    common = raw.get("train") if isinstance(raw.get("train"), dict) else {}
    merged = {
        name: model | {"train": _merged(common, model.get("train") or {})}
        for name in models
        if isinstance(model := raw.get(name), dict) and isinstance(model.get("train"), dict | None)
    }
    return raw | merged


def _merged(common: dict, own: dict) -> dict:
    """``common`` with the keys of ``own``, section by section."""
    both = {key for key in common.keys() & own.keys() if isinstance(common[key], dict) and isinstance(own[key], dict)}
    return common | own | {key: _merged(common[key], own[key]) for key in both}


def is_inherited(location: tuple, raw: Any, models: Sequence[str]) -> bool:
    """Whether a fault below MODEL.train is in the common recipe, which is reported as well, and not in its own keys."""
    if len(location) < 3 or location[0] not in models or location[1] != "train":
        return False
    own, keys = raw[location[0]].get("train") or {}, list(location[2:])
    while keys and isinstance(own, dict):
        if keys[0] not in own:
            return True
        own = own[keys.pop(0)]
    return False
