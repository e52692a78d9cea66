"""Damages move image and mask alike, and undamaged pictures are scored as evaluation scores them."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.robustness import DAMAGES, MOST, draws, measure, noisy, off_centre, rotated, small, table
from segkit.base.packed import BORDER, FOREGROUND, IGNORED
from segkit.dataset.catalog import read_catalog
from segkit.dataset.preprocess import preprocess
from segkit.evaluation.evaluate import score_images
from segkit.evaluation.images import ImageSet
from segkit.inference.model import load
from segkit.models import build
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from segkit.models.counts import dice_per_image
from segkit.models.predictor import Predictor
from tests.tiny import RawSet, options, usable

MOVING = (rotated, off_centre, small)
SEEN = (32, 32)


def ellipse(width: int = 150, height: int = 110) -> np.ndarray:
    """A tilted ellipse off the middle, whose place and direction any movement changes."""
    y, x = np.mgrid[:height, :width]
    across, along = (x - 70) + (y - 50) * 0.5, (y - 50) - (x - 70) * 0.5
    return ((across / 45) ** 2 + (along / 20) ** 2 < 1).astype(np.uint8)


@pytest.mark.parametrize("damage", MOVING)
@pytest.mark.parametrize("row", range(3))
def test_a_mask_drawn_as_an_image_moves_with_its_mask(damage, row):
    mask = ellipse()
    image, moved = damage(Image.fromarray(mask * 255).convert("RGB"), mask, draws(0, row), SEEN)
    assert image.size == mask.shape[::-1] == moved.shape[::-1]
    drawn, counted = np.asarray(image)[..., 0] >= 128, moved != IGNORED
    assert counted.mean() < 0.95 and (moved[counted] == FOREGROUND).sum() > 400
    assert (drawn != (moved == FOREGROUND))[counted].mean() < 0.004  # interpolation along the outline
    assert (moved != mask).mean() > 0.1


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_drawn_from_seed_and_row_and_keeps_the_labels(name):
    mask = ellipse() + BORDER * (np.arange(150) < 9).astype(np.uint8)
    mask[:9] = BORDER
    mask[mask > BORDER] = IGNORED
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (110, 150, 3), np.uint8))
    (first, labels), (again, same) = (DAMAGES[name](image, mask, draws(3, 5), SEEN) for _ in range(2))
    assert first.tobytes() == again.tobytes() and np.array_equal(labels, same)
    assert set(np.unique(labels)) <= set(np.unique(mask)) | {IGNORED}
    assert name == "clean" or first.tobytes() != image.tobytes()
    assert DAMAGES[name] in MOVING or np.array_equal(labels, mask)


@pytest.mark.parametrize("seen", [(32, 32), (64, 48), (110, 150)])
def test_noise_is_as_strong_as_it_says_where_the_network_sees_it(seen):
    ground = Image.new("RGB", (150, 110), (128, 128, 128))
    image, _ = noisy(ground, ellipse(), draws(0, 0), seen)
    assert np.std(image.resize(seen[::-1], Image.Resampling.BILINEAR)) == pytest.approx(25, rel=0.05)


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
@pytest.mark.parametrize("border", ["foreground", "ignore"])
def test_undamaged_pictures_have_the_dice_of_evaluation(tmp_path, resize, border):
    raw = RawSet(tmp_path / "raw", trainval=4, test=3)
    preprocess(raw.folder, tmp_path / "processed", options(resize=resize, border=border), workers=1)
    torch.manual_seed(1)
    checkpoint, metadata = tmp_path / "unet.safetensors", usable("unet", {"width": 2}, resize=resize, border=border)
    network = build("unet", width=2)
    torch.nn.init.zeros_(list(network.parameters())[-1])  # so that some pixels are foreground and some are not
    save_checkpoint(checkpoint, network.state_dict(), metadata)
    predictor = Predictor(load_checkpoint(checkpoint), torch.device("cpu"))
    expected = dice_per_image(score_images(predictor, ImageSet.open(tmp_path / "processed", "test"), 0.5))
    samples = [sample for sample in read_catalog(raw.folder, 10) if sample.split == "test"]
    found = measure([load(checkpoint, "cpu")], samples, seed=0)
    assert 0 < expected.min() < expected.max() < 1
    np.testing.assert_allclose(found["clean"][0], expected, atol=1e-6)
    assert (found["clean"] != found["noisy, σ 25"]).any()


def test_the_table_compares_the_last_two():
    found = {"clean": np.array([[0.1, 0.1], [0.5, 0.7], [0.8, 0.8]])}
    assert table(found).splitlines()[-1] == "| clean      | 0.1000 | 0.6000 | 0.8000 | +0.2000 ± 0.1960 |"


def test_the_widest_table_has_100_characters_at_most():
    found = dict.fromkeys(DAMAGES, np.ones((MOST, 2)))
    assert max(map(len, table(found).splitlines())) <= 100
