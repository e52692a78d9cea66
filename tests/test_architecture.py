"""The house: each room imports only from rooms below it, and nothing loads what it does not need."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import ROOT

# Each may import those before it, and all of the cellar, which imports none of them.
ROOMS = ("params", "data", "models", "training", "evaluation", "inference", "cli")
CELLAR = (
    *("errors", "interrupts", "files", "lock", "labels", "progress", "schema", "metrics", "drawing", "workspace"),
    "command",
)
SOURCES = sorted((ROOT / "segkit").rglob("*.py"))
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


def place(path: Path) -> str:
    """The room or cellar module that a source file belongs to."""
    return path.relative_to(ROOT / "segkit").with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Rooms and cellar modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import; spell it out"
            names = [node.module] if node.module != "segkit" else [f"segkit.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("segkit.")}
    return found - {"__version__"}


def python(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_file_has_its_place():
    strangers = {place(path) for path in SOURCES} - {*ROOMS, *CELLAR, "__init__", "__main__"}
    assert not strangers, f"new in segkit/: {strangers}; add them to ROOMS or CELLAR"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(path):
    here = place(path)
    if here in ROOMS:
        above = imported(path) & set(ROOMS[ROOMS.index(here) + 1 :])
    elif here in CELLAR:
        above = imported(path) & set(ROOMS)
    else:  # __init__ imports nothing, __main__ the command line alone
        above = imported(path) - ({"cli"} if here == "__main__" else set())
    assert not above, f"{path.name} imports {above} from above"


def test_the_check_sees_imports_inside_functions():
    assert "evaluation" in imported(ROOT / "segkit" / "cli.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_in_segkit_knows_the_stages_or_dvc(path):
    text = path.read_text(encoding="utf-8")
    modules = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not modules & {"stages", "tests", "dvc", "dvclive"}


@pytest.mark.parametrize("module", ["segkit.cli", "segkit.params", *(f"stages.{stage}" for stage in STAGES)])
def test_reading_the_parameters_does_not_wait_for_torch(module):
    done = python(f"import {module}, sys; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr or f"{module} imports torch"


def test_everything_imports_where_dvc_is_not_installed():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if path.stem[:2] != "__"]
    block = "import sys; sys.modules['dvc'] = sys.modules['dvclive'] = None"
    done = python("\n".join([block, *(f"import {module}" for module in modules)]))
    assert done.returncode == 0, done.stderr


def test_files_are_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {name: lines for name, lines in lengths.items() if lines > 310}
