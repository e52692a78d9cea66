"""A full disk costs no stage its former outputs, and with room again the same command, also DVC's, ends the same."""

import re
import subprocess
import sys

import pytest

from tests.pipeline.filling import UNSHARE
from tests.tiny import ROOT

pytestmark = pytest.mark.slow


def may_mount() -> bool:
    try:
        return subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not may_mount(), reason="this system lets the user mount no file system of their own")
def test_stages_on_a_full_file_system():
    """A little of what ``python -m tests.pipeline.filling`` does."""
    command = [sys.executable, "-m", "tests.pipeline.filling", "--runs", "1", "--model", "unet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1 runs refused in one line") == 5, done.stdout
    assert re.search("^dvc repro .* [12] runs failed, .* afterwards identical$", done.stdout, re.M), done.stdout
