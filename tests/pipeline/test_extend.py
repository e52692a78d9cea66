"""The steps of docs/how-to/extend.md, executed as written."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.pipeline.import_graph import ROOT
from tests.pipeline.workspace import TWO_THREADS, Workspace, checkpoint_metadata, stages_run

PAGE = (ROOT / "docs/how-to/extend.md").read_text(encoding="utf-8")
WHERE = r"new|at the end|after|before|in place of"
STEP = re.compile(rf"^`([^`]+)`, ({WHERE})(?: `([^`]+)`)?:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)


def follow(root: Path, text: str) -> int:
    """Do what the steps of ``text`` say; returns how many there were."""
    steps = STEP.findall(text)
    for file, where, line, code in steps:
        path = root / file
        if where == "new":
            assert not path.exists()
            path.write_text(code)
            continue
        before = path.read_text()
        if where == "at the end":
            path.write_text(before + code)
            continue
        assert re.findall(rf"^{re.escape(line)}.*$", before, re.M), f"{file} has no line {line!r}"
        (whole,) = re.findall(rf"^{re.escape(line)}.*\n", before, re.M)
        after = {"after": whole + code, "before": code + whole, "in place of": code}[where]
        path.write_text(before.replace(whole, after))
    return len(steps)


def weights(checkpoint: bytes) -> bytes:
    """A safetensors file without its header."""
    return checkpoint[8 + int.from_bytes(checkpoint[:8], "little") :]


def test_every_section_has_steps():
    assert len(SECTIONS) == 7
    assert all(STEP.findall(text) for _, text in SECTIONS)
    assert sum(len(STEP.findall(text)) for _, text in SECTIONS) == PAGE.count("```") // 2


def test_the_block_of_a_stage_is_short():
    (block,) = [code for file, _, _, code in STEP.findall(PAGE) if "python -m stages.train tiny" in code]
    assert len(block.strip().splitlines()) <= 15


def test_the_page_works_as_written(private: Workspace):
    """All additions at once, in the order of the page; before they are used, they change no result."""
    checkpoint = private.root / "models/unet.safetensors"
    before = checkpoint.read_bytes()
    for _, text in SECTIONS:
        follow(private.root, text)
    everything = stages_run(private.dvc("repro", "evaluate@unet", "evaluate@tiny", **TWO_THREADS).stdout)
    assert {"train_tiny", "evaluate@tiny", "train_unet", "evaluate@unet"} <= set(everything)
    assert not {"preprocess"} & set(everything), "the drawn images are the same, so nothing after download changed"
    assert weights(checkpoint.read_bytes()) == weights(before)
    scores = json.loads((private.root / "metrics/scores/tiny.json").read_text())
    assert 0 <= scores["test"]["specificity"] <= 1

    private.edit({
        "data.source": "circles", "train.loss.focal": 1.0, "train.schedule": "polynomial", "train.optimizer": "sgd",
        "augment.combine.zoom": 0.2, "train.lr": 0.1,
    })  # fmt: skip
    private.dvc("repro", "train_tiny")
    metadata = checkpoint_metadata(private.root / "models/tiny.safetensors")
    assert metadata["architecture"] == {"width": 8}
    assert metadata["train"]["loss"] == {"cross_entropy": 1.0, "dice": 1.0, "focal": 1.0}
    assert (metadata["train"]["optimizer"], metadata["train"]["schedule"]) == ("sgd", "polynomial")
    assert metadata["combine"]["zoom"] == 0.2
    assert sum(metadata["samples"].values()) == 2 * 43  # of 60 circles 12 are for testing, 5 for validation
    curves = (private.root / "metrics/curves/tiny.csv").read_text().splitlines()
    assert float(curves[-1].split(",")[-1]) < 0.1  # the schedule lowered the rate


@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_each_section_can_be_followed_alone(tree: Workspace, title: str, text: str):
    assert follow(tree.root, text)
    tree.run(sys.executable, "-c", "from segkit.base import params; params.load()")
