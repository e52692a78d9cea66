"""``python -m segkit``, from outside."""

import os
import subprocess
import sys

import pytest

from segkit.base.files import write_json
from segkit.cli import main
from tests.tiny import ROOT


def segkit(*arguments: str, cwd) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("SEGKIT_DEBUG", None)
    command = [sys.executable, "-m", "segkit", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def write_scores(folder) -> None:
    block = {"dice": 0.5, "iou": 0.25, "precision": 0.125, "recall": 0.75, "pixel_accuracy": 1.0, "images": 1234}
    write_json(folder / "metrics/scores/unet.json", dict.fromkeys(("valid", "test", "test_original"), block))


def test_results_prints_a_table_and_leaves_with_0(tmp_path):
    write_scores(tmp_path)
    done = segkit("results", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| unet | 1,234 test | 0.5000 | 0.2500 | 0.1250 | 0.7500 | 1.0000 |" in done.stdout


def test_results_without_metrics_is_one_line_and_2(tmp_path):
    done = segkit("results", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("segkit results: no metrics/scores/*.json here; run 'make repro'")
    assert done.stderr.count("\n") == 1


def test_results_works_in_process_too(tmp_path, monkeypatch, capsys):
    write_scores(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["results"]) == 0
    assert "| unet |" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["results", "--no-such-option"]])
def test_wrong_usage_is_one_line_and_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("segkit") and line.endswith("see 'python -m segkit --help'\n")
    assert line.count("\n") == 1


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert "results" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "8"], "argument --size: not a size from 16 to 8192: '8'"),
        (["--size", "64x64x64"], "argument --size"),
        (["--batch", "0"], "argument --batch: not a positive int: '0'"),
        (["--seconds", "nan"], "argument --seconds"),
        (["--json", ""], "argument --json: not a file to write: ''"),
        (["--json", "/"], "argument --json: not a file to write: '/'"),
        (["--json", "none/x.json"], "argument --json: there is no folder 'none' to write 'x.json' to"),
        (["--json", "unet.safetensors"], "argument --json: not the name of a JSON file, NAME.json: 'unet.safetensors'"),
        (["--model", "vnet"], "argument --model: invalid choice: 'vnet'"),
    ],
)
def test_a_wrong_measurement_is_refused_in_one_line(tmp_path, arguments, said):
    done = segkit("bench", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_help_does_not_wait_for_torch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "segkit", "--help"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "bench" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "numpy", "PIL", "torchvision", "tensorboard"}
