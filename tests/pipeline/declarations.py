"""What dvc.yaml declares and dvc.lock records, with ``foreach`` written out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml; ``outs``: the path of each out, metric and plot, and whether DVC caches it; ``metrics``:
    those of them that are DVC's metrics."""

    name: str
    script: str
    cmd: str
    desc: str
    deps: frozenset[str]
    params: frozenset[str]
    outs: dict[str, bool]
    metrics: frozenset[str]

    @property
    def code(self) -> set[str]:
        """The declared dependencies that are our own code: the script, and folders."""
        return {path for path in self.deps if path.split("/")[0] in ("segkit", "stages")}


def read_yaml(path: Path) -> Any:
    """Read YAML 1.2, as DVC does."""
    return YAML(typ="safe").load(path)


def declared(root: Path) -> dict[str, Stage]:
    """The stages of ``root/dvc.yaml`` by the names that DVC gives them."""
    stages = {}
    for name, body in read_yaml(root / "dvc.yaml")["stages"].items():
        if "foreach" in body:
            for item in body["foreach"]:
                stages[f"{name}@{item}"] = _stage(f"{name}@{item}", _substitute(body["do"], item))
        else:
            stages[name] = _stage(name, body)
    return stages


def recorded(root: Path) -> dict[str, Any]:
    """The stages of ``root/dvc.lock``."""
    return read_yaml(root / "dvc.lock")["stages"]


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested mapping; an empty mapping counts as a value."""
    found = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key: value}
    return found


def lookup(tree: dict[str, Any], key: str) -> Any:
    """The value of a dotted key."""
    for part in key.split("."):
        tree = tree[part]
    return tree


def covers(keys: frozenset[str], key: str) -> bool:
    """Whether one of ``keys`` is ``key`` or a section around it."""
    return any(key == known or key.startswith(f"{known}.") for known in keys)


def _stage(name: str, body: dict[str, Any]) -> Stage:
    outs = {}
    for entry in [*body.get("outs", []), *body.get("metrics", []), *body.get("plots", [])]:
        path, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        outs[path] = options.get("cache", True)
    return Stage(
        name=name,
        script=name.partition("@")[0],
        cmd=body["cmd"],
        desc=body.get("desc", ""),
        deps=frozenset(body["deps"]) if "deps" in body else frozenset(),
        params=frozenset(body.get("params", [])),
        outs=outs,
        metrics=frozenset(path for entry in body.get("metrics", []) for path in entry),
    )


def _substitute(value: Any, item: str) -> Any:
    if isinstance(value, dict):
        return {_substitute(key, item): _substitute(part, item) for key, part in value.items()}
    if isinstance(value, list):
        return [_substitute(part, item) for part in value]
    return value.replace("${item}", item) if isinstance(value, str) else value
