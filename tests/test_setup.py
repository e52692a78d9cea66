"""The set-up: the lock, the Makefile that installs it, and what CI calls."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ["help", "setup", "repro", "test", "lint", "tensorboard", "lock"]
LINES = (ROOT / "requirements.lock").read_text().splitlines()
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Stands in for Python: makes a "venv" that holds a copy of itself, and notes what pip is asked to do.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *_base_executable*) echo "$0" ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >>"$LOG" ;;
  *" install "*) echo pip >>"$LOG"; exit "${PIP_STATUS:-0}" ;;
  *torchvision*) [ -z "$TORCH_ERROR" ] || { echo "$TORCH_ERROR" >&2; exit 1; } ;;
  *sys.version_info*) exit "${OLD:-0}" ;;
esac
"""


class Tree:
    """A copy of what set-up reads, in a folder with a space in its name, with the stand-in for Python."""

    def __init__(self, tmp_path: Path):
        self.root, self.log, self.python = tmp_path / "a tree", tmp_path / "log", tmp_path / "fake python"
        self.root.mkdir()
        shutil.copy(ROOT / "Makefile", self.root)
        (self.root / "requirements.lock").write_text("torch==1.0\n")
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)

    def make(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        return make("-C", str(self.root), *args, f"PYTHON={self.python}", LOG=str(self.log), **env)

    @property
    def done(self) -> list[str]:
        return self.log.read_text().split()


def make(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    # Flags of an outer make (-j, its jobserver) would reach this one through the environment.
    flags = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "ARGS"}
    outer = {name: value for name, value in os.environ.items() if name not in flags}
    command = ["make", "--no-print-directory", *args]
    return subprocess.run(command, env=outer | env, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def lock() -> list[Requirement]:
    return [Requirement(line) for line in LINES]


def test_lock_holds_names_versions_and_markers_only():
    shape = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [^;#@]+)?")
    assert [line for line in LINES if not shape.fullmatch(line) or re.search(r"://|--", line)] == []
    assert len(lock()) == len(LINES) > 0


def test_lock_pins_everything_the_project_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["pipeline"], *extras["test"]]  # bench is for benchmarks alone
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


@needs_make
class TestSetup:
    def test_second_time_does_nothing(self, tree):
        first = tree.make("setup")
        assert first.returncode == 0, first.stderr
        assert tree.done == ["venv", "pip"]
        assert "6 GB" in first.stdout
        second = tree.make("-j2", "setup")
        assert (second.returncode, second.stdout, second.stderr, tree.done) == (0, "", "", [])

    def test_changed_lock_is_installed_into_the_same_venv(self, tree):
        tree.make("setup")
        (tree.root / "requirements.lock").write_text("torch==2.0\n")
        assert tree.make("setup").returncode == 0
        assert tree.done == ["pip"]

    def test_failed_install_is_not_done_and_starts_anew(self, tree):
        failed = tree.make("setup", PIP_STATUS="1")
        assert failed.returncode == 2
        assert "could not install" in failed.stderr
        tree.make("setup")
        assert tree.done == ["venv", "pip"]
        tree.make("setup")
        assert tree.done == []

    def test_torch_that_does_not_load_is_named(self, tree):
        failed = tree.make("setup", TORCH_ERROR="operator torchvision::nms does not exist")
        assert failed.returncode == 2
        assert "operator torchvision::nms does not exist" in failed.stderr

    @pytest.mark.parametrize("how", ["moved", "broken"])
    def test_venv_that_cannot_be_used_is_made_anew(self, tree, how):
        tree.make("setup")
        if how == "moved":
            tree.root = tree.root.rename(tree.root.with_name("another place"))
        else:
            (tree.root / ".venv/bin/python").unlink()
        assert tree.make("setup").returncode == 0
        assert tree.done == ["venv", "pip"]

    def test_shared_venv_is_never_emptied(self, tree, tmp_path):
        tree.make("setup")
        shared = (tree.root / ".venv").rename(tmp_path / "shared")
        (tree.root / ".venv").symlink_to(shared)
        assert tree.make("setup").returncode == 0
        assert not (tree.root / ".venv").is_symlink()
        assert (shared / "bin/python").exists()

    def test_set_up_at_work_is_left_alone(self, tree):
        tree.make("setup")
        (tree.root / ".venv/.set-up").unlink()
        (tree.root / ".venv/.installing").write_text(f"{os.getpid()}\n")
        refused = tree.make("setup")
        assert refused.returncode == 2
        assert f"process {os.getpid()}" in refused.stderr
        assert tree.done == []

    def test_python_too_old_is_one_clear_line(self, tree):
        refused = tree.make("setup", OLD="1")
        assert refused.returncode == 2
        assert "3.11 or newer" in refused.stderr.splitlines()[0]
        assert not (tree.root / ".venv").exists()
