"""A clone of this repository in which tests run the real DVC: tiny parameters, private caches, no network."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.pipeline.import_graph import ROOT

TIMEOUT = 900  # seconds; a busy machine is no failure
TWO_THREADS = {"OMP_NUM_THREADS": "2"}  # where bits are compared, as one thread would hide sums whose order varies

# Every key that decides how long a run takes, so that an edit of params.yaml cannot make the tests slow.
TINY = {
    "data.source": "synthetic",
    "data.synthetic.samples": 30,
    "data.synthetic.test_share": 0.25,
    "data.synthetic.min_side": 48,
    "data.synthetic.max_side": 64,
    "preprocess.size": 32,
    "preprocess.normalize": "image",
    "augment.type": "combine",
    "augment.n_aug": 1,
    "augment.originals": "keep",
    "augment.min_samples": 0,
    "train.epochs": 2,
    "train.batch_size": 15,
    "train.lr": 0.001,
    "train.schedule": "constant",
    "train.select": "loss",
    "train.patience": 7,
    "train.precision": "fp32",
    "unet.width": 4,
    "unet.train": {},
    "resnet34_unet.pretrained": False,
    "resnet34_unet.train": {},
    "evaluate.threshold": 0.5,
    "evaluate.tta": "none",
    "runtime.device": "cpu",
    "runtime.workers": 2,
}


@dataclass(frozen=True)
class Workspace:
    """A working tree and the environment that commands in it get."""

    root: Path
    env: dict[str, str]

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``command`` at the root, with ``env`` added; unless it may fail, its output is the error."""
        result = subprocess.run(
            command, cwd=self.root, env=self.env | env, capture_output=True, text=True, timeout=TIMEOUT
        )
        if check and result.returncode:
            raise AssertionError(f"{command} exited with {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def dvc(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``dvc``."""
        return self.run(sys.executable, "-m", "dvc", *arguments, **options)

    def ask(self, *questions: str) -> list[str]:
        """What ``dvc`` prints for each; one process answers all, since starting DVC takes longer than an answer."""
        program = """
import os, shlex, sys
from dvc.cli import main
for number, question in enumerate(sys.argv[2:]):
    os.dup2(os.open(f"{sys.argv[1]}/{number}", os.O_WRONLY | os.O_CREAT), 1)
    if main(shlex.split(question)):
        sys.exit(f"dvc {question} failed")
    sys.stdout.flush()
"""
        with tempfile.TemporaryDirectory() as folder:
            self.run(sys.executable, "-c", program, folder, *questions)
            return [Path(folder, str(number)).read_text() for number in range(len(questions))]

    def stage(self, name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one stage's script without DVC; it may fail."""
        return self.run(sys.executable, "-m", f"stages.{name}", *arguments, **{"check": False} | options)

    def git(self, *arguments: str) -> str:
        """Run ``git`` and return what it prints."""
        return self.run("git", *arguments).stdout

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "state")

    def edit(self, values: dict[str, Any]) -> None:
        """Set dotted keys of params.yaml, known ones or not."""
        path, yaml = self.root / "params.yaml", YAML()
        params = yaml.load(path)
        for key, value in values.items():
            *sections, last = key.split(".")
            section = params
            for name in sections:
                section = section[name]
            section[last] = value
        yaml.dump(params, path)

    def copy(self, target: Path) -> "Workspace":
        """The same state in another folder."""
        shutil.copytree(self.root, target, symlinks=True, copy_function=_link_or_copy)
        return dataclasses.replace(self, root=target)


def environment(folder: Path) -> dict[str, str]:
    """The environment of commands, out of reach of the settings of the user who runs the tests."""
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "SEGKIT_"))}
    return inherited | {
        # `python` in dvc.yaml is the one that runs the tests.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(folder / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(folder / "system"),
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{name}": "tester@example.org" if name.endswith("EMAIL") else "Tester" for name in names},
        # Small tensors, and a machine that runs other tests as well.
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def plain_copy(target: Path, env: dict[str, str]) -> Workspace:
    """The tracked and the new files of this checkout with tiny parameters; no lock, no metrics, no git."""
    for name in _files():
        if name.parts[0] not in ("dvc.lock", "metrics") and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    workspace = Workspace(target, env)
    workspace.edit(TINY)
    return workspace


def _files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode == 0:
        return [Path(name) for name in listing.stdout.split("\0") if name]
    # A downloaded archive is not a git repository; the required files are then known by name.
    folders = ("segkit", "stages", "tests", "tools", ".dvc")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    found = [path for path in found if path.relative_to(ROOT).parts[:2] not in {(".dvc", "cache"), (".dvc", "tmp")}]
    found += [ROOT / name for name in ("params.yaml", "dvc.yaml", "pyproject.toml", ".gitignore", ".dvcignore")]
    return [path.relative_to(ROOT) for path in found]


def _link_or_copy(source: str, target: str) -> None:
    """Link what is large and replaced as a whole or never, as DVC itself does, and copy the rest."""
    large = "/.dvc/cache/" in source or source.endswith(".safetensors")
    (os.link if large else shutil.copy2)(source, target)


def stages_run(output: str) -> list[str]:
    """The stages that DVC ran, from what it printed, in order."""
    return re.findall(r"^Running stage '(.*)':$", output, re.MULTILINE)


def checkpoint_metadata(path: Path) -> dict[str, Any]:
    """The JSON object under the key ``segkit`` of a safetensors header, read without any of our own code."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return json.loads(header["__metadata__"]["segkit"])
