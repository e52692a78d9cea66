"""A disk that is full at any position of a write: the last good file stays, no partial file is left, and the error says
where it was. A limit on the file size simulates the full disk; it ends a write at any byte."""

import os
import subprocess
import sys

import pytest

from tests.tiny import ROOT

START = """
import hashlib, resource, sys
from pathlib import Path
import numpy as np, torch
from segkit.base import files
from tests.tiny import usable

def json_file(version):
    files.write_json(folder / "x", {str(i): version for i in range(200)})
    return folder / "x"

def csv_file(version):
    files.write_csv(folder / "x", ["a", "b"], [[i, version] for i in range(300)])
    return folder / "x"

def checkpoint(version):
    from segkit.models import build
    from segkit.models.checkpoint import save_checkpoint
    torch.manual_seed(version)
    save_checkpoint(folder / "x", build("unet", width=1).state_dict(), usable("unet", {"width": 1}))
    return folder / "x"

def state(version):
    import os
    from segkit.training.state import SavedState
    os.environ["DVC_ROOT"] = str(folder)
    saved = SavedState("unet", "a" * 64)
    saved.write({"w": torch.full((3000,), float(version)), "epoch": version})
    return saved.path

def whole_folder(version):
    with files.atomic_folder(folder / "x") as target:
        (target / "a").write_bytes(bytes([version]) * 3000)
    return folder / "x" / "a"

for name in sys.argv[2:]:
    write, folder = globals()[name], Path(sys.argv[1]) / name
    folder.mkdir()
    path = write(1)
    before, size = path.read_bytes(), path.stat().st_size
    refused = 0
    for limit in np.unique(np.linspace(0, size - 1, 60).astype(int)).tolist():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(2)
        except OSError as error:
            assert error.strerror and error.filename, (name, limit, error)
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert path.read_bytes() == before, (name, limit)
        partial = [p for p in folder.rglob("*") if "partial" in p.name]
        assert not partial, (name, limit, partial)
    assert path == write(2) and path.read_bytes() != before, name
    print(name, refused, size)
"""

WRITERS = ("json_file", "csv_file", "checkpoint", "state", "whole_folder")


@pytest.mark.slow
def test_a_full_disk_at_any_position(tmp_path):
    command = [sys.executable, "-c", START, str(tmp_path), *WRITERS]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _, _ in said] == [*WRITERS]
    for name, refused, size in said:
        assert int(size) > 1000 and int(refused) == 60, name
