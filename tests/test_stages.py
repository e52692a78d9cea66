"""What every stage does around its own line of work."""

import dataclasses
import importlib

import pytest

from segkit import params
from stages.runner import changed
from tests.pipeline.declarations import declared
from tests.pipeline.import_graph import ROOT

BEFORE = params.load()
STAGES = declared(ROOT)


def test_an_edit_of_a_declared_parameter_is_seen():
    after = dataclasses.replace(BEFORE, evaluate=params.Evaluate(threshold=0.25))
    assert changed(BEFORE, after, ("seed", "evaluate")) == ["evaluate"]
    assert changed(BEFORE, after, ("evaluate.threshold",)) == ["evaluate.threshold"]


def test_an_edit_of_another_parameter_does_not_matter():
    after = dataclasses.replace(BEFORE, runtime=params.Runtime(device="cpu", workers=7))
    assert changed(BEFORE, after, ("seed", "train", "unet")) == []


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_what_a_stage_watches_is_what_dvc_yaml_declares(stage):
    assert set(importlib.import_module(f"stages.{stage.script}").KEYS) == stage.params
