"""Scores of a checkpoint, computed a second time with NumPy and Pillow alone."""

import csv
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from segkit.base.command import run_command
from segkit.base.files import digest, read_json
from segkit.dataset.findings import IMAGENET
from segkit.evaluation.analysis import IMAGE_COLUMNS
from segkit.evaluation.evaluate import evaluate
from segkit.models import build
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from segkit.models.normalize import Normalizer
from tests.packing import pack
from tests.tiny import make_project, small_params, usable

SIZE = (24, 32)  # below every picture's size, so that going back to it is plain bilinear interpolation
DRAWN = 4  # pictures of each kind; drawing them takes longer than the scores
SCORES = (
    *("dice", "dice_global", "iou", "iou_global", "precision", "recall", "pixel_accuracy", "pixel_accuracy_batch"),
    *("dice_of_nothing", "dice_of_everything"),
)


def write_checkpoint(folder, size=SIZE, normalizer=None, border="foreground") -> torch.nn.Module:
    """A network of random weights that calls about half of all pixels foreground."""
    torch.manual_seed(3)
    model = build("unet", width=4).eval()
    with torch.inference_mode():
        logits = model(torch.randn(8, 3, *size))
        model.head.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    normalize = (normalizer or Normalizer("image")).as_metadata()
    more = {"normalize": normalize, "border": border, "valid": {"loss": 0.25}}
    metadata = usable("unet", {"width": 4}, input_size=list(size), **more)
    save_checkpoint(folder / "models" / "unet.safetensors", model.state_dict(), metadata)
    return model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with data and a checkpoint, evaluated once; ``raw``, ``model``, ``folder``, ``line``."""
    folder = tmp_path_factory.mktemp("evaluated")
    raw = make_project(folder, trainval=24, test=17, size=SIZE)
    made = SimpleNamespace(folder=folder, raw=raw, model=write_checkpoint(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("segkit.evaluation.evaluate.PICTURES", DRAWN)
        made.line = evaluate("unet", params())
    made.scores = read_json(folder / "metrics/scores/unet.json")
    with open(folder / "metrics" / "per_image" / "unet.csv", newline="") as file:
        made.rows = list(csv.DictReader(file))
    return made


@pytest.fixture
def copy(made, tmp_path, monkeypatch):
    """The same project for a test to change; it is the working directory."""
    for name in ("data", "models"):
        shutil.copytree(made.folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segkit.evaluation.evaluate.PICTURES", DRAWN)
    return tmp_path


def params(**changes):
    return small_params(preprocess__size=list(SIZE), **changes)


def probabilities(model: torch.nn.Module, picture: Image.Image) -> np.ndarray:
    """What the network says of one picture, ``(H, W)``."""
    pixels = np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR), dtype=np.float64) / 255
    pixels = (pixels - pixels.mean()) / pixels.std()
    seen = torch.from_numpy(pixels.transpose(2, 0, 1)).float()
    with torch.inference_mode():
        logits = model(torch.stack([seen, seen.flip(2)]))  # as evaluate.tta: flip
    image, mirrored = logits.softmax(1)[:, 1].numpy()
    return (image + mirrored[:, ::-1]) / 2


def tally(prediction: np.ndarray, truth: np.ndarray) -> list[int]:
    """TP, FP, FN, TN."""
    return [int((prediction & truth).sum()), int((prediction & ~truth).sum()),
            int((~prediction & truth).sum()), int((~prediction & ~truth).sum())]  # fmt: skip


def by_hand(made, names: list[str], original_size: bool = False, border: bool = True) -> np.ndarray:
    """Counts of each image; the border of its trimap is foreground, or ignored."""
    counts = []
    for name in names:
        picture, trimap = Image.open(made.raw.picture(name)), Image.open(made.raw.mask(name))
        foreground = probabilities(made.model, picture)
        if original_size:
            foreground = np.asarray(Image.fromarray(foreground).resize(picture.size, Image.Resampling.BILINEAR))
        else:
            trimap = trimap.resize(SIZE[::-1], Image.Resampling.NEAREST)
        trimap = np.asarray(trimap)
        counted = np.full_like(trimap, True, bool) if border else trimap != 3
        counts.append(tally((foreground >= 0.5)[counted], trimap[counted] != 2))
    return np.array(counts)


def expected_scores(counts: np.ndarray) -> dict[str, float]:
    tp, fp, fn, tn = counts.sum(0)
    each_tp, each_fp, each_fn, _ = counts.T
    batches = [counts[start : start + 15] for start in range(0, len(counts), 15)]
    return {
        "dice": (2 * each_tp / (2 * each_tp + each_fp + each_fn)).mean(),
        "dice_global": 2 * tp / (2 * tp + fp + fn),
        "iou": (each_tp / (each_tp + each_fp + each_fn)).mean(),
        "iou_global": tp / (tp + fp + fn),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "pixel_accuracy": (tp + tn) / counts.sum(),
        "pixel_accuracy_batch": np.mean([batch[:, [0, 3]].sum() / batch.sum() for batch in batches]),
        "dice_of_nothing": (each_tp + each_fn == 0).mean(),
        "dice_of_everything": (2 * (each_tp + each_fn) / (each_tp + each_fn + counts.sum(1))).mean(),
    }


BLOCKS = {"valid": 3, "test": 17, "test_original": 17, "test_original_no_border": 17}


@pytest.mark.parametrize("block", BLOCKS)
def test_the_scores_are_those_computed_by_hand(made, block):
    names = made.raw.lists["trainval"][::10] if block == "valid" else made.raw.lists["test"]
    counts = by_hand(made, names, original_size="original" in block, border="no_border" not in block)
    assert min(counts.sum(0)) > 30  # a network that says something of everything
    assert made.scores[block] == pytest.approx(expected_scores(counts) | {"images": len(names)}, abs=5e-4)


def test_the_file_holds_the_blocks_and_scores_of_the_contract(made):
    assert list(made.scores) == list(BLOCKS)
    for block, images in BLOCKS.items():
        assert tuple(made.scores[block]) == (*SCORES, "images")
        assert made.scores[block]["images"] == images
    assert f"test Dice {made.scores['test']['dice']:.4f}" in made.line


def test_dvc_s_metrics_are_five_of_them(made):
    assert read_json(made.folder / "metrics/unet.json") == {
        "dice": made.scores["test"]["dice"],
        "iou": made.scores["test"]["iou"],
        "dice_original": made.scores["test_original"]["dice"],
        "valid_dice": made.scores["valid"]["dice"],
        "valid_loss": 0.25,
    }


def test_the_scores_of_each_image_agree_with_the_means(made):
    sized = ("dice", "iou", "tp", "fp", "fn", "tn")
    columns = (*sized, *(f"{column}_original" for column in sized), *IMAGE_COLUMNS)
    assert tuple(made.rows[0]) == ("split", "name", "group", *columns)
    assert [row["name"] for row in made.rows] == made.raw.lists["test"]
    assert {row["split"] for row in made.rows} == {"test"}
    assert {row["group"] for row in made.rows} == {"cat", "big_dog"}
    for block, ending in (("test", ""), ("test_original", "_original")):
        scores = made.scores[block]
        for name in ("dice", "iou"):
            mean = np.mean([float(row[name + ending]) for row in made.rows])
            assert mean == pytest.approx(scores[name], abs=1e-6)
        counts = np.array([[int(row[cell + ending]) for cell in ("tp", "fp", "fn", "tn")] for row in made.rows])
        assert expected_scores(counts) == pytest.approx({name: scores[name] for name in SCORES})
        sizes = [SIZE if not ending else Image.open(made.raw.picture(row["name"])).size for row in made.rows]
        assert counts.sum(1).tolist() == [width * height for width, height in sizes]


def pictures(folder) -> dict[str, str]:
    return {path.name: digest(path) for path in (folder / "metrics" / "pictures" / "unet").iterdir()}


def test_pictures_have_stable_names_and_can_be_opened(made):
    names = [f"{kind}_{number:02d}.png" for kind in ("sample", "worst") for number in range(1, DRAWN + 1)]
    assert sorted(pictures(made.folder)) == sorted([*names, "sample_overview.png", "worst_overview.png"])
    for name in pictures(made.folder):
        with Image.open(made.folder / "metrics" / "pictures" / "unet" / name) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert min(picture.size) > 100


def test_a_second_evaluation_writes_the_same_bytes(made, copy):
    evaluate("unet", params())
    for name in ("metrics/unet.json", "metrics/scores/unet.json", "metrics/per_image/unet.csv", "models/unet.md"):
        assert digest(copy / name) == digest(made.folder / name)
    assert pictures(copy) == pictures(made.folder)


def test_the_worst_pictures_are_the_ones_of_lowest_dice(made, copy, monkeypatch):
    drawn = []

    def write_picture(path, picture, mask, prediction, name, dice):
        drawn.append((path.name, name, dice))
        return real(path, picture, mask, prediction, name, dice)

    from segkit.evaluation import evaluate as module

    real = module.write_picture
    monkeypatch.setattr(module, "write_picture", write_picture)
    evaluate("unet", params())
    worst = [(name, dice) for file_name, name, dice in drawn if file_name.startswith("worst")]
    scored = sorted((float(row["dice"]), row["name"]) for row in made.rows)
    assert [dice for _, dice in worst] == pytest.approx([dice for dice, _ in scored[:DRAWN]], abs=1e-6)
    fixed = [name for file_name, name, _ in drawn if file_name.startswith("sample")]
    assert fixed == sorted(set(fixed), key=made.raw.lists["test"].index)
    assert (fixed[0], fixed[-1]) == (made.raw.lists["test"][0], made.raw.lists["test"][-1])


def test_a_lower_threshold_finds_more(made, copy):
    line = evaluate("unet", params(evaluate__threshold=0.3))
    assert ", with threshold 0.3 (the checkpoint's default is 0.5)" in line and "threshold" not in made.line
    lower = read_json(copy / "metrics/scores/unet.json")
    for block in BLOCKS:
        assert lower[block]["recall"] > made.scores[block]["recall"]


def test_a_line_says_when_the_score_is_not_what_the_checkpoint_s_users_get(made, copy):
    lines = [evaluate("unet", params(evaluate__tta=tta)) for tta in ("flip", "none")]
    assert ", with tta flip (the checkpoint's default is none)" in lines[0] and "tta" not in lines[1]


def test_the_normalisation_is_the_checkpoint_s_own(made, copy):
    numbers = tuple(IMAGENET["mean"]), tuple(IMAGENET["std"])
    write_checkpoint(copy, normalizer=Normalizer("imagenet", *numbers))
    evaluate("unet", params(preprocess__normalize="image"))
    assert read_json(copy / "metrics/scores/unet.json")["test"] != made.scores["test"]


def test_ignored_borders_are_left_out_at_both_sizes(tmp_path, monkeypatch):
    raw = make_project(tmp_path, size=SIZE, border="ignore")
    write_checkpoint(tmp_path, border="foreground")  # the packed data decide, not where the weights come from
    monkeypatch.chdir(tmp_path)
    evaluate("unet", params(preprocess__border="ignore"))
    with open(tmp_path / "metrics/per_image/unet.csv", newline="") as file:
        for row, name in zip(csv.DictReader(file), raw.lists["test"], strict=True):
            trimap = Image.open(raw.mask(name)).resize(SIZE[::-1], Image.Resampling.NEAREST)
            used = int((np.asarray(trimap) != 3).sum())
            assert sum(int(row[cell]) for cell in ("tp", "fp", "fn", "tn")) == used < SIZE[0] * SIZE[1]
    found = read_json(tmp_path / "metrics/scores/unet.json")
    assert found["test_original_no_border"] == found["test_original"]


def test_masks_without_a_border_have_one_reading(made, copy):
    """The trimaps of the same set as black and white masks."""
    samples = {"train": [], "valid": [], "test": []}
    for number, name in enumerate((*made.raw.lists["trainval"][:6], *made.raw.lists["test"])):
        split = ("train", "valid")[number % 2] if number < 6 else "test"
        mask = (np.asarray(Image.open(made.raw.mask(name))) != 2).astype(np.uint8)
        samples[split].append((name, np.asarray(Image.open(made.raw.picture(name))), mask))
    shutil.rmtree(copy / "data")
    pack(copy / "data/processed", "stretch", SIZE, **samples)
    evaluate("unet", params())
    found = read_json(copy / "metrics/scores/unet.json")
    assert list(found) == ["valid", "test", "test_original"]
    assert found["test_original"] == pytest.approx(made.scores["test_original"])


def refusal(capsys) -> str:
    assert run_command("evaluate", lambda: evaluate("unet", params())) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_a_checkpoint_of_another_size_is_refused(copy, capsys):
    write_checkpoint(copy, size=(32, 32))
    line = refusal(capsys)
    assert "models/unet.safetensors holds the network unet for [32, 32] px, not unet for [24, 32] px" in line
    assert not (copy / "metrics").exists()


def test_a_checkpoint_trained_on_tiles_is_refused_for_whole_images(copy, capsys):
    checkpoint = load_checkpoint(copy / "models/unet.safetensors")
    metadata = checkpoint.metadata | {"resize": "tile"}
    save_checkpoint(copy / "models/unet.safetensors", checkpoint.model.state_dict(), metadata)
    assert "models/unet.safetensors was trained with preprocess.resize: tile, not stretch; run" in refusal(capsys)
    assert not (copy / "metrics").exists()


def test_a_checkpoint_of_the_other_network_under_this_name_is_refused(copy, capsys):
    metadata = usable("resnet34_unet", {}, input_size=list(SIZE))
    save_checkpoint(copy / "models" / "unet.safetensors", build("resnet34_unet").state_dict(), metadata)
    assert "models/unet.safetensors holds the network resnet34_unet for [24, 32] px, not unet" in refusal(capsys)
    assert not (copy / "metrics").exists()


def test_a_missing_checkpoint_is_refused(copy, capsys):
    (copy / "models/unet.safetensors").unlink()
    assert "models/unet.safetensors is missing" in refusal(capsys)


@pytest.mark.parametrize("valid", [None, {}, [1], {"loss": "0.3"}, {"loss": True}, {"loss": 10**400}])
def test_a_checkpoint_that_does_not_say_its_validation_loss_is_refused(copy, capsys, valid):
    checkpoint = load_checkpoint(copy / "models/unet.safetensors")
    metadata = checkpoint.metadata | {"valid": valid}
    save_checkpoint(copy / "models/unet.safetensors", checkpoint.model.state_dict(), metadata)
    assert "has metadata that segkit does not write: valid" in refusal(capsys)
    assert not (copy / "metrics").exists()


def test_the_raw_data_are_not_needed(made, copy):
    shutil.rmtree(copy / "data/raw")
    evaluate("unet", params())
    assert read_json(copy / "metrics/scores/unet.json") == made.scores


PACKED = "data/processed"


@pytest.mark.parametrize(
    "name", ["summary.json", "samples.csv", "test/original_masks.zip", "test/masks.npy", "valid/images.npy"]
)
def test_damaged_packed_data_are_one_line_before_any_score(copy, capsys, name):
    path = copy / PACKED / name
    path.write_bytes(path.read_bytes()[:-2])
    line = refusal(capsys)
    assert f"{PACKED}/{name} " in line and "dvc repro" in line
    assert not (copy / "metrics").exists()
