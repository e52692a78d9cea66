"""Layers: each folder imports only from folders below it, and nothing loads what it does not need."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tiny import ROOT

# Each may import those before it.
ROOMS = (
    *("base", "sources", "dataset", "figures", "augment", "models", "training", "evaluation", "inference"),
    *("reporting", "demo", "commands", "cli"),
)
SOURCES = sorted((ROOT / "segkit").rglob("*.py"))
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")


def place(path: Path) -> str:
    """The room that a source file belongs to."""
    return path.relative_to(ROOT / "segkit").with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Rooms that a file imports, also inside functions."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import; spell it out"
            modules |= {node.module} if node.module != "segkit" else {f"segkit.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in modules if name.startswith("segkit.")} - {"__version__"}


def packages(path: Path) -> set[str]:
    """The top of everything that a file imports."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [[node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names] for node in imports]
    return {name.split(".")[0] for each in names for name in each}


def python(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_file_has_its_room():
    unknown = {place(path) for path in SOURCES} - {*ROOMS, "__init__", "__main__"}
    assert not unknown, f"new in segkit/: {unknown}; add them to ROOMS"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(path):
    here = place(path)
    if here in ROOMS:
        above = imported(path) & set(ROOMS[ROOMS.index(here) + 1 :])
    else:  # __init__ imports segkit.load alone, when it is asked for, __main__ the command line
        above = imported(path) - {{"__init__": "inference", "__main__": "cli"}[here]}
    assert not above, f"{path.name} imports {above} from above"


@pytest.mark.parametrize("path", [path for path in SOURCES if place(path) == "base"], ids=lambda path: path.name)
def test_nothing_in_base_can_change_a_result(path):
    """What base/ hands on is fixed elsewhere: by params.yaml (which DVC tracks), or by the bytes of a file. It computes
    nothing, so it knows no torch, no Pillow and no random numbers; NumPy only where it reads packed arrays."""
    allowed = sys.stdlib_module_names - {"random", "secrets"} | {"segkit", "yaml", "tqdm", "pydantic", "filelock"}
    assert packages(path) <= allowed | ({"numpy"} if path.name == "packed.py" else set())


def test_the_package_itself_holds_no_code():
    """Every stage imports segkit/__init__.py and stages/__init__.py, and declares neither. Only who asks for
    ``segkit.load`` imports it."""
    for file, names in (("segkit/__init__.py", ["__version__"]), ("stages/__init__.py", [])):
        docstring, *rest = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        assert isinstance(docstring.value, ast.Constant)
        constants = [node for node in rest if not isinstance(node, ast.FunctionDef)]
        assert [target.id for node in constants for target in node.targets] == names
        lazy = [node for node in rest if isinstance(node, ast.FunctionDef)]
        assert [node.name for node in lazy] == ["__getattr__"] * (file == "segkit/__init__.py")
        inside = {node.module for each in lazy for node in ast.walk(each) if isinstance(node, ast.ImportFrom)}
        assert inside <= {"segkit.inference.model"} and packages(ROOT / file) <= {"segkit"}


def test_load_is_imported_on_its_first_use():
    code = "import segkit, sys; e = 'torch' in sys.modules; segkit.load; sys.exit(e or not callable(segkit.load))"
    assert python(code).returncode == 0
    assert "module 'segkit' has no attribute 'none'" in python("import segkit; segkit.none").stderr


def test_the_check_sees_imports_inside_functions():
    assert "reporting" in imported(ROOT / "segkit" / "commands" / "bench.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_in_segkit_knows_the_stages_or_dvc(path):
    assert not packages(path) & {"stages", "tests", "dvc", "dvclive"}


@pytest.mark.parametrize("module", ["segkit.cli", "segkit.base.params", *(f"stages.{stage}" for stage in STAGES)])
def test_reading_the_parameters_does_not_wait_for_torch(module):
    done = python(f"import {module}, sys; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr or f"{module} imports torch"


@pytest.mark.slow
def test_everything_imports_where_dvc_is_not_installed():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if path.stem[:2] != "__"]
    if find_spec("gradio") is None:  # an extra
        modules.remove("segkit.demo.page")
    if find_spec("matplotlib") is None:  # an extra
        above = ("segkit.reporting.page", "segkit.reporting.studies.chart")
        modules = [module for module in modules if not module.startswith(above)]
    block = "import sys; sys.modules['dvc'] = sys.modules['dvclive'] = None"
    done = python("\n".join([block, *(f"import {module}" for module in modules)]))
    assert done.returncode == 0, done.stderr


def test_files_are_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {name: lines for name, lines in lengths.items() if lines > 310}
