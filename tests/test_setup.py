"""The set-up: the lock, the Makefile that installs it, and what CI calls."""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from queue import Queue

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import environment

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ["help", "setup", "repro", "oxford", "test", "lint", "tensorboard", "lock"]
LINES = (ROOT / "requirements.lock").read_text().splitlines()
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# A fake Python for .venv, which records that pip was asked to install something.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *" install "*) echo pip >>"$LOG"; exit "${PIP_STATUS:-0}" ;;
  *torchvision*) [ -z "$TORCH_ERROR" ] || { echo "$TORCH_ERROR" >&2; exit 1; } ;;
esac
"""


class Tree:
    """What set-up reads, in a folder with a space in its name, where venvs hold the stand-in for Python."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch):
        self.root, self.log, self.patch = tmp_path / "a tree", tmp_path / "log", patch
        self.root.mkdir()
        patch.chdir(self.root)
        patch.setenv("LOG", str(self.log))
        patch.setattr(environment.venv, "create", self.create)
        Path("requirements.lock").write_text("torch==1.0\n")

    def create(self, folder: Path, **options: bool) -> None:
        with open(self.log, "a") as log:
            print("venv", file=log)
        python = folder / "bin/python"
        python.parent.mkdir()
        python.write_text(FAKE_PYTHON)
        python.chmod(0o755)

    def set_up(self, **env: str) -> list[str]:
        """Run the set-up with ``env`` added; returns what it did."""
        self.log.write_text("")
        with self.patch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            environment.setup()
        return self.log.read_text().split()


def make(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    # Flags of an outer make (-j, its jobserver) would reach this one through the environment.
    flags = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "ARGS"}
    outer = {name: value for name, value in os.environ.items() if name not in flags}
    command = ["make", "--no-print-directory", *args]
    return subprocess.run(command, env=outer | env, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def lock() -> list[Requirement]:
    return [Requirement(line) for line in LINES]


def test_lock_holds_names_versions_and_markers_only():
    shape = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [^;#@]+)?")
    assert [line for line in LINES if not shape.fullmatch(line) or re.search(r"://|--", line)] == []
    assert len(lock()) == len(LINES) > 0


def test_lock_pins_everything_the_project_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked = (requirement for extra in ("pipeline", "export", "test") for requirement in extras[extra])
    declared = [*project["dependencies"], *locked]  # bench, demo and fuzz are not locked
    for wanted in map(Requirement, declared):
        pins = [pin for pin in lock() if pin.name == canonicalize_name(wanted.name)]
        assert pins, f"{wanted} is not in requirements.lock: run `make lock`"
        for pin in pins:
            (version,) = (s.version for s in pin.specifier)
            assert wanted.specifier.contains(version), f"{pin} does not satisfy {wanted}: run `make lock`"


def test_one_numpy_for_every_python():
    for name in ("numpy", "torch", "torchvision", "pillow", "scipy"):
        assert [str(pin.marker) for pin in lock() if pin.name == name] == ["None"]


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not running in the project's .venv")
def test_installed_packages_are_the_locked_ones():
    wrong = []
    for pin in lock():
        if pin.marker is None or pin.marker.evaluate():
            try:
                version = metadata.version(pin.name)
            except metadata.PackageNotFoundError:
                version = "nothing"
            if version == "nothing" or not pin.specifier.contains(version, prereleases=True):
                wrong.append(f"{pin}: {version} is installed")
    assert not wrong


@pytest.mark.skipif(not (ROOT / ".dvc/config").exists(), reason="no .dvc/config")
def test_dvc_sends_nothing_on_its_own():
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".dvc/config")
    assert not settings.getboolean("core", "analytics", fallback=True)
    assert not settings.getboolean("core", "check_update", fallback=True)


@needs_make
@pytest.mark.parametrize("target", TARGETS)
def test_target_parses(target):
    result = make("-n", target)
    assert result.returncode == 0, result.stderr


@needs_make
def test_help_is_the_default_and_lists_every_target():
    listed = re.findall(r"^  make (\w+) +\S", make().stdout, re.MULTILINE)
    assert listed == TARGETS


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
    assert "make test" in (ROOT / ".github" / "workflows" / "test.yml").read_text()


class TestSetup:
    def test_second_time_does_nothing(self, tree: Tree, capsys: pytest.CaptureFixture[str]):
        assert tree.set_up() == ["venv", "pip"]
        assert "6 GB" in capsys.readouterr().out
        assert tree.set_up() == []
        assert capsys.readouterr().out == ""

    def test_changed_lock_is_installed_into_the_same_venv(self, tree: Tree):
        tree.set_up()
        Path("requirements.lock").write_text("torch==2.0\n")
        assert tree.set_up() == ["pip"]
        assert tree.set_up() == []

    def test_failed_install_is_not_done_and_starts_over(self, tree: Tree):
        with pytest.raises(SystemExit, match="could not install"):
            tree.set_up(PIP_STATUS="1")
        assert tree.set_up() == ["venv", "pip"]

    def test_torch_that_does_not_load_is_named(self, tree: Tree):
        with pytest.raises(SystemExit, match=r"\(operator torchvision::nms does not exist\)"):
            tree.set_up(TORCH_ERROR="operator torchvision::nms does not exist")

    def test_venv_that_somebody_else_made_is_completed(self, tree: Tree):
        Path(".venv").mkdir()
        tree.create(Path(".venv"))
        assert tree.set_up() == ["pip"]

    @pytest.mark.parametrize("how", ["moved", "broken", "interrupted"])
    def test_venv_that_cannot_be_used_is_made_anew(self, tree: Tree, how: str):
        tree.set_up()
        if how == "moved":
            moved = tree.root.rename(tree.root.with_name("another place"))
            tree.patch.chdir(moved)
        elif how == "broken":
            Path(".venv/bin/python").unlink()
        else:
            Path(".venv/.set-up").write_text("installing")
        assert tree.set_up() == ["venv", "pip"]
        assert tree.set_up() == []

    def test_shared_venv_is_never_emptied(self, tree: Tree, tmp_path: Path):
        tree.set_up()
        shared = Path(".venv").rename(tmp_path / "shared")
        Path(".venv").symlink_to(shared)
        assert tree.set_up() == ["venv", "pip"]
        assert not Path(".venv").is_symlink()
        assert (shared / "bin/python").exists()

    def test_another_set_up_is_waited_for(self, tree: Tree):
        tree.set_up()
        said: Queue[str] = Queue()  # capsys may lose what another thread prints while it is read
        tree.patch.setattr(environment, "print", lambda text, **_: said.put(text), raising=False)
        with ThreadPoolExecutor() as pool, open("requirements.lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            second = pool.submit(tree.set_up)
            assert said.get(timeout=60) == "Waiting for another set-up of this folder"
            assert not second.done()
            fcntl.flock(file, fcntl.LOCK_UN)
            assert second.result(timeout=60) == []


@needs_make
class TestPython:
    """The Python that runs the set-up."""

    @pytest.fixture
    def python(self, tmp_path: Path) -> Path:
        """Says what it was asked to run; with OLD=1 it is too old, or has no venv module."""
        path = tmp_path / "fake python"
        path.write_text('#!/bin/sh\ncase "$*" in "-c "*) exit "${OLD:-0}" ;; *) echo "ran $*" ;; esac\n')
        path.chmod(0o755)
        return path

    def test_is_the_one_named(self, python: Path):
        done = make("setup", f"PYTHON={python}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ran tools/environment.py setup\n", "")

    def test_is_looked_for(self, python: Path, tmp_path: Path):
        python.rename(tmp_path / "python3.12")
        (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "python3.13").chmod(0o755)
        done = make("lock", "ARGS=--upgrade", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ran tools/environment.py lock --upgrade\n", "")

    def test_that_cannot_make_a_venv_is_one_clear_line(self, python: Path):
        refused = make("setup", f"PYTHON={python}", OLD="1")
        assert refused.returncode == 2
        line, of_make = refused.stderr.splitlines()
        assert line.startswith("error: no Python 3.11 or newer with its venv module") and str(python) in line
        assert of_make.startswith("make:")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("raise KeyboardInterrupt", "error: interrupted; run the same command again"), ("pass", "error: [Errno 2]")],
)
def test_a_set_up_that_cannot_work_ends_in_one_line(tmp_path: Path, fault: str, said: str):
    (tmp_path / "sitecustomize.py").write_text(f"import fcntl\ndef flock(*_):\n    {fault}\nfcntl.flock = flock\n")
    if "raise" in fault:
        (tmp_path / "requirements.lock").touch()
    command = [sys.executable, str(ROOT / "tools/environment.py"), "setup"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
