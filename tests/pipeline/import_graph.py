"""Which files of this repository a module runs, read from the import statements, also those inside functions."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("segkit", "stages")
STAGES = ("download", "preprocess", "augment", "train_unet", "train_resnet34_unet", "evaluate")


def code_files(module: str) -> set[str]:
    """Paths, relative to the root, of ``module`` and of everything of ours that it imports, directly or not."""
    files: set[str] = set()
    waiting = [module]
    while waiting:
        path = _file(waiting.pop())
        if path is not None and path.relative_to(ROOT).as_posix() not in files:
            files.add(path.relative_to(ROOT).as_posix())
            if path != ROOT / "segkit/__init__.py":  # its import waits for segkit.load, which no stage calls
                waiting += _imported(path)
    return files


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    names |= {module for node in ast.walk(tree) if isinstance(node, ast.Call) for module in _chosen_by_name(node)}
    ours = {name for name in names if name.split(".")[0] in PACKAGES}
    # importing a.b.c runs a and a.b first
    return {".".join(name.split(".")[: i + 1]) for name in ours for i in range(name.count(".") + 1)}


def _chosen_by_name(call: ast.Call) -> set[str]:
    """Of ``import_module(f"segkit.room.{name}")`` every module that it may import: all of that folder."""
    if not (isinstance(call.func, ast.Name) and call.func.id == "import_module"):
        return set()
    (text,) = call.args
    assert isinstance(text, ast.JoinedStr) and len(text.values) == 2, "import_module wants f'segkit.room.{name}'"
    package = text.values[0].value.removesuffix(".")
    return {f"{package}.{path.stem}" for path in ROOT.joinpath(*package.split(".")).iterdir() if path.stem[:2] != "__"}


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
