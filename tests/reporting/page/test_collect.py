"""What the page is read from, and that nothing else is taken for it."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
import yaml

from segkit.base.errors import InputError
from segkit.base.files import read_json, write_json
from segkit.base.workspace import Paths
from segkit.models.counts import dice_per_image
from segkit.reporting.page.collect import collect
from tests.reporting.page.conftest import ODD

pytestmark = pytest.mark.slow  # two networks are evaluated


def edit(path, column: str, value: str) -> None:
    """Change one number of a CSV file's first row."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][column] = value
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def lock(folder, **stages) -> None:
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


def out(path: str) -> dict[str, str]:
    with open(path, "rb") as file:
        return {"path": path, "md5": hashlib.file_digest(file, "md5").hexdigest()}


def test_both_networks_on_the_same_images(project, monkeypatch):
    monkeypatch.chdir(project)
    run = collect(Paths())
    assert [network.title for network in run.networks] == ["U-Net", "ResNet34-UNet"]
    assert ODD in run.names and len(run.names) == 31
    for network in run.networks:
        assert np.array_equal(network.dice, dice_per_image(network.counts))
        assert network.dice.mean() == pytest.approx(network.scores.test.dice, abs=1e-12)
    first, second = run.networks
    assert first.recorded_in.parts[-2:] == ("workspace", "unet") and second.epochs is None


def test_a_record_of_another_training_is_not_used(copy):
    path = copy / "runs/workspace/unet/epochs.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert collect(Paths()).networks[0].epochs is None


def test_nothing_evaluated(copy):
    shutil.rmtree("metrics")
    with pytest.raises(InputError, match=r"nothing is evaluated yet: .*; run 'dvc repro'"):
        collect(Paths())


@pytest.mark.parametrize("path", [
    "metrics/per_image/unet.csv", "metrics/analysis/unet/boundary.csv", "metrics/training/unet.json",
    "metrics/curves/unet.csv", "models/unet.safetensors", "data/processed/summary.json",
])  # fmt: skip
def test_a_missing_file_is_named(copy, path):
    (copy / path).unlink()
    with pytest.raises(InputError, match=f"{path} is missing"):
        collect(Paths())


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"valid": 1}', "null", '"x"', "\x00"])
def test_scores_that_no_stage_wrote(copy, content):
    (copy / "metrics/scores/unet.json").write_text(content)
    with pytest.raises(InputError, match=r"metrics/scores/unet\.json is not "):
        collect(Paths())


@pytest.mark.parametrize("score", ["dice", "iou_global", "recall", "pixel_accuracy_batch"])
def test_an_edited_score_is_refused(copy, score):
    path = copy / "metrics/scores/unet.json"
    scores = read_json(path)
    scores["test"][score] = 0.99
    write_json(path, scores)
    with pytest.raises(InputError, match=rf"scores/unet\.json: test\.{score} is not that of .*/unet\.csv"):
        collect(Paths())


@pytest.mark.parametrize(("column", "value"), [("dice", "0.99"), ("tp", "7")])
def test_an_edited_image_is_refused(copy, column, value):
    edit(copy / "metrics/per_image/unet.csv", column, value)
    with pytest.raises(InputError, match=r"per_image/unet\.csv does not fit itself or .*edited"):
        collect(Paths())


def test_an_analysis_of_another_evaluation_is_refused(copy):
    edit(copy / "metrics/analysis/unet/histogram.csv", "images", "1000")
    with pytest.raises(InputError, match=r"histogram\.csv is of another evaluation"):
        collect(Paths())


def test_what_dvc_recorded_is_what_is_shown(copy):
    paths = ("metrics/scores/unet.json", "metrics/curves/unet.csv")
    stages = {"train_unet": {"outs": [out(paths[1])]}, "evaluate@unet": {"outs": [out(paths[0])]}}
    lock(copy, **stages)
    collect(Paths())
    edit(copy / "metrics/curves/unet.csv", "valid_dice", "0.99")
    with pytest.raises(InputError, match=r"curves/unet\.csv is not the one that dvc\.lock records"):
        collect(Paths())


def test_a_recorded_folder_is_compared_file_by_file(copy):
    folder = copy / "metrics/analysis/unet"
    files = [out(f"metrics/analysis/unet/{path.name}") for path in sorted(folder.iterdir())]
    listed = [{"md5": file["md5"], "relpath": file["path"].rpartition("/")[2]} for file in files]
    digest = hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    lock(copy, **{"evaluate@unet": {"outs": [{"path": "metrics/analysis/unet", "md5": f"{digest}.dir"}]}})
    collect(Paths())
    edit(folder / "reliability.csv", "foreground", "0.5")
    with pytest.raises(InputError, match="analysis/unet is not the one"):
        collect(Paths())


def test_settings_must_be_those_of_the_results(copy):
    recorded = {"params.yaml": {"evaluate": {"threshold": 0.5, "tta": "flip"}}}
    lock(copy, **{"evaluate@unet": {"params": recorded}})
    collect(Paths())
    recorded["params.yaml"]["evaluate"]["threshold"] = 0.4
    lock(copy, **{"evaluate@unet": {"params": recorded}})
    with pytest.raises(InputError, match=r"has evaluate\.threshold: 0\.5, but the results of unet are of 0\.4"):
        collect(Paths())


def test_a_setting_that_the_results_lack_is_refused(copy):
    lock(copy, **{"train_unet": {"params": {"params.yaml": {"unet": {"width": 64, "norm": "batch", "train": {}}}}}})
    collect(Paths())
    path = copy / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["unet"]["train"] = {"lr": 0.01}
    path.write_text(yaml.safe_dump(params))
    with pytest.raises(
        InputError, match=r"has unet\.train\.lr: 0\.01, but the results of unet have no such setting; run 'dvc repro'"
    ):
        collect(Paths())


def test_numbers_are_read_as_dvc_writes_them(copy):
    path = copy / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["data"]["folder"]["range"] = [0, 1e-05]
    path.write_text(yaml.safe_dump(params).replace("1.0e-05", "1e-05"))
    text = "stages:\n  preprocess:\n    params:\n      params.yaml:\n        data.folder.range: [0, 1e-05]\n"
    (copy / "dvc.lock").write_text(text)
    assert [network.name for network in collect(Paths()).networks] == ["unet"]


def test_data_that_were_made_again_are_not_those_of_the_results(copy):
    stages = {
        "preprocess": {"outs": [{"path": "data/processed", "md5": "b"}]},
        "train_unet": {"deps": [{"path": "data/processed", "md5": "a"}, {"path": "segkit/models", "md5": "c"}]},
    }
    lock(copy, **stages)
    with pytest.raises(InputError, match=r"data/processed was made again, and the results of unet are of the earlier"):
        collect(Paths())
    stages["preprocess"]["outs"][0]["md5"] = "a"
    lock(copy, **stages)
    collect(Paths())
