"""How every command ends: 0, or one line on stderr and 2."""

import os
import re
import signal
import subprocess
import sys
import tomllib

import pytest
import torch

from segkit.base import command
from segkit.base.command import run_command
from segkit.base.errors import InputError
from tests.tiny import ROOT


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


@pytest.mark.parametrize(
    ("name", "packages"),
    [("onnxruntime", "onnx onnxscript onnxruntime"), ("onnx.helper", "onnx "), ("gradio", "gradio")],
)
def test_a_missing_optional_package_is_installed_by_pip(capsys, name, packages):
    assert run_command("x", raising(ModuleNotFoundError(f"No module named {name!r}", name=name))) == 2
    line = capsys.readouterr().err
    assert f"it is optional; install it with '{sys.executable} -m pip install {packages}" in line
    assert "make setup" not in line


def test_optional_packages_are_those_of_the_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {re.match(r"\w+", package)[0] for extra in ("export", "demo", "report") for package in extras[extra]}
    assert {package for packages in command.OPTIONAL for package in packages} == named


@pytest.mark.parametrize("name", ["segkit.nothing", "stages"])
def test_a_missing_module_of_ours_is_a_bug(name):
    with pytest.raises(ModuleNotFoundError):
        run_command("x", raising(ModuleNotFoundError("gone", name=name)))


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, "x: interrupted; finished files are kept; run the same command again to resume"),
        (signal.SIGTERM, 143, "x: ended by SIGTERM; finished files are kept; run the same command again to resume"),
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


def test_a_full_disk_while_copying_names_the_copy(capsys):
    assert run_command("x", raising(OSError(28, "No space left on device", "source.png", None, "target.png"))) == 2
    assert capsys.readouterr().err.startswith("x: target.png: No space left on device; ")


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
            "x: the device is out of memory; lower train.batch_size or preprocess.size\n"
        )


@pytest.mark.parametrize("error", [ValueError("bug"), RuntimeError("bug"), SystemExit(3)])
def test_a_bug_of_ours_is_raised(error):
    with pytest.raises(type(error)):
        run_command("x", raising(error))


PRINTS = """
import sys
import tomllib
from segkit.base import command
from segkit.base.command import run_command

def work():
    for number in range(20_000):
        print("line", number)
    print("on stderr", file=sys.stderr)
    open("finished", "w").close()

sys.exit(run_command("x", work))
"""
SAYS = """
from segkit.base import command
from segkit.base.command import run_command
exit(run_command("x", lambda: print("{}")))
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("lines", [0, 1])
def test_a_closed_pipe_is_no_fault_and_the_work_goes_on(tmp_path, lines):
    command, pipes = [sys.executable, "-c", PRINTS], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, **pipes) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"on stderr\n"
        assert process.wait(timeout=60) == 0
    assert (tmp_path / "finished").exists()


def test_both_pipes_may_be_closed(tmp_path):
    command, pipes = [sys.executable, "-c", PRINTS], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, **pipes) as process:
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=60) == 0
    assert (tmp_path / "finished").exists()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_were_never_open_are_no_fault(tmp_path, closed):
    (tmp_path / "x.py").write_text(PRINTS)
    command = f"'{sys.executable}' x.py {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=ENVIRONMENT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and (tmp_path / "finished").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_to_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "x.py").write_text(SAYS.format("a"))
    command = f"'{sys.executable}' x.py >/dev/full"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("x: ") and "No space left" in done.stderr and done.stderr.count("\n") == 1


def test_a_name_that_the_terminal_cannot_show_is_no_fault(tmp_path):
    (tmp_path / "x.py").write_text(SAYS.format("Gr\u00f6\u00dfe \u2026"), encoding="utf-8")
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "x.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "Gr" in done.stdout
