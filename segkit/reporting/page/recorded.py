"""Whether the files are those that DVC recorded: a number that somebody typed over is not shown as a result."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from segkit.base.errors import InputError, brief
from segkit.base.files import digest
from segkit.base.workspace import Paths
from segkit.reporting.page.settings import Settings, flat

LOCK = Path("dvc.lock")


def refuse_edited(name: str, paths: Paths, settings: Settings) -> None:
    """Compare the files of a network, and the ``settings``, with ``dvc.lock``; raises InputError for what differs.

    What ``dvc.lock`` does not list, as where the stages were run without DVC, is not checked.
    """
    for key, value in _settings(name).items():
        if (here := settings.get(key)) != value:
            raise InputError(
                f"params.yaml has {key}: {here}, but the results of {name} are of {value}; run 'dvc repro', or set it "
                "back"
            )
    shown = {str(paths.models / f"{name}.safetensors"), str(paths.metrics / "analysis" / name)}
    shown |= {str(paths.metrics / kind / f"{name}.json") for kind in (".", "scores", "training")}
    shown |= {str(paths.metrics / kind / f"{name}.csv") for kind in ("per_image", "curves")}
    for path, expected in recorded(name):
        if path in shown and Path(path).exists() and _md5(Path(path)) != expected:
            raise InputError(
                f"{path} is not the one that {LOCK} records: it was edited, or is of another run; run "
                f"'dvc repro', or 'git checkout {path}' if it is in git"
            )


def _settings(name: str) -> Settings:
    """What the stages of a network read from params.yaml."""
    stages = _stages()
    found: Settings = {}
    for stage in ("download", "preprocess", "augment", f"train_{name}", f"evaluate@{name}"):
        for key, value in stages.get(stage, {}).get("params", {}).get("params.yaml", {}).items():
            found |= flat({key: value})
    return found


def recorded(name: str) -> Iterator[tuple[str, str]]:
    """Path and MD5 of every out of a network's stages, and of the checkpoint that was evaluated."""
    stages = _stages()
    evaluated = stages.get(f"evaluate@{name}", {})
    deps = [dep for dep in evaluated.get("deps", []) if dep["path"].endswith(f"{name}.safetensors")]
    for entry in (*stages.get(f"train_{name}", {}).get("outs", []), *evaluated.get("outs", []), *deps):
        yield str(Path(entry["path"])), entry.get("md5", "")


def _stages() -> dict[str, Any]:
    if not LOCK.is_file():
        return {}
    try:
        return yaml.load(LOCK.read_text(encoding="utf-8"), yaml.CSafeLoader).get("stages", {})
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise InputError(f"{LOCK} cannot be read ({brief(error)}); run 'git checkout {LOCK}'") from None


def _md5(path: Path) -> str:
    """As DVC computes it: of a file its bytes, of a folder the list of its files."""
    if path.is_file():
        return digest(path, "md5")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [{"md5": digest(file, "md5"), "relpath": file.relative_to(path).as_posix()} for file in files]
    listed.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
