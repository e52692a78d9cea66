"""Scores of images that were stretched, padded or cut into windows, of networks whose answer is known."""

import csv

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.files import read_json
from segkit.base.packed import IGNORED
from segkit.evaluation import evaluate as module
from segkit.evaluation.analysis import Analysis
from segkit.evaluation.evaluate import evaluate, score_images, score_test
from segkit.evaluation.images import ImageSet
from segkit.models import build
from segkit.models.checkpoint import save_checkpoint
from segkit.models.counts import count
from tests.packing import pack
from tests.tiny import small_params, usable

SIZE = (24, 32)
SHAPES = [(48, 96), (24, 32), (100, 70), (20, 90), (11, 13)]  # exactly one window, many, some smaller than a window


class Red:
    """A network that takes the red channel for the probability."""

    device = torch.device("cpu")

    def __init__(self, *_: object, tta: bool = False) -> None:
        self.batches = []

    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(pictures))
        return pictures[..., 0].float() / 255


class Says(Red):
    """A network that says the same of every pixel."""

    value = 0.0

    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.full(pictures.shape[:3], self.value)


def sample(number: int, shape: tuple[int, int], fraction: float = 0.5) -> tuple[str, np.ndarray, np.ndarray]:
    """Foreground below a line, some pixels ignored, and a picture whose red channel is the foreground."""
    mask = np.zeros(shape, np.uint8)
    mask[round(shape[0] * fraction) :] = 1
    picture = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
    picture[..., 0] = 255 * mask
    mask[: shape[0] // 6, : shape[1] // 3] = 255
    return str(number), picture, mask


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Packs and evaluates the same images in one of the ways; the working directory."""

    def project(resize: str, network: type, shapes=SHAPES, trained: dict | None = None, **options) -> str:
        samples = [sample(number, shape, **options) for number, shape in enumerate(shapes)]
        pack(tmp_path / "data/processed", resize, SIZE, train=[sample(9, SIZE)], valid=samples[:2], test=samples)
        trained = {"resize": resize} if trained is None else trained
        metadata = usable("unet", {"width": 1}, input_size=list(SIZE), **trained)
        save_checkpoint(tmp_path / "models/unet.safetensors", build("unet", width=1).state_dict(), metadata)
        monkeypatch.setattr(module, "Predictor", network)
        monkeypatch.setattr(module, "PICTURES", 3)
        params = small_params(preprocess__size=list(SIZE), preprocess__resize=resize, evaluate__tta="none")
        return evaluate("unet", params)

    monkeypatch.chdir(tmp_path)
    return project


def test_tiles_that_are_right_are_right_at_the_original_size(project, tmp_path):
    project("tile", Red)
    found = read_json(tmp_path / "metrics/scores/unet.json")
    assert [found[block]["images"] for block in ("valid", "test", "test_original")] == [2, 5, 5]
    assert [found[block]["dice_global"] for block in ("valid", "test", "test_original")] == [1, 1, 1]
    assert found["test"] == found["test_original"]
    with open(tmp_path / "metrics/per_image/unet.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"test_{number}" for number in range(5)]
    for row, shape in zip(rows, SHAPES, strict=True):
        used = (sample(0, shape)[2] != 255).sum()
        assert sum(int(row[cell]) for cell in ("tp", "fp", "fn", "tn")) == used


@pytest.mark.parametrize("batch", [1, 2, 7, 1000])
def test_windows_of_an_image_may_lie_in_several_batches(tmp_path, monkeypatch, batch):
    samples = [sample(number, shape) for number, shape in enumerate(SHAPES)]
    pack(tmp_path / "packed", "tile", SIZE, valid=samples, test=samples)
    monkeypatch.setattr(module, "BATCH", batch)
    predictor, valid = Red(), ImageSet.open(tmp_path / "packed", "valid")
    counts = score_images(predictor, valid, 0.5)
    assert sum(predictor.batches) == len(valid.split) > 20 and max(predictor.batches) <= batch
    assert not counts[:, 1:3].any() and (counts[:, [0, 3]] > 0).all()
    assert np.array_equal(counts, score_test(Red(), ImageSet.open(tmp_path / "packed", "test"), 0.5, Analysis())[0])


class Mean(Red):
    """A network that takes the mean of the channels for the probability."""

    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.float().mean(-1) / 255


def interpolated(probabilities: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(probabilities[None, None], size=shape, mode="bilinear", align_corners=False)[0, 0]


def test_stretched_images_are_counted_in_their_rows_and_interpolated_as_a_whole(tmp_path):
    samples = [sample(number, shape) for number, shape in enumerate(SHAPES)]
    pack(tmp_path / "packed", "stretch", SIZE, valid=samples, test=samples)
    test = ImageSet.open(tmp_path / "packed", "test")
    rows = slice(0, len(SHAPES))
    probabilities = Mean().probabilities(torch.from_numpy(test.split.images[rows]))
    expected = count(probabilities >= 0.4, torch.from_numpy(test.split.masks[rows]))
    counts, originals = score_test(Mean(), test, 0.4, Analysis())
    assert np.array_equal(counts, expected) and np.array_equal(counts, score_images(Mean(), test, 0.4))
    for found, row, (_, _, mask) in zip(originals.counts, probabilities, samples, strict=True):
        assert np.array_equal(found, count(interpolated(row, mask.shape)[None] >= 0.4, torch.from_numpy(mask)[None])[0])


def test_padded_images_are_cropped_and_then_interpolated(tmp_path):
    shapes = [(48, 96), (72, 48), (24, 32), (8, 250), (250, 8)]
    samples = [sample(number, shape) for number, shape in enumerate(shapes)]
    pack(tmp_path / "packed", "fit", SIZE, valid=samples, test=samples)
    valid = ImageSet.open(tmp_path / "packed", "valid")
    contents = [(16, 32), (24, 16), (24, 32), (1, 32), (24, 1)]
    for image, (shape, (rows, columns)) in enumerate(zip(shapes, contents, strict=True)):
        probabilities = torch.rand(SIZE)
        found = valid.to_original_size(image, valid.assemble(image, [probabilities]))
        assert torch.equal(found, interpolated(probabilities[:rows, :columns], shape))
        padding = np.ones(SIZE, bool)
        padding[:rows, :columns] = False
        assert (valid.mask(image)[padding] == IGNORED).all()
        assert valid.picture(image).shape == (rows, columns, 3)


def test_padding_is_neither_scored_nor_resized(project, tmp_path):
    """With the padding in it, the line between foreground and background would lie elsewhere at the original size."""
    project("fit", Red, [(48, 96), (72, 48), (24, 32)])
    found = read_json(tmp_path / "metrics/scores/unet.json")
    assert [found[block]["dice"] for block in ("valid", "test", "test_original")] == [1, 1, 1]
    with open(tmp_path / "metrics/per_image/unet.csv", newline="") as file:
        totals = [sum(int(row[cell]) for cell in ("tp", "fp", "fn", "tn")) for row in csv.DictReader(file)]
    # 16x32, 24x16 and 24x32 pixels with content, and as many of them not ignored as in the mask
    assert totals == pytest.approx([16 * 32 * 17 / 18, 24 * 16 * 17 / 18, 24 * 32 * 17 / 18], rel=0.02)


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_images_show_what_the_network_sees_without_padding(project, monkeypatch, resize):
    drawn = []

    def write_picture(path, picture, mask, prediction, name, dice):
        drawn.append((picture, mask, prediction))
        return real(path, picture, mask, prediction, name, dice)

    real = module.write_picture
    monkeypatch.setattr(module, "write_picture", write_picture)
    project(resize, Red, [(48, 96)])
    picture, mask, prediction = drawn[0]
    _, expected, truth = sample(0, (48, 96))
    assert picture.shape[:2] == {"stretch": (24, 32), "fit": (16, 32), "tile": (48, 96)}[resize]
    if resize == "tile":
        assert np.array_equal(picture, expected)
    assert np.array_equal(mask, truth)
    used = mask != 255
    assert np.array_equal(prediction[used], mask[used] == 1)


@pytest.mark.parametrize(
    ("resize", "trained"), [("fit", {}), ("tile", {}), ("fit", {"resize": "tile"}), ("stretch", {"resize": "fit"})]
)
def test_a_network_for_images_resized_otherwise_is_refused(project, tmp_path, resize, trained):
    """A checkpoint that does not say how is from before there was a choice."""
    before = trained.get("resize", "stretch")
    with pytest.raises(
        InputError, match=rf"was trained with preprocess\.resize: {before}, not {resize}; run 'dvc repro'"
    ):
        project(resize, Red, trained=trained)
    assert not (tmp_path / "metrics").exists()


def test_a_network_that_does_not_say_how_images_were_resized_takes_stretched_ones(project):
    assert project("stretch", Red, trained={}).startswith("test Dice ")


@pytest.mark.parametrize("resize", ["stretch", "tile"])
def test_a_network_that_finds_nothing_is_called_that(project, resize):
    assert project(resize, Says).endswith(", 5 images; predicts no foreground in any test image")


def test_a_network_that_finds_nothing_is_called_that_where_nothing_is_to_be_found(project):
    line = project("stretch", Says, fraction=1.0)
    assert line.startswith("test Dice 1.0000") and line.endswith("; predicts no foreground in any test image")


def test_a_network_that_is_no_better_than_a_constant_is_told(project, tmp_path, monkeypatch):
    monkeypatch.setattr(Says, "value", 1.0)
    line = project("stretch", Says)
    dice = read_json(tmp_path / "metrics/scores/unet.json")["test"]["dice_of_everything"]
    assert 0.6 < dice < 0.8
    assert line.endswith(f", 5 images; no better than predicting everything (Dice {dice:.4f})")


def test_a_network_that_is_better_gets_no_remark(project):
    assert project("stretch", Red).endswith(", 5 images")


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_the_tables_are_of_the_pixels_that_are_scored(project, tmp_path, resize):
    project(resize, Red)
    tables = {}
    for table in ("analysis/unet/reliability", "analysis/unet/boundary", "analysis/unet/thresholds", "per_image/unet"):
        with open(tmp_path / f"metrics/{table}.csv", newline="") as file:
            tables[table.rpartition("/")[2]] = list(csv.DictReader(file))
    tp, fp, fn, tn = (sum(int(row[cell]) for row in tables["unet"]) for cell in ("tp", "fp", "fn", "tn"))
    for table in ("reliability", "boundary"):
        assert sum(int(row["pixels"]) for row in tables[table]) == tp + fp + fn + tn
    assert sum(int(row["errors"]) for row in tables["boundary"]) == fp + fn
    dice = [float(row["dice"]) for row in tables["unet"]]
    assert float(tables["thresholds"][50]["dice"]) == pytest.approx(np.mean(dice), abs=1e-6)


def test_a_large_image_shows_its_windows_on_one_sheet(project, tmp_path):
    project("tile", Red, [(300, 200)])
    with Image.open(tmp_path / "metrics/pictures/unet/sample_01.png") as picture:
        assert picture.width == 3 * 246 + 6
