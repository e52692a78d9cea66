"""A picture that a network has seen, drawn at any threshold."""

import numpy as np
import pytest
from PIL import Image

import segkit
from segkit.base.errors import InputError
from segkit.demo.subject import KINDS, PREVIEW, analyse
from tests.demo.conftest import write_model
from tests.tiny import pet


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return segkit.load(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors", seed=0), device="cpu")


@pytest.fixture
def picture(tmp_path):
    pet(3, 1000, 60)[0].save(tmp_path / "wide.png")
    return tmp_path / "wide.png"


@pytest.mark.parametrize("threshold", [0.01, 0.37, 0.5, 0.99])
def test_the_mask_is_that_of_predict(model, picture, tmp_path, threshold):
    subject = analyse(model, picture)
    expected = model.predict(picture, threshold=threshold)
    mask = np.asarray(Image.open(subject.write("mask", threshold, tmp_path))) == 255
    differing = mask != expected.mask
    assert abs(expected.probabilities[differing] - threshold).max(initial=0) < 1 / 65535
    assert subject.share(threshold) == mask.mean()


def test_downloads_have_the_pictures_size_and_previews_are_smaller(model, picture, tmp_path):
    subject = analyse(model, picture)
    assert [subject.preview.draw(kind, 0.5).size for kind in KINDS] == [(PREVIEW, 58)] * 3
    files = [Image.open(subject.write(kind, 0.5, tmp_path)) for kind in KINDS]
    assert [(file.size, file.mode) for file in files] == [((1000, 60), mode) for mode in ("RGB", "L", "RGBA")]
    assert sorted(path.name for path in tmp_path.glob("wide_*")) == [f"wide_{kind}.png" for kind in sorted(KINDS)]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_file_is_drawn(model, tmp_path, mode):
    image = pet(3)[0]
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    path = tmp_path / "picture.tif"
    image.convert(mode).save(path)
    subject = analyse(model, path)
    assert {subject.preview.draw(kind, 0.5).size for kind in KINDS} == {image.size}


def test_a_file_that_is_no_picture_is_named_without_its_folder(model, tmp_path):
    (tmp_path / "x.jpg").write_text("hello")
    with pytest.raises(InputError, match=r"^x\.jpg cannot be used: not one of JPEG, .*, or damaged\.$"):
        analyse(model, tmp_path / "x.jpg")


def test_a_picture_that_is_gone_cannot_be_downloaded(model, picture, tmp_path):
    subject = analyse(model, picture)
    picture.unlink()
    with pytest.raises(InputError, match=r"^wide\.png cannot be used: no such file\.$"):
        subject.write("mask", 0.5, tmp_path)
