"""`setup`: build .venv from requirements.lock. `lock`: write requirements.lock from pyproject.toml.

Called by the Makefile with any Python 3.11 or newer, before anything is installed: standard library only.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

VENV, OLD, LOCK = Path(".venv"), Path(".venv.partial"), Path("requirements.lock")
# What is installed: the path of .venv, which its scripts contain, and the lock file. Written last. During an install
# it holds the word "installing", so that an interrupted install is noticed.
STAMP = VENV / ".set-up"
INSTALL = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq")


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the Python of .venv; if it does not start, the result has return code 1."""
    try:
        return subprocess.run([VENV / "bin/python", *arguments], text=True, **options)
    except OSError as error:
        return subprocess.CompletedProcess(arguments, 1, stderr=str(error))


def setup() -> None:
    """Build .venv or repair it."""
    with open(LOCK, "r+") as file:  # one set-up at a time
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up of this folder", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        place, pins = str(VENV.resolve()), file.read()
        stamp = STAMP.read_text() if STAMP.is_file() else ""
        if stamp == f"{place}\n{pins}" and python("-c", "", capture_output=True).returncode == 0:
            return
        moved_or_half_installed = stamp and stamp.split("\n")[0] != place
        if moved_or_half_installed or python("-m", "pip", "--version", capture_output=True).returncode:
            make_venv()
        STAMP.write_text("installing")
        print("Installing requirements.lock: the first time some minutes and about 6 GB", flush=True)
        if python(*INSTALL, "--require-virtualenv", "--no-compile", "-r", str(LOCK)).returncode:
            sys.exit("error: pip could not install requirements.lock; see above, then run the same command again")
        loaded = python("-c", "import torch, torchvision", stderr=subprocess.PIPE)
        if loaded.returncode:
            why = loaded.stderr.strip().rpartition("\n")[2]
            sys.exit(
                f"error: torch and torchvision do not load ({why}); if another build of torch was mixed in (pip.conf, "
                "PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL), turn that off and run make setup again"
            )
        STAMP.write_text(f"{VENV.resolve()}\n{pins}")
        print("Set-up complete")


def make_venv() -> None:
    """Replace .venv by an empty one. If it is a link, its target is kept."""
    print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
    shutil.rmtree(OLD, ignore_errors=True)
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        VENV.rename(OLD)  # so that an interrupted removal leaves no half-removed .venv
        shutil.rmtree(OLD)
    VENV.mkdir()
    STAMP.write_text("installing")
    venv.create(VENV, symlinks=True, with_pip=True)


def lock(*arguments: str) -> None:
    """Resolve with uv, for every platform and Python at once."""
    options = "--no-config --universal --python-version 3.11 --no-annotate --no-header --quiet"
    options += " --extra pipeline --extra report --extra export --extra test --no-emit-index-url --no-emit-find-links"
    options += " --fork-strategy fewest"  # one numpy for all Pythons, so that results do not depend on the Python
    with tempfile.TemporaryDirectory() as tools:
        venv.create(tools, symlinks=True, with_pip=True)
        subprocess.run([f"{tools}/bin/python", *INSTALL, "uv"], check=True)
        command = [f"{tools}/bin/uv", "pip", "compile", "pyproject.toml", "--output-file", LOCK, *options.split()]
        subprocess.run([*command, *arguments], check=True)
    print(f"Wrote {LOCK}")


if __name__ == "__main__":
    try:
        if sys.argv[1] == "lock":
            lock(*sys.argv[2:])
        else:
            setup()
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run the same command again")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
