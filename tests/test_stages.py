"""What every stage does around its own line of work."""

import dataclasses

from segkit import params
from stages.runner import changed

BEFORE = params.load()


def test_an_edit_of_a_declared_parameter_is_seen():
    after = dataclasses.replace(BEFORE, evaluate=params.Evaluate(threshold=0.25))
    assert changed(BEFORE, after, ("seed", "evaluate")) == ["evaluate"]
    assert changed(BEFORE, after, ("evaluate.threshold",)) == ["evaluate.threshold"]


def test_an_edit_of_another_parameter_does_not_matter():
    after = dataclasses.replace(BEFORE, runtime=params.Runtime(device="cpu", devices=params.Count(1), workers=7))
    assert changed(BEFORE, after, ("seed", "train", "unet")) == []
