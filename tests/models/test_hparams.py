"""The row of TensorBoard's HParams tab, whatever the metadata hold."""

import pytest

from segkit.base.files import read_json, write_json
from segkit.models.hparams import best, best_epoch, hparams, summaries
from tests.tiny import usable

METADATA = usable("unet", {"width": 4, "norm": "batch"}, train={"lr": 0.01, "loss": {"dice": 1.0}}, pretrained=False)


def test_settings_have_dotted_keys_and_no_lists():
    found = hparams(METADATA | {"data_fingerprint": "0123456789abcdef", "classes": {"0": "background"}})
    assert found == {
        "model": "unet",
        "architecture.width": 4,
        "architecture.norm": "batch",
        "input_size": "32x32",
        "normalize.kind": "image",
        "border": "foreground",
        "train.lr": 0.01,
        "train.loss.dice": 1.0,
        "pretrained": "false",
        "data": "01234567",
    }


def test_how_a_checkpoint_is_evaluated_is_no_setting_of_its_training():
    assert hparams(METADATA | {"threshold": 0.3, "tta": "flip", "valid": {"loss": 0.1}}) == hparams(METADATA)


def nested(levels: int) -> dict:
    tree = {"end": 1}
    for _ in range(levels):
        tree = {"deeper": tree}
    return tree


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), float("inf"), "\ud800", "x" * 9999, {"\ud800\n": 1}, nested(900), None, [1], {}]
)
def test_whatever_a_file_holds_can_be_shown_or_is_left_out(value, tmp_path):
    found = hparams(METADATA | {"more": value, "data_fingerprint": value})
    assert hparams(METADATA).keys() <= found.keys()
    assert len(summaries(found)) == 2
    write_json(tmp_path / "hparams.json", found)
    assert read_json(tmp_path / "hparams.json") == found


@pytest.mark.parametrize("epoch", [None, "3", True, -1, 10**400, 2.5])
def test_scores_that_are_no_numbers_are_left_out(epoch):
    metadata = METADATA | {"valid": {"loss": 0.5, "dice": "high", "epoch": epoch}}
    assert best(metadata) == {"best/valid_loss": 0.5} and best_epoch(metadata) == 0


def test_the_scores_of_the_weights():
    metadata = METADATA | {"valid": {"loss": 0.5, "dice": 0.75, "epoch": 3}}
    assert best(metadata) == {"best/valid_dice": 0.75, "best/valid_loss": 0.5} and best_epoch(metadata) == 3
