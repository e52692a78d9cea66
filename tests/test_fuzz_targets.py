"""The targets of ``python -m tests.fuzz`` hold for their own seeds and for spoilt ones, without atheris."""

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest

from segkit.dataset import decode
from tests.fuzz.__main__ import _figures, _fuzz
from tests.fuzz.target import TARGETS, Target, hold, load
from tests.tiny import ROOT


def spoilt(content: bytes, numbers: random.Random) -> bytes:
    """Three bits flipped, then perhaps cut off."""
    data = bytearray(content)
    for _ in range(3):
        data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
    return bytes(data[: numbers.choice([None, numbers.randrange(len(data))])])


@pytest.mark.filterwarnings("ignore")  # of Pillow's, which pytest shows although decode does not
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds_and_for_what_becomes_of_them(name, tmp_path):
    target, numbers, limit = load(name), random.Random(0), decode.MAX_PIXELS
    seeds = target.seeds()
    assert sum(hold(target, seed, tmp_path) for seed in seeds) >= len(seeds) / 2
    assert max(map(len, seeds)) <= target.max_len
    hold(target, b"", tmp_path)
    refused = sum(not hold(target, spoilt(seed, numbers), tmp_path) for seed in 2 * seeds)
    assert refused
    assert limit == decode.MAX_PIXELS


def raising(message: str):
    def run(content, folder):
        raise ValueError(message)

    return run


def swallowing(work):
    """What a reader that catches everything does."""

    def run(content, folder):
        try:
            work(folder)
        except Exception:
            raise ValueError("refused") from None

    return run


@pytest.mark.parametrize(
    "run",
    [
        raising("two\nlines"),
        raising("\x1b[2J"),
        raising(""),
        raising("x" * 101),
        lambda content, folder: 1 // 0,
        swallowing(lambda folder: (folder.parent / "outside").write_text("x")),
        swallowing(lambda folder: (folder.parent / "outside").mkdir()),
        swallowing(lambda folder: os.rename(folder / "a", folder.parent / "b")),
        swallowing(lambda folder: os.open(folder / ".." / "c", os.O_CREAT)),
        swallowing(lambda folder: subprocess.run(["true"])),
        swallowing(lambda folder: os.system("true")),
    ],
)
def test_a_broken_contract_is_seen(tmp_path, run):
    (tmp_path / "inner").mkdir()
    with pytest.raises((AssertionError, ZeroDivisionError)):
        hold(Target(list, run, ValueError, longest=100, max_len=1, memory=1), b"", tmp_path / "inner")


def test_what_is_allowed_passes(tmp_path):
    target = Target(list, raising(f"{tmp_path}: x"), ValueError, longest=3, max_len=1, memory=1)
    assert not hold(target, b"", tmp_path)
    assert hold(replace(target, run=lambda content, folder: (folder / "x").write_bytes(content)), b"abc", tmp_path)


def test_an_input_that_takes_long_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.target.SLOWEST", 0)
    with pytest.raises(AssertionError, match="it took 0"):
        hold(Target(list, lambda content, folder: None, ValueError, 100, 1, 1), b"", tmp_path)


def command(*arguments: object, environment: dict[str, str] = {}) -> subprocess.CompletedProcess[str]:  # noqa: B006
    line = [sys.executable, "-m", "tests.fuzz", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, check=False)


def test_a_saved_input_is_tried_again_without_atheris(tmp_path):
    (tmp_path / "input").write_bytes(b"seed: x")
    done = command("--target", "params", "--input", tmp_path / "input")
    assert (done.returncode, done.stdout) == (0, "params: refused, as it should be\n"), done.stderr


def test_without_atheris_it_says_how_to_get_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['atheris'] = None\n")
    done = command(environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == "tests.fuzz: the package atheris is missing; run pip install -e '.[fuzz]'\n"


def test_the_figures_are_read_from_what_libfuzzer_says():
    log = (
        "slowest: 0.100 s\n#10 INITED cov: 527 ft: 9\n#11 NEW    cov: 530 ft: 10\nslowest: 0.193 s\n"
        "#2015 DONE   cov: 836 ft: 12\nDone 2015 runs in 13 second(s)\n"
        "stat::number_of_executed_units: 2015\nstat::average_exec_per_sec:     155\nstat::peak_rss_mb:   46\n"
    )
    assert _figures(log) == ("13", "2015", "155", "527 to 836", "46", "0.193", "0")
    assert _figures("killed") == ("?", "?", "?", "? to ?", "?", "?", "0")


@pytest.mark.parametrize("saved", [["crash-0"], []])
def test_a_run_that_ended_before_its_time_is_no_success(monkeypatch, capsys, tmp_path, saved):
    def ended(name, target, folder, seconds, seed):
        (folder / "faults").mkdir()
        for fault in saved:
            (folder / "faults" / fault).write_bytes(b"x")
        return "#10 INITED cov: 5\nstat::number_of_executed_units: 10\n"

    monkeypatch.setattr("tests.fuzz.__main__._run_child", ended)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _fuzz("lists", minutes=1, seed=1) == 1
    said, kept = capsys.readouterr().err, next(tmp_path.glob("segkit-fuzz-lists-*"))
    assert f"lists: ended before its time; see {kept}/log.txt" in said
    assert sorted(path.name for path in kept.iterdir()) == sorted([*saved, "log.txt"])
    assert all(f"again: python -m tests.fuzz --target lists --input {kept / fault}" in said for fault in saved)
