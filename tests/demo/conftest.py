"""A demo of two tiny networks, started as a person starts it, and watched: what it writes, and whom it calls."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from segkit.models import build
from segkit.models.checkpoint import save_checkpoint
from tests.browser import browser  # noqa: F401
from tests.tiny import ROOT, pet, quiet_torch, usable  # noqa: F401

# Python's own account of what a process does: files opened to be written, folders made, addresses asked for.
WATCHED = """
import os, sys
log = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, details):
    if event == "open" and isinstance(details[0], str) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        print("write", os.path.abspath(details[0]), file=log)
    elif event == "os.mkdir":
        print("write", os.path.abspath(details[0]), file=log)
    elif event in ("socket.connect", "socket.sendto"):
        print("call", details[1], file=log)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        print("call", details[0], file=log)
sys.addaudithook(watch)
from segkit.cli import main
sys.exit(main(sys.argv[1:]))
"""


def write_model(path: Path, seed: int, **changes: object) -> Path:
    """A checkpoint of a tiny untrained U-Net, whose probabilities are spread."""
    torch.manual_seed(seed)
    weights = build("unet", width=2).state_dict()
    *_, head, _ = weights
    save_checkpoint(path, weights | {head: weights[head] * 50}, usable("unet", {"width": 2}) | changes)
    return path


@dataclass
class Demo:
    """A running demo: its process, address, folder (with ``home``, ``temporary``, ``work``) and the watcher's log."""

    process: subprocess.Popen
    url: str
    folder: Path

    def log(self, kind: str) -> list[str]:
        """What the watcher noted of this kind."""
        lines = (self.folder / "log").read_text(encoding="utf-8").splitlines()
        return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]

    def stop(self, number: int) -> tuple[int, str, str]:
        """Send a signal; the exit status and what was printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Demo]:
    """A demo in ``folder/work``, and whatever it leaves in ``folder/home`` and ``folder/temporary``."""
    for name in ("home", "temporary", "work"):
        (folder / name).mkdir(exist_ok=True)
    foreign = ("GRADIO_", "HF_", "XDG_", "SEGKIT_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(folder / "log"), "demo", *arguments],
        cwd=folder / "work",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("Open http://") and line.endswith(" (Ctrl-C ends)\n"), line + process.stderr.read()
        yield Demo(process, line.split()[1], folder)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Iterator[Demo]:
    """A demo of the two models of a pipeline, with two examples."""
    pytest.importorskip("gradio", reason="gradio is not installed (the extra 'demo')")
    folder = tmp_path_factory.mktemp("demo")
    for seed, name in enumerate(("first", "second")):
        write_model(folder / f"work/models/{name}.safetensors", seed, threshold=(0.5, 0.4)[seed])
    (folder / "examples").mkdir()
    for number in range(2):
        pet(number, 60, 40)[0].save(folder / f"examples/example_{number}.png")
    with running(folder, "--examples", str(folder / "examples")) as demo:
        yield demo
