"""The table for a person."""

import json

import pytest

from segkit.base.errors import InputError
from segkit.base.files import write_json
from segkit.base.params import MODEL_NAMES
from segkit.reporting.results import results


def write_scores(folder, name: str, dice: float) -> None:
    block = {"dice": dice, "iou": 0.5, "precision": 0.25, "recall": 0.75, "pixel_accuracy": 1.0, "images": 3669}
    write_json(folder / "scores" / f"{name}.json", dict.fromkeys(("valid", "test", "test_original"), block))


def test_both_models_are_rows_of_a_markdown_table(tmp_path):
    for name, dice in zip(MODEL_NAMES, (0.91, 0.92), strict=True):
        write_scores(tmp_path, name, dice)
    lines = results(tmp_path).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 2 * 3
    assert {line.count("|") for line in table} == {8}
    assert "| unet | 3,669 test | 0.9100 | 0.5000 | 0.2500 | 0.7500 | 1.0000 |" in table
    assert "| resnet34_unet | 3,669 test, original size | 0.9200 | 0.5000 | 0.2500 | 0.7500 | 1.0000 |" in table


def test_one_model_alone_is_shown_with_its_own_places(tmp_path):
    write_scores(tmp_path, "resnet34_unet", 0.5)
    text = results(tmp_path)
    assert "models/resnet34_unet.safetensors" in text
    assert "models/unet.safetensors" not in text
    assert "| unet |" not in text


def test_nothing_evaluated_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"no .*/scores/\*\.json here; run 'make repro'"):
        results(tmp_path)


@pytest.mark.parametrize("value", [10**400, -1, 1.5, float("nan"), None, "0.5", True, [0.5]])
@pytest.mark.parametrize("key", ["dice", "images"])
def test_a_number_that_is_not_a_score_is_one_line(tmp_path, key, value):
    write_scores(tmp_path, "unet", 0.5)
    path = tmp_path / "scores/unet.json"
    scores = json.loads(path.read_text())
    scores["test"][key] = value
    path.write_text(json.dumps(scores))
    with pytest.raises(
        InputError, match=rf"unet\.json is not a file of scores \(test\.{key}: must .*; run 'dvc repro'"
    ):
        results(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"unet": ', b"{}", b"[1]", b'{"valid": {"dice": "x"}}', b"\xff"])
def test_damaged_scores_are_one_line(tmp_path, content):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores/unet.json").write_bytes(content)
    with pytest.raises(InputError, match=r"scores/unet\.json .*; run 'dvc repro'"):
        results(tmp_path)
