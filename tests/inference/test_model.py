"""``segkit.load``: what it says of an image is what the evaluation scores, whatever the image's file is like."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image

import segkit
from segkit.base.errors import InputError
from segkit.base.files import read_json
from segkit.evaluation.evaluate import evaluate
from segkit.inference.model import Model, load
from segkit.models.counts import count, dice_per_image
from segkit.models.heads import predict
from tests.inference.conftest import write_checkpoint
from tests.packing import pack
from tests.tiny import pet, small_params, usable

SIZE = (24, 32)


class Red:
    """A network that takes the red channel for the probability."""

    metadata = usable("unet", {}, input_size=list(SIZE))

    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures[..., 0].float() / 255


class Left(Red):
    """A network that takes one column for the probability of all, so that a mirror image has another."""

    def probabilities(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures[:, :, :1, 0].float().expand(pictures.shape[:3]) / 255


def picture(width: int = 45, height: int = 40) -> Image.Image:
    return pet(5, width, height)[0]


@pytest.fixture(scope="session")
def model(checkpoint) -> Model:
    return segkit.load(checkpoint, device="cpu")


def test_a_path_an_image_and_an_array_are_the_same(model, tmp_path):
    picture().save(tmp_path / "x.png")
    mask, probabilities = model.predict(tmp_path / "x.png")
    assert (mask.dtype, mask.shape, probabilities.dtype, probabilities.shape) == (bool, (40, 45), np.float32, (40, 45))
    assert 0.1 < mask.mean() < 0.9
    assert np.array_equal(mask, probabilities >= 0.5)
    for same in (str(tmp_path / "x.png"), picture(), np.asarray(picture()), Image.open(tmp_path / "x.png")):
        assert np.array_equal(model.predict(same).probabilities, probabilities)


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
def test_it_says_what_the_stage_evaluate_scores(tmp_path, monkeypatch, resize):
    images = [(str(number), *map(np.array, pet(number, 30 + 9 * number, 70 - 9 * number))) for number in range(6)]
    samples = [(name, image, np.uint8([0, 1, 0, 1])[trimap]) for name, image, trimap in images]
    pack(tmp_path / "data/processed", resize, SIZE, valid=samples[:3], test=samples)
    write_checkpoint(tmp_path / "models/unet.safetensors", resize=resize, tta="flip")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segkit.evaluation.evaluate.PICTURES", 1)
    evaluate("unet", small_params(preprocess__size=list(SIZE), preprocess__resize=resize))
    opened, counts = segkit.load("models/unet.safetensors", device="cpu"), []
    for name, _, mask in samples:
        found = opened.predict(f"data/processed_raw/test_{name}.png").mask
        counts.append(count(torch.from_numpy(found)[None], torch.from_numpy(mask)[None])[0].numpy())
    assert 0.01 < dice_per_image(np.array(counts)).mean() < 0.99
    expected = read_json("metrics/scores/unet.json")["test_original"]["dice"]
    assert dice_per_image(np.array(counts)).mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("resize", ["stretch", "fit", "tile"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 200), (200, 1), (32, 24), (33, 24), (7, 90)])
def test_any_size(resize, width, height):
    """Windows give every pixel back; what was scaled to the input size comes back smooth, and near what it was."""
    ramp = np.linspace(0, 200, width * height).reshape(height, width).astype(np.uint8)
    found = Model(Red(), resize=resize).predict(ramp).probabilities * 255
    assert found.shape == (height, width)
    assert np.abs(found - ramp).mean() < (1e-4 if resize == "tile" else 4)


def test_a_stretched_image_is_scaled_bilinearly_both_ways():
    found = Model(Red()).predict(picture(60, 50)).probabilities
    small = np.asarray(picture(60, 50).resize(SIZE[::-1], Image.Resampling.BILINEAR))[..., 0] / np.float32(255)
    back = F.interpolate(torch.from_numpy(small)[None, None], size=(50, 60), mode="bilinear", align_corners=False)
    assert found == pytest.approx(back[0, 0].numpy(), abs=1e-6)


def test_tiles_by_request(checkpoint):
    assert load(checkpoint, "cpu").resize == "stretch"
    assert load(checkpoint, "cpu", tile=True).resize == "tile"


@pytest.mark.parametrize("resize", ["stretch", "tile"])
def test_with_tta_a_mirror_image_has_the_mirrored_result(model, resize):
    both = Model(model.network, resize=resize, tta=True)
    image = picture(64, 48) if resize == "stretch" else picture(32, 24)
    found = both.predict(image).probabilities
    mirrored = both.predict(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).probabilities
    assert mirrored == pytest.approx(found[:, ::-1], abs=1e-6)
    assert np.abs(model.predict(image).probabilities - found).max() > 1e-3


def test_tta_is_the_mean_over_image_and_mirror_image():
    grey = np.tile(np.uint8([0] * 16 + [100] * 16), (24, 1))
    assert Model(Left()).predict(grey).probabilities.max() == 0
    assert Model(Left(), tta=True).predict(grey).probabilities == pytest.approx(np.full(SIZE, 50 / 255))


@pytest.mark.parametrize(
    ("recorded", "asked", "done"),
    [("flip", None, True), ("none", None, False), ("none", True, True), ("flip", False, False)],
)
def test_flips_are_averaged_as_in_evaluation_unless_told_otherwise(tmp_path, recorded, asked, done):
    path = write_checkpoint(tmp_path / "unet.safetensors", tta=recorded)
    assert load(path, "cpu", tta=asked).tta is done


@pytest.mark.parametrize("resize", ["fit", "tile"])
def test_the_batch_changes_nothing(model, resize):
    model = Model(model.network, resize=resize)
    opened = [model.open(picture(20 + 20 * number, 90 - 10 * number)) for number in range(5)]
    alone = [model.assemble(each, model.rows([each], batch=1)) for each in opened]
    for batch in (2, 3, 100):
        rows = model.rows(opened, batch)
        for each, expected in zip(opened, alone, strict=True):
            assert torch.allclose(model.assemble(each, rows), expected, atol=2e-6, rtol=0)
        assert next(rows, None) is None


def test_the_threshold_is_the_checkpoint_s_unless_another_is_given(tmp_path):
    strict = load(write_checkpoint(tmp_path / "x.safetensors", threshold=0.8), "cpu")
    mask, probabilities = strict.predict(picture())
    assert np.array_equal(mask, predict(torch.from_numpy(probabilities), 0.8))
    assert np.array_equal(strict.predict(picture(), threshold=0.2).mask, probabilities >= 0.2)


def turned(path: Path) -> None:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    picture().transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".png"), exif=tags)


def with_palette(path: Path) -> None:
    grey().quantize(256).save(path.with_suffix(".gif"))


def grey() -> Image.Image:
    return picture().convert("L")


SAVED = {
    "16 bits": (grey, lambda path: Image.fromarray(np.asarray(grey(), np.uint16) * 257).save(path.with_suffix(".png"))),
    "exif": (picture, turned),
    "cmyk": (grey, lambda path: grey().convert("RGB").convert("CMYK").save(path.with_suffix(".tiff"))),
    "transparent": (picture, lambda path: picture().convert("RGBA").save(path.with_suffix(".webp"), lossless=True)),
    "palette": (grey, with_palette),
    "wrong ending": (picture, lambda path: picture().save(path.with_suffix(".txt"), format="BMP")),
}


@pytest.mark.parametrize("kind", SAVED)
def test_what_an_image_was_saved_as_changes_nothing(model, tmp_path, kind):
    plain, save = SAVED[kind]
    save(tmp_path / "x")
    (path,) = tmp_path.iterdir()
    expected = model.predict(np.asarray(plain().convert("RGB"))).probabilities
    for image in (path, Image.open(path)):
        assert np.array_equal(model.predict(image).probabilities, expected)


def test_a_scale_says_what_is_white(checkpoint, tmp_path):
    values = np.asarray(grey(), np.uint16)
    Image.fromarray(values * 10 + 500).save(tmp_path / "x.png")
    expected = load(checkpoint, "cpu").predict(grey()).probabilities
    assert np.array_equal(
        load(checkpoint, "cpu", scale=(500, 3050)).predict(tmp_path / "x.png").probabilities, expected
    )
    trained = write_checkpoint(tmp_path / "trained.safetensors", range=[500, 3050])
    assert np.array_equal(load(trained, "cpu").predict(tmp_path / "x.png").probabilities, expected)


@pytest.mark.parametrize("scale", [(5, 1), (1, 1), (float("nan"), 1), (0, float("inf")), (1,), "ab", 7])
def test_a_scale_that_is_none_is_refused(checkpoint, tmp_path, scale):
    with pytest.raises(InputError, match=r"^range .*: give the values of black and of white, such as 0 4095$"):
        load(checkpoint, "cpu", scale=scale)
    if scale == scale and "inf" not in str(scale) and "nan" not in str(scale):  # JSON holds neither
        with pytest.raises(InputError, match=r"^range "):
            load(write_checkpoint(tmp_path / "x.safetensors", range=scale), "cpu")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4), np.float32), "an array of float32 (4, 4) is no image; give uint8 of (h, w)"),
        (np.zeros((4, 4, 2), np.uint8), "an array of uint8 (4, 4, 2) is no image"),
        (np.zeros((0, 4, 3), np.uint8), "an image without pixels"),
        (Image.new("RGB", (0, 0)), "an image without pixels"),
        (Image.new("F", (4, 4)), "image: it has more than 8 bits per value"),
        (None, "NoneType is no image; give a path, a PIL image or an array"),
        ("no\nsuch.jpg", "no such.jpg: no such file"),
        (Path("/"), "/: not a regular file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "image",
)
def test_what_is_no_image_is_one_line(model, image, said):
    with pytest.raises(InputError) as caught:
        model.predict(image)
    assert str(caught.value).startswith(said)


def test_a_damaged_image_that_was_opened_elsewhere_is_one_line(model, tmp_path):
    picture(300, 300).save(tmp_path / "x.jpg")
    (tmp_path / "x.jpg").write_bytes((tmp_path / "x.jpg").read_bytes()[:2000])
    for image in (tmp_path / "x.jpg", Image.open(tmp_path / "x.jpg")):
        with pytest.raises(InputError, match="cannot be decoded"):
            model.predict(image)


def test_what_is_no_checkpoint_is_one_line(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    (tmp_path / "x.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    for path, said in (
        (tmp_path, "is a folder; name a checkpoint"),
        (tmp_path / "x.txt", "was not written by this version of segkit"),
        (tmp_path / "x.pt", "was not written by this version of segkit"),
        (tmp_path / "x.pt2", "runs in torch.export.load alone; name the checkpoint"),
        (tmp_path / "none.safetensors", "is missing"),
    ):
        with pytest.raises(InputError, match=said):
            segkit.load(path)
