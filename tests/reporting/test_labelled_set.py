"""``python -m segkit evaluate``: the scores of the stage, for any folder, or one line that says why not."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.files import read_json
from segkit.base.workspace import Paths
from segkit.cli import main
from segkit.evaluation.evaluate import evaluate
from segkit.inference.networks import open_network
from segkit.models import build
from segkit.models.checkpoint import save_checkpoint
from segkit.reporting import labelled_set
from segkit.reporting.labelled_set import any_folder, evaluate_folder
from tests.tiny import RawSet, make_project, pet, small_params, spelled, usable

SIZE = (24, 32)
CELLS = ("tp", "fp", "fn", "tn")
FOLDERS = ("--images", "images", "--masks", "masks")
COMMAND = ["evaluate", "net.safetensors", *FOLDERS, "--device", "cpu", "--json", "s.json"]


class Reddish:
    """A network that takes what is red for foreground: no more than ``segkit evaluate`` may ask for."""

    def __init__(self, **metadata) -> None:
        self.metadata = usable("unet", {"width": 4}, input_size=list(SIZE), **metadata)

    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures[..., 0].float() / 255


def write_checkpoint(path: Path, **metadata) -> None:
    """A network of random weights that calls about half of all pixels foreground."""
    torch.manual_seed(3)
    model = build("unet", width=4).eval()
    with torch.inference_mode():
        logits = model(torch.randn(8, 3, *SIZE))
        model.head.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    save_checkpoint(path, model.state_dict(), usable("unet", {"width": 4}, input_size=list(SIZE), **metadata))


def labelled(folder: Path, pairs) -> tuple[str, str]:
    """Write images and masks by name; the two folders."""
    for name, image, mask in pairs:
        for kind, picture in (("images", image), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            picture.save(folder / kind / f"{name}.png")
    return str(folder / "images"), str(folder / "masks")


def pets(number: int) -> list[tuple]:
    return [(f"p{i}", *pet(i, 36 + i % 5, 30 + i % 3)) for i in range(number)]


def scored(network, folders: tuple[str, str], file: Path, **changes) -> dict:
    evaluate_folder(network, any_folder(*folders), workers=2, json_file=file, **changes)
    return read_json(file)


@pytest.mark.parametrize(
    ("resize", "border"),
    [("stretch", "foreground"), ("stretch", "background"), ("fit", "ignore"), ("tile", "foreground")],
)
def test_the_scores_of_the_same_files_are_those_of_the_stage(tmp_path, monkeypatch, resize, border):
    monkeypatch.setattr("segkit.evaluation.evaluate.PICTURES", 1)  # drawing them takes longer than the scores
    raw = make_project(tmp_path, size=SIZE, resize=resize, border=border)
    write_checkpoint(tmp_path / "models/unet.safetensors", resize=resize, border=border, tta="flip")
    paths = Paths(tmp_path / "data/processed", models=tmp_path / "models", metrics=tmp_path / "metrics")
    evaluate("unet", small_params(preprocess__size=list(SIZE)), paths)
    for kind, place in (("images", raw.picture), ("masks", raw.mask)):
        (tmp_path / kind).mkdir()
        for name in raw.lists["test"]:
            shutil.copy(place(name), tmp_path / kind)
    network = open_network(tmp_path / "models/unet.safetensors", "cpu")
    found = scored(network, (str(tmp_path / "images"), str(tmp_path / "masks")), tmp_path / "scores.json")
    stage = read_json(tmp_path / "metrics/scores/unet.json")
    assert 0.01 < found["scores"]["original"]["dice"] < 0.9
    for block in ("original", "original_no_border"):
        expected = stage[f"test_{block}"]
        del expected["pixel_accuracy_batch"]  # depends on the order of the images
        assert found["scores"][block] == pytest.approx(expected, abs=1e-9)
        for kind in ("nothing", "everything"):
            assert found["baselines"][kind][block]["dice"] == pytest.approx(stage[f"test_{block}"][f"dice_of_{kind}"])
    images = {image["name"]: image["original"] for image in found["images"]}
    with open(tmp_path / "metrics/per_image/unet.csv", newline="") as file:
        for row in csv.DictReader(file):
            assert [images[row["name"]][cell] for cell in CELLS] == [int(row[f"{cell}_original"]) for cell in CELLS]
            assert images[row["name"]]["dice"] == pytest.approx(float(row["dice_original"]), abs=1e-6)


def test_one_image_is_enough_and_the_command_needs_no_params_yaml(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path("net.safetensors"))
    image, trimap = pet(1)
    labelled(Path(), [("cat", image, Image.fromarray(np.uint8([0, 255, 0, 255])[np.asarray(trimap)]))])
    assert main(COMMAND) == 0
    out = capsys.readouterr().out
    assert "1 pair by {name}" in out and "masks hold 0 and 255" in out
    lines = [line for line in out.splitlines() if line.startswith("| ")]
    assert lines[2].startswith("| unet | 1, original size | 0.")
    assert lines[3].startswith("| predicting nothing | 1, original size | 0.0000 | 0.0000 | 1.0000 | 0.0000 |")
    assert lines[4].startswith("| predicting everything | 1, original size | 0.")
    found = read_json("s.json")
    assert list(found["scores"]) == ["original"] and [image["name"] for image in found["images"]] == ["cat"]
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (40, 30)


def test_params_yaml_says_how_masks_match_and_what_they_mean(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(spelled("data.folder.ignore", "[3]"), encoding="utf-8")
    write_checkpoint(Path("net.safetensors"))
    labelled(Path(), pets(2))
    assert main(COMMAND) == 0
    assert "3 is ignored" in capsys.readouterr().out
    assert list(read_json("s.json")["scores"]) == ["original"]


def test_files_that_cannot_be_used_are_listed_and_nothing_is_scored(tmp_path, capsys):
    folders = labelled(tmp_path, pets(6))
    (tmp_path / "images/p1.png").write_bytes(b"nothing")
    Image.new("L", (9, 9), 1).save(tmp_path / "masks/p4.png")
    with pytest.raises(InputError) as caught:
        scored(Reddish(), folders, tmp_path / "s.json")
    assert str(caught.value).startswith("2 of 6 images cannot be scored: p1 (image: not one of JPEG")
    assert "p4 (the mask is 9x9, the image 40x31); nothing was scored; fix or remove them" in str(caught.value)
    assert "|" not in capsys.readouterr().out
    report = read_json(tmp_path / "s.json")
    assert report["faults"].keys() == {"p1", "p4"} and report["error"] == str(caught.value)
    assert "scores" not in report


def test_an_image_without_foreground_is_scored_as_the_definitions_say(tmp_path):
    empty = Image.new("L", (40, 30), 2)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 100, (30, 40, 3), np.uint8))
    found = scored(Reddish(), labelled(tmp_path, [*pets(2), ("empty", noise, empty)]), tmp_path / "s.json")
    dice = {image["name"]: image["original"]["dice"] for image in found["images"]}
    assert dice["empty"] == 1 and dice["p0"] > 0.9
    assert found["scores"]["original"]["dice_of_nothing"] == pytest.approx(1 / 3)


def test_the_threshold_is_the_network_s_own_or_another(tmp_path):
    folders, file = labelled(tmp_path, pets(3)), tmp_path / "s.json"
    own, lower = (scored(Reddish(threshold=0.9), folders, file, threshold=value) for value in (None, 0.05))
    assert (own["threshold"], lower["threshold"]) == (0.9, 0.05)
    assert own["scores"]["original"]["recall"] < lower["scores"]["original"]["recall"]


def test_images_of_16_bits_are_scaled_as_in_training(tmp_path, capsys):
    grey, deep = [], []
    for name, image, mask in pets(3):
        values = np.asarray(image.convert("L"))
        grey.append((name, Image.fromarray(values), mask))
        deep.append((name, Image.fromarray(values.astype(np.uint16) * 4 + 1000), mask))
    network = Reddish(range=[1000, 1000 + 4 * 255])
    found = [scored(network, labelled(tmp_path / k, p), tmp_path / "s.json") for k, p in (("8", grey), ("16", deep))]
    assert found[0]["images"] == found[1]["images"]
    assert (found[0]["range"], found[1]["range"]) == (None, [1000, 2020])
    assert "--range" not in capsys.readouterr().out


def test_a_measured_range_is_said_in_the_words_of_predict(tmp_path, capsys):
    deep = [
        (name, Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 4), m) for name, image, m in pets(3)
    ]
    low, high = scored(Reddish(), labelled(tmp_path, deep), tmp_path / "s.json")["range"]
    assert f"predict reads these images like this with --range {low:g} {high:g}" in " ".join(
        capsys.readouterr().out.split()
    )


def test_reversed_masks_are_pointed_out(tmp_path, capsys):
    reverse = [(name, image, mask.point([0, 0, 255, 0] + [0] * 252)) for name, image, mask in pets(4)]
    scored(Reddish(), labelled(tmp_path, reverse), tmp_path / "s.json")
    out = capsys.readouterr().out
    assert "foreground and background reversed? 4 of 4 masks (p0, p1, p2, ...)" in " ".join(out.split())
    assert "no better than predicting everything" in out


def test_few_images_are_in_memory_at_once(tmp_path, monkeypatch):
    held, kept = [], []

    class Counting(Reddish):
        def probabilities(self, pictures):
            held.append(sum(bool(packed.images) for packed in kept[0].kept["test"]))
            return super().probabilities(pictures)

    class Kept(labelled_set.Findings):
        def __init__(self, options):
            super().__init__(options)
            kept.append(self)

    monkeypatch.setattr(labelled_set, "Findings", Kept)
    monkeypatch.setattr(labelled_set, "BATCH", 4)
    scored(Counting(), labelled(tmp_path, pets(40)), tmp_path / "s.json")
    assert len(held) == 10 and max(held) <= 5
    assert not any(packed.images or packed.original_mask for packed in kept[0].kept["test"])


def test_it_writes_nothing_among_the_images(tmp_path):
    folders = labelled(tmp_path, pets(2))
    with pytest.raises(InputError, match="write it elsewhere"):
        scored(Reddish(), folders, tmp_path / "images/s.json")
    assert not (tmp_path / "images/s.json").exists()


def test_raw_data_of_the_pipeline_can_be_scored(tmp_path, monkeypatch):
    """Unlike training, scoring may read below data/raw."""
    monkeypatch.chdir(tmp_path)
    raw = RawSet(tmp_path / "data/raw/download", trainval=2, test=1)
    folders = str(raw.folder / "images"), str(raw.folder / "annotations/trimaps")
    assert scored(Reddish(), folders, tmp_path / "s.json")["scores"]["original"]["images"] == 3
