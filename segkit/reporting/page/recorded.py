"""Whether the files are those that DVC recorded: a number that somebody typed over is not shown as a result."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segkit.base.errors import InputError
from segkit.base.files import digest
from segkit.base.workspace import Paths
from segkit.base.yaml_file import parse_yaml
from segkit.reporting.page.settings import Settings, differences, flat

LOCK = Path("dvc.lock")
Stages = Mapping[str, Any]


def refuse_edited(name: str, paths: Paths, settings: Settings) -> None:
    """Compare the files of a network, and the ``settings``, with ``dvc.lock``; raises InputError for what differs.

    What ``dvc.lock`` does not list, as where the stages were run without DVC, is not checked.
    """
    stages = stages_of(LOCK.read_bytes().decode("utf-8", "replace") if LOCK.is_file() else "")
    if words := outdated(name, stages, settings):
        raise InputError(f"{words}; run 'dvc repro', or undo the change")
    shown = {str(paths.models / f"{name}.safetensors"), str(paths.metrics / "analysis" / name)}
    shown |= {str(paths.metrics / kind / f"{name}.json") for kind in (".", "scores", "training")}
    shown |= {str(paths.metrics / kind / f"{name}.csv") for kind in ("per_image", "curves")}
    for path, expected in recorded(name, stages):
        if path in shown and Path(path).exists() and _md5(Path(path)) != expected:
            raise InputError(
                f"{path} is not the one that {LOCK} records: it was edited, or is of another run; run "
                f"'dvc repro', or 'git checkout {path}' if it is in git"
            )


def outdated(name: str, stages: Stages, settings: Settings) -> str:
    """Why the results of a network that ``stages`` record are not those of ``settings`` and of the data; empty if they
    are."""
    used = [
        stages.get(stage, {}) for stage in ("download", "preprocess", "augment", f"train_{name}", f"evaluate@{name}")
    ]
    for stage in used:
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            there = flat({key: value})
            here = {each: text for each, text in settings.items() if each == key or each.startswith(f"{key}.")}
            for each in differences(there, here):
                now = f"params.yaml has {each}: {here[each]}" if each in here else f"params.yaml has no {each}"
                then = f"are of {there[each]}" if each in there else "have no such setting"
                return f"{now}, but the results of {name} {then}"
    made = {out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", [])}
    for stage in used:
        for dep in stage.get("deps", []):
            if made.get(dep["path"], dep.get("md5")) != dep.get("md5"):
                return f"{dep['path']} was made again, and the results of {name} are of the earlier one"
    return ""


def recorded(name: str, stages: Stages) -> Iterator[tuple[str, str]]:
    """Path and MD5 of every out of a network's stages, and of the checkpoint that was evaluated."""
    evaluated = stages.get(f"evaluate@{name}", {})
    deps = [dep for dep in evaluated.get("deps", []) if dep["path"].endswith(f"{name}.safetensors")]
    for entry in (*stages.get(f"train_{name}", {}).get("outs", []), *evaluated.get("outs", []), *deps):
        yield str(Path(entry["path"])), entry.get("md5", "")


def stages_of(lock: str) -> Stages:
    """The stages in the text of a ``dvc.lock`` by name; raises InputError for one that cannot be read."""
    try:
        found = parse_yaml(lock, LOCK)[0]
    except InputError as error:
        raise InputError(f"{error}; run 'git checkout {LOCK}'") from None
    return (found.get("stages") if isinstance(found, dict) else None) or {}


def _md5(path: Path) -> str:
    """As DVC computes it: of a file its bytes, of a folder the list of its files."""
    if path.is_file():
        return digest(path, "md5")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [{"md5": digest(file, "md5"), "relpath": file.relative_to(path).as_posix()} for file in files]
    listed.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
