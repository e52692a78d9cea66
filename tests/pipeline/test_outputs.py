"""What a run leaves behind has the documented form, and nothing in it changes from run to run."""

import csv
import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.base.params import MODEL_NAMES
from tests.pipeline.declarations import read_yaml, recorded
from tests.pipeline.import_graph import ROOT
from tests.pipeline.workspace import Workspace, checkpoint_metadata

SHARES = ("dice", "dice_global", "iou", "iou_global", "precision", "recall")
SHARES += ("pixel_accuracy", "pixel_accuracy_batch", "dice_of_nothing", "dice_of_everything")
CURVES = ["epoch", "train_loss", "valid_loss", "train_dice", "valid_dice", "lr"]
SIZED = ["dice", "iou", "tp", "fp", "fn", "tn"]
KINDS = ["foreground", "brightness", "touches_edge", "objects", "missed", "false_alarms", "holes", "fragments"]
PER_IMAGE = ["split", "name", "group", *SIZED, *(f"{column}_original" for column in SIZED), *KINDS]
TRAINING = {"epochs", "best_epoch", "best_valid_loss", "best_valid_dice", "stopped_early", "parameters"}
SPLITS = ("train", "valid", "test")
SIZE = 32

each_model = pytest.mark.parametrize("name", MODEL_NAMES)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def metrics(workspace: Workspace, name: str) -> dict:
    """A JSON file of metrics/: ``NAME``, ``scores/NAME`` or ``training/NAME``."""
    return json.loads((workspace.root / f"metrics/{name}.json").read_text())


@pytest.mark.parametrize("split", SPLITS)
def test_packed_split_has_the_documented_arrays(reproduced: Workspace, split: str):
    folder = reproduced.root / "data/processed" / split
    images, masks = np.load(folder / "images.npy"), np.load(folder / "masks.npy")
    assert images.dtype == masks.dtype == np.uint8
    assert images.shape == (len(masks), SIZE, SIZE, 3) and masks.shape == (len(masks), SIZE, SIZE)
    assert set(np.unique(masks)) == {0, 1}, "border is foreground here, so no pixel is ignored"


def test_samples_csv_names_every_row_of_every_split(reproduced: Workspace):
    samples = rows(reproduced.root / "data/processed/samples.csv")
    assert list(samples[0])[:6] == ["split", "row", "name", "group", "width", "height"]
    assert list(samples[0])[6:] == ["top", "left", "bottom", "right", "content_height", "content_width"]
    assert len({sample["name"] for sample in samples}) == len(samples) == 30
    for split in SPLITS:
        count = len(np.load(reproduced.root / "data/processed" / split / "images.npy"))
        numbers = [int(sample["row"]) for sample in samples if sample["split"] == split]
        assert numbers == list(range(count))
    assert all(48 <= max(int(sample["width"]), int(sample["height"])) <= 64 for sample in samples)


def test_training_plan_has_the_originals_and_one_copy(reproduced: Workspace):
    plan = rows(reproduced.root / "data/augmented/plan.csv")
    count = len(np.load(reproduced.root / "data/processed/train/images.npy"))
    assert [row["transform"] for row in plan] == ["none"] * count + ["combine"] * count
    Image.open(reproduced.root / "data/augmented/preview.png").verify()


@each_model
def test_checkpoint_alone_tells_everything_needed_to_use_it(reproduced: Workspace, name: str):
    metadata = checkpoint_metadata(reproduced.root / f"models/{name}.safetensors")
    assert metadata["model"] == name
    assert metadata["source"] == "synthetic"
    assert metadata["input_size"] == [SIZE, SIZE]
    assert metadata["threshold"] == 0.5
    assert metadata["classes"] == {"0": "background", "1": "foreground"}
    assert metadata["precision"] == "fp32"
    assert metadata["train"]["lr"] == 0.001 and metadata["train"]["epochs"] == 2
    assert {"architecture", "normalize", "seed", "version"} <= set(metadata)
    assert re.fullmatch("[0-9a-f]{64}", metadata["data_fingerprint"]) and "code" not in metadata
    training = metrics(reproduced, f"training/{name}")
    assert metadata["valid"]["dice"] == training["best_valid_dice"]
    assert metadata["valid"]["loss"] == training["best_valid_loss"]


@each_model
def test_training_metrics_belong_to_the_curves(reproduced: Workspace, name: str):
    values = metrics(reproduced, f"training/{name}")
    assert set(values) == TRAINING
    curves = rows(reproduced.root / f"metrics/curves/{name}.csv")
    assert list(curves[0]) == CURVES
    assert [row["epoch"] for row in curves] == ["1", "2"]
    losses = [float(row["valid_loss"]) for row in curves]
    assert values["epochs"] == len(curves)
    assert values["best_epoch"] == 1 + losses.index(min(losses))
    assert values["best_valid_loss"] == pytest.approx(min(losses), rel=1e-5)
    assert values["stopped_early"] is False


@each_model
def test_evaluation_has_every_score_of_every_split(reproduced: Workspace, name: str):
    values = metrics(reproduced, f"scores/{name}")
    assert list(values) == ["valid", "test", "test_original", "test_original_no_border"]
    for block in values.values():
        assert set(block) == {*SHARES, "images"}
        assert all(0 <= block[share] <= 1 for share in SHARES)
        assert block["dice_global"] == pytest.approx(2 * block["iou_global"] / (1 + block["iou_global"]))
    assert values["test"]["images"] == values["test_original"]["images"]


@each_model
def test_validation_score_of_training_and_evaluation_agree(reproduced: Workspace, name: str):
    training, evaluation = metrics(reproduced, f"training/{name}"), metrics(reproduced, f"scores/{name}")
    assert evaluation["valid"]["dice"] == pytest.approx(training["best_valid_dice"], abs=1e-3)


@each_model
def test_dvc_s_metrics_are_the_five_numbers_of_the_contract(reproduced: Workspace, name: str):
    scores, training = metrics(reproduced, f"scores/{name}"), metrics(reproduced, f"training/{name}")
    assert metrics(reproduced, name) == {
        "dice": scores["test"]["dice"],
        "iou": scores["test"]["iou"],
        "dice_original": scores["test_original"]["dice"],
        "valid_dice": scores["valid"]["dice"],
        "valid_loss": training["best_valid_loss"],
    }


@each_model
def test_per_image_scores_add_up_to_the_metrics(reproduced: Workspace, name: str):
    images = rows(reproduced.root / f"metrics/per_image/{name}.csv")
    block = metrics(reproduced, f"scores/{name}")["test"]
    assert list(images[0]) == PER_IMAGE
    assert {row["split"] for row in images} == {"test"} and len(images) == block["images"]
    tp, fp, fn, tn = (sum(int(row[key]) for row in images) for key in ("tp", "fp", "fn", "tn"))
    assert tp + fp + fn + tn == len(images) * SIZE * SIZE
    assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(block["dice_global"])
    assert np.mean([float(row["dice"]) for row in images]) == pytest.approx(block["dice"], abs=1e-6)


def test_both_models_show_the_same_pictures_under_the_same_names(reproduced: Workspace):
    folders = [reproduced.root / "metrics/pictures" / name for name in MODEL_NAMES]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    assert {"sample_01.png", "sample_overview.png", "worst_01.png"} <= set(names[0])
    assert {path.suffix for folder in folders for path in folder.iterdir()} == {".png"}


@each_model
def test_logs_lie_outside_the_tracked_files(reproduced: Workspace, name: str):
    folder = reproduced.root / "runs/workspace" / name
    assert list(folder.glob("events.out.tfevents.*"))
    assert {"seconds", "training_images_per_second"} <= set(json.loads((folder / "timing.json").read_text()))


CHANGING = {
    "a date": r"\b(19|20)\d\d-\d\d-\d\d\b",
    "a time of day": r"\b\d\d:\d\d:\d\d\b",
    "a commit": r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])",
    "an absolute path": r"""(?:^|[\s"'=,(\[])(?:/[A-Za-z][\w.-]*/|[A-Za-z]:\\)""",
    "a key for a time or a place": r'"(?:\w*_)?(?:time|date|seconds|host|hostname|user|commit|path)"\s*:',
}


def text_outputs(workspace: Workspace) -> dict[str, str]:
    """What a run writes as text: what git tracks, what DVC caches, and the checkpoints' headers."""
    root = workspace.root
    paths = [root / "dvc.lock", *root.glob("metrics/**/*.*"), *root.glob("data/**/*.*"), *root.glob("models/*.md")]
    texts = {path: path.read_text() for path in paths if path.suffix in (".lock", ".json", ".csv", ".txt", ".md")}
    texts |= {path: json.dumps(checkpoint_metadata(path)) for path in root.glob("models/*.safetensors")}
    return {path.relative_to(root).as_posix(): text for path, text in texts.items()}


def test_no_output_names_a_time_a_host_a_path_or_a_commit(reproduced: Workspace):
    texts = text_outputs(reproduced)
    kinds = ("metrics/scores/{}.json", "models/{}.md")
    assert {kind.format(name) for kind in kinds for name in MODEL_NAMES} | {"dvc.lock"} <= set(texts)
    patterns = CHANGING | {
        "the folder": re.escape(str(reproduced.root)),
        "the host": rf"\b{re.escape(socket.gethostname())}\b",
    }
    found = {
        f"{path} holds {what}: {match.group()!r}"
        for path, text in texts.items()
        for what, pattern in patterns.items()
        if (match := re.search(pattern, text, re.MULTILINE))
    }
    assert found == set()


def test_no_picture_carries_a_time_or_a_comment(reproduced: Workspace):
    pictures = [
        *reproduced.root.glob("metrics/pictures/*/*.png"),
        reproduced.root / "data/augmented/preview.png",
    ]
    assert {path.name: Image.open(path).info for path in pictures if Image.open(path).info} == {}


@pytest.mark.skipif(not (ROOT / "dvc.lock").is_file(), reason="dvc.lock not committed yet")
@each_model
def test_committed_metrics_are_of_the_committed_parameters(name: str):
    values = json.loads((ROOT / f"metrics/training/{name}.json").read_text())
    params = read_yaml(ROOT / "params.yaml")
    assert values["epochs"] <= (params["train"] | params[name]["train"])["epochs"]
    assert f"evaluate@{name}" in recorded(ROOT)
