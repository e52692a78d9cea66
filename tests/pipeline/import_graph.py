"""Which files of this repository a stage runs, read from the import statements, also those inside functions.

``python -m tests.pipeline.import_graph`` prints the list for each stage, for ``deps`` in dvc.yaml.
"""

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
            waiting += _imported(path)
    return files


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.split(".")[0] in PACKAGES}
    # importing a.b.c runs a and a.b first
    return {".".join(name.split(".")[: i + 1]) for name in ours for i in range(name.count(".") + 1)}


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


if __name__ == "__main__":
    for stage in STAGES:
        print(stage)
        print("".join(f"      - {file}\n" for file in sorted(code_files(f"stages.{stage}") | {"stages/__init__.py"})))
