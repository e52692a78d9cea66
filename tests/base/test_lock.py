"""One writer at a time, whatever happens to it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from segkit.base.errors import InputError
from segkit.base.lock import hold, is_held
from tests.tiny import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from segkit.base.lock import hold
with hold(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""

# Each process makes a file that only one may have made at a time, and counts how often it was let in.
CROWD = """
import os, sys
from pathlib import Path
from segkit.base.errors import InputError
from segkit.base.lock import hold
entered = 0
while entered < 100:
    try:
        with hold(Path(sys.argv[1]), "it"):
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
            os.unlink(sys.argv[2])
            entered += 1
    except InputError:
        pass
"""


def python(code: str, *arguments: object) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def holder(tmp_path: Path):
    process = python(HOLDER, tmp_path / "lock")
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_told_who_holds_it(holder, tmp_path):
    message = rf"^process {holder.pid} on \S+ is already running the cake; wait .* 'kill {holder.pid}'"
    with pytest.raises(InputError, match=message), hold(tmp_path / "lock", "the cake"):
        pass
    assert is_held(tmp_path / "lock")


def test_one_that_looks_whether_it_is_held_turns_nobody_away(tmp_path):
    """A pruning training looks at the locks of others, one of which may start at that moment."""
    looking, done = threading.Event(), threading.Event()

    def look():
        while not done.is_set():
            is_held(tmp_path / "lock")
            looking.set()
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        looking.wait()
        for number in range(200):
            with hold(tmp_path / "lock", "it"):
                entered = number + 1
        assert entered == 200
    finally:
        done.set()
        thread.join()


def test_it_ends_with_its_holder_however_that_ends(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "lock").exists()
    with hold(tmp_path / "lock", "it"):
        assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()} on ")


def test_it_is_free_again_even_when_the_work_fails(tmp_path):
    with pytest.raises(ValueError), hold(tmp_path / "deep" / "lock", "it"):
        raise ValueError
    assert not is_held(tmp_path / "deep" / "lock")


def test_no_two_of_many_get_in_at_once(tmp_path):
    crowd = [python(CROWD, tmp_path / "lock", tmp_path / "inside") for _ in range(3)]
    for process in crowd:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
