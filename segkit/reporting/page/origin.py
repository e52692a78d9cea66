"""Which settings, data, code and machine the page is from."""

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import segkit
from segkit.base.errors import counted, few
from segkit.reporting.page.measure import device_words
from segkit.reporting.page.revision import resolve
from segkit.reporting.page.settings import Settings, differences, settings_at, settings_here
from segkit.reporting.repository import git


@dataclass(frozen=True)
class Origin:
    """``settings`` of params.yaml, their ``differences`` from ``defaults`` (a revision, in words), ``facts`` about code
    and machine, the commands to make the page ``again``, and whether all they need is ``committed``."""

    settings: Settings
    defaults: str
    differences: dict[str, tuple[str, str]]
    facts: dict[str, str]
    again: str
    committed: bool


def origin(arguments: Sequence[str], defaults: str | None, device: torch.device) -> Origin:
    """``arguments``: of the command. ``defaults``: the revision whose params.yaml holds the defaults, HEAD if None.

    Raises InputError if it names none.
    """
    settings, commit = settings_here(), (git("rev-parse", "HEAD") or "").strip()
    if defaults is not None or commit:
        there = resolve(defaults or "HEAD", "--defaults")
        changed = differences(settings_at(there, f"--defaults {defaults or 'HEAD'}"), settings)
        words = f"{defaults or 'HEAD'} ({there[:10]})"
    else:
        changed, words = {}, "no revision, as this folder is no git repository"
    state = "no git repository"
    if commit:
        dirty = [line[3:] for line in (git("status", "--porcelain") or "").splitlines()]
        state = f"{counted(len(dirty), 'file')} changed or added: {few(dirty)}" if dirty else "clean"
    facts = {
        "commit": commit or "none",
        "working tree": state,
        "segkit": segkit.__version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": device_words(device),
    }
    command = shlex.join(["python", "-m", "segkit", "report", *arguments])
    lines = [f"git checkout {commit}", "dvc checkout    # or: dvc repro", command] if commit else ["dvc repro", command]
    return Origin(settings, words, changed, facts, "\n".join(lines), state == "clean")
