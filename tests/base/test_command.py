"""How every command ends: 0, or one line on stderr and 2."""

import os
import signal
import sys

import pytest
import torch

from segkit.base.command import run_command
from segkit.base.errors import InputError


@pytest.fixture(autouse=True)
def no_debug(monkeypatch):
    monkeypatch.delenv("SEGKIT_DEBUG", raising=False)


def raising(error: BaseException):
    def work():
        raise error

    return work


def test_success_is_0_and_silent(capsys):
    assert run_command("x", lambda: "ignored") == 0
    assert capsys.readouterr() == ("", "")


def test_bad_input_is_2_and_one_line_on_stderr(capsys):
    assert run_command("train_unet", raising(InputError("first\n  second\r\nthird"))) == 2
    assert capsys.readouterr() == ("", "train_unet: first second third\n")


@pytest.mark.parametrize(
    "error",
    [
        InputError("bad"),
        ModuleNotFoundError("no torch", name="torch"),
        OSError("disk"),
        torch.OutOfMemoryError("memory"),
    ],
)
def test_debug_shows_the_traceback(monkeypatch, error):
    monkeypatch.setenv("SEGKIT_DEBUG", "1")
    with pytest.raises(type(error)):
        run_command("x", raising(error))


def test_a_missing_package_is_2_and_names_it_and_this_python(capsys):
    assert run_command("x", raising(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "'torch.nn' is missing" in line and sys.executable in line and "make setup" in line


@pytest.mark.parametrize("name", ["segkit.nothing", "stages"])
def test_a_missing_module_of_ours_is_a_bug(name):
    with pytest.raises(ModuleNotFoundError):
        run_command("x", raising(ModuleNotFoundError("gone", name=name)))


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, "x: interrupted, and finished files are kept; run the same command again to go on"),
        (signal.SIGTERM, 143, "x: ended by SIGTERM, and finished files are kept; run the same command again to go on"),
        (signal.SIGHUP, 129, "x: ended by SIGHUP"),
    ],
)
def test_a_signal_is_one_line_and_its_status(capsys, number, status, line):
    before = signal.getsignal(number)
    assert run_command("x", lambda: os.kill(os.getpid(), number)) == status
    assert line in capsys.readouterr().err
    assert signal.getsignal(number) == before


def test_a_full_or_forbidden_disk_is_2_and_says_where(capsys):
    assert run_command("x", raising(PermissionError(13, "Permission denied", "models/unet"))) == 2
    assert run_command("x", raising(OSError("no space"))) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("x: models/unet: Permission denied; ")
    assert second.startswith("x: no space; ")


def test_a_device_without_memory_is_2_and_says_what_to_lower(capsys):
    assert run_command("x", raising(torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"))) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "train.batch_size" in line


def test_a_machine_without_memory_is_2_too(capsys):
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(2**60)
    for error in (of_torch.value, MemoryError()):
        assert run_command("x", raising(error)) == 2
        assert capsys.readouterr().err == (
            "x: the device has no memory left; lower train.batch_size or preprocess.size\n"
        )


@pytest.mark.parametrize("error", [ValueError("bug"), RuntimeError("bug"), SystemExit(3)])
def test_a_bug_of_ours_is_raised(error):
    with pytest.raises(type(error)):
        run_command("x", raising(error))
