"""params.yaml as it is written, here and at another commit, and what differs."""

from pathlib import Path
from typing import Any

from segkit.base.errors import InputError
from segkit.base.overrides import flattened
from segkit.base.yaml_file import parse_yaml, read_yaml
from segkit.reporting.repository import content

PARAMS = Path("params.yaml")
Settings = dict[str, str]


def settings_here() -> Settings:
    """Every setting by its path, ``{"train.lr": "0.003"}``; raises InputError if params.yaml cannot be read."""
    return flat(read_yaml(PARAMS)[0])


def settings_at(commit: str, words: str) -> Settings:
    """The same at ``commit``; raises InputError, which begins with ``words``, if there is no such file."""
    if (text := content(commit, PARAMS)) is None:
        raise InputError(f"{words}: there is no {PARAMS} at this revision; name one that has it")
    try:
        return flat(parse_yaml(text, str(PARAMS))[0])
    except InputError as error:
        raise InputError(f"{words}: {error}") from None


def differences(before: Settings, after: Settings) -> dict[str, tuple[str, str]]:
    """Settings that are not the same, ``(before, after)``; a dash for one that is not there."""
    keys = [*after, *(key for key in before if key not in after)]
    return {key: (before.get(key, "–"), after.get(key, "–")) for key in keys if before.get(key) != after.get(key)}


def flat(settings: Any) -> Settings:
    """Nested dicts as one: ``{"train": {"lr": 0.003}}`` is ``{"train.lr": "0.003"}``."""
    found = flattened(settings) if isinstance(settings, dict) else {}
    return {key: _words(value) for key, value in found.items()}


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
