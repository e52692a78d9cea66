"""``download`` killed at any moment: the same command continues, and the result is that of an undisturbed run."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.workspace import Workspace
from tests.sources.loopback import Site, member, pack, serve

IMAGES, ANNOTATIONS = "images.tar.gz", "annotations.tar.gz"
LISTS = [member(f"annotations/{name}.txt", b"A_1 1 1 1\n") for name in ("list", "trainval", "test")]
PICTURES = [member(f"images/A_{number}.jpg", os.urandom(200)) for number in range(4000)]


@pytest.fixture
def site() -> Iterator[Site]:
    archives = {ANNOTATIONS: pack(*LISTS, member("annotations/trimaps/A_1.png")), IMAGES: pack(*PICTURES)}
    with serve(Site(archives)) as site:
        yield site


@pytest.fixture
def workspace(tree: Workspace, site: Site) -> Workspace:
    tree.edit({"data.source": "oxford_pet", "data.oxford_pet.urls": [site.url]})
    return dataclasses.replace(tree, env=tree.env | {"no_proxy": "127.0.0.1"})


def kill_when(workspace: Workspace, reached: Callable[[], bool]) -> None:
    """Start the stage and end it by SIGKILL at the first moment at which ``reached`` holds."""
    command = [sys.executable, "-m", "stages.download"]
    with subprocess.Popen(command, cwd=workspace.root, env=workspace.env, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not reached():
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"


def content(workspace: Workspace) -> dict[str, bytes]:
    raw = workspace.root / "data/raw/download"
    files = {path.relative_to(raw).as_posix(): path.read_bytes() for path in raw.rglob("*") if path.is_file()}
    record = json.loads(files.pop("checksums.json"))
    assert record == {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    return files


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


EXPECTED = {info.name: body for info, body in [*LISTS, *PICTURES]} | {"annotations/trimaps/A_1.png": b"x"}


def test_killed_in_an_archive_only_the_rest_is_fetched(workspace: Workspace, site: Site):
    part = workspace.root / ".segkit/downloads" / f"{IMAGES}.part"
    half = len(site.files[IMAGES]) // 2
    site.stall = (IMAGES, half, threading.Event())
    kill_when(workspace, lambda: part.exists() and part.stat().st_size > half - 10_000)
    site.stall[2].set()
    site.stall = None
    assert not (workspace.root / "data/raw/download").exists()
    kept = part.stat().st_size
    assert site.files[IMAGES].startswith(part.read_bytes()) and kept <= half
    site.asked.clear()

    workspace.stage("download", check=True)
    whole = len(site.files[ANNOTATIONS])
    assert site.asked == [("SHA256SUMS", None), (ANNOTATIONS, f"bytes={whole}-"), (IMAGES, f"bytes={kept}-")]
    assert content(workspace) == EXPECTED
    assert names(part.parent) == set()


def test_killed_while_unpacking_nothing_half_done_stays(workspace: Workspace, site: Site):
    raw = workspace.root / "data/raw"
    images = raw / ".download.partial/.unpacking" / IMAGES / "images"
    kill_when(workspace, lambda: images.exists() and any(images.iterdir()))
    assert names(raw) == {".download.partial"}
    assert 0 < len(names(images)) < len(PICTURES)
    site.asked.clear()

    workspace.stage("download", check=True)
    ends = [(name, f"bytes={len(site.files[name])}-") for name in (ANNOTATIONS, IMAGES)]
    assert site.asked == [("SHA256SUMS", None), *ends]
    assert content(workspace) == EXPECTED
    assert names(raw) == {"download"} and names(workspace.root / ".segkit/downloads") == set()
