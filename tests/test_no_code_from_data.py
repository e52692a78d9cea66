"""Nothing that comes from outside is run: no pickle, no unsafe YAML, no eval, wherever the project reads."""

import ast
from pathlib import Path

import pytest

from tests.tiny import ROOT

SOURCES = sorted(path for folder in ("segkit", "stages", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
RUNNERS = {"eval", "exec", "compile", "__import__"}
SAFE_LOADERS = {"SafeLoader", "CSafeLoader", "_Loader"}  # the last is segkit.base.yaml_file's, made of the first


def faults(source: str) -> list[str]:
    """What in a source file could run what it reads, by line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call):
            names = [fault for fault in [_call_fault(node)] if fault]
        bad = [name for name in names if isinstance(node, ast.Call) or _is_bad_import(name)]
        found += [f"line {node.lineno}: {name}" for name in bad]
    return found


def _is_bad_import(name: str) -> bool:
    return name.split(".")[0] in UNPICKLERS or name in {"torch.load", "numpy.load", "yaml.load", "yaml.unsafe_load"}


def _call_fault(call: ast.Call) -> str | None:
    name = ast.unparse(call.func)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in RUNNERS or name in {"torch.hub.load", "torch.package.PackageImporter", "torch.jit.load"}:
        return name
    if name.endswith("torch.load") and options.get("weights_only") != "True":
        return f"{name} without weights_only=True"
    if options.get("allow_pickle", "False") != "False":
        return f"{name} with allow_pickle"
    if name.startswith("yaml."):
        loader = options.get("Loader", ast.unparse(call.args[1]) if len(call.args) > 1 else "")
        if "unsafe" in name or "full" in name:
            return name
        if name in {"yaml.load", "yaml.load_all", "yaml.compose"} and loader.split(".")[-1] not in SAFE_LOADERS:
            return f"{name} with {loader or 'no loader'}"
    return None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_runs_what_it_reads(path: Path):
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load(text, yaml.FullLoader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "def f():\n    exec(text)",
        "torch.hub.load('a/b', 'c')",
    ],
)
def test_the_check_sees_it(source: str):
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    ["torch.load(path, weights_only=True)", "np.load(path)", "yaml.load(t, Loader=yaml.SafeLoader)", "model.eval()"],
)
def test_the_check_lets_pass_what_is_safe(source: str):
    assert faults(source) == []
