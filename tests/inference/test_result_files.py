"""The files of an image: whole, readable by others, and never in the place of another file."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.dataset.decode import UnusableFile
from segkit.inference import marks
from segkit.inference.finding import Found
from segkit.inference.model import Prediction
from segkit.inference.outputs import Outputs, describe

KINDS = {"overlay": True, "cutout": True, "probability": 16, "json": True}
NAMES = ["x.json", "x_cutout.png", "x_mask.png", "x_overlay.png", "x_probability.png"]


def prediction(height: int = 20, width: int = 30) -> Prediction:
    values = np.random.default_rng(0).random((height, width), np.float32)
    return Prediction(values >= 0.6, values)


def outputs(folder: Path, made_by: str = "this", **kinds) -> Outputs:
    return Outputs(folder, made_by, 0.6, **kinds)


@pytest.fixture
def image(tmp_path) -> Found:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    return Found(tmp_path / "x.png", "x")


def reason(outputs: Outputs, image: Found, found: Prediction | None = None) -> str:
    with pytest.raises(UnusableFile) as caught:
        outputs.write(image, found or prediction(), 1.0)
    return str(caught.value)


def test_all_files_of_an_image(tmp_path, image):
    outputs(tmp_path / "out", **KINDS).write(image, prediction(), 12.3456)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == NAMES
    modes = {path.stem[2:]: Image.open(path) for path in (tmp_path / "out").glob("*.png")}
    assert {kind: each.mode for kind, each in modes.items()} == {
        "mask": "L",
        "overlay": "RGB",
        "cutout": "RGBA",
        "probability": "I;16",
    }
    assert {each.size for each in modes.values()} == {(30, 20)}
    mask, values = prediction()
    assert np.array_equal(modes["mask"], mask * 255)
    assert np.asarray(modes["probability"]) / 65535 == pytest.approx(values, abs=0.5 / 65535 + 1e-6)
    said = json.loads((tmp_path / "out/x.json").read_text())
    assert said.pop("made_by") == f"segkit predict {marks.read(tmp_path / 'out/x_mask.png')}"
    assert said == describe(prediction()) | {
        "image": str(image.path),
        "threshold": 0.6,
        "milliseconds": 12.35,
    }


def test_probabilities_of_eight_bits(tmp_path, image):
    outputs(tmp_path, probability=8).write(image, prediction(), 1.0)
    with Image.open(tmp_path / "x_probability.png") as found:
        assert found.mode == "L"
        assert np.array_equal(found, np.rint(prediction().probabilities * 255))


def test_the_description_is_the_one_computed_by_hand():
    values = np.full((4, 5), 0.25, np.float32)
    values[1:3, 2:4] = 0.75
    values[2, 3] = 1
    certain = (16 * 0.75 + 3 * 0.75 + 1) / 20
    assert describe(Prediction(values >= 0.5, values)) == {
        "width": 5,
        "height": 4,
        "foreground": 0.2,
        "box": [2, 1, 4, 3],
        "confidence": pytest.approx(certain, abs=1e-6),
    }
    nothing = describe(Prediction(np.zeros((4, 5), bool), np.zeros((4, 5), np.float32)))
    assert (nothing["foreground"], nothing["box"], nothing["confidence"]) == (0, None, 1)


def test_done_is_what_the_same_model_and_settings_made_of_the_same_file(tmp_path, image):
    writer = outputs(tmp_path / "out", **KINDS)
    assert not writer.done(image)
    writer.write(image, prediction(), 1.0)
    assert writer.done(image) and outputs(tmp_path / "out").done(image)
    assert not outputs(tmp_path / "out", "other", **KINDS).done(image)
    assert not outputs(tmp_path / "elsewhere", **KINDS).done(image)
    for name in NAMES:
        (tmp_path / "out" / name).rename(tmp_path / "aside")
        assert not writer.done(image), name
        (tmp_path / "aside").rename(tmp_path / "out" / name)
    assert writer.done(image)
    times = os.stat(image.path)
    os.utime(image.path, ns=(times.st_atime_ns, times.st_mtime_ns - 10**9))  # replaced by an older file
    assert not writer.done(image)
    image.path.unlink()
    assert not writer.done(image)


def test_another_image_of_the_same_place_is_not_done(tmp_path, image):
    (tmp_path / "more").mkdir()
    other = Found(tmp_path / "more/x.png", "x")
    other.path.write_bytes(image.path.read_bytes())
    times = os.stat(image.path)
    os.utime(other.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    writer = outputs(tmp_path / "out")
    writer.write(image, prediction(), 1.0)
    assert not writer.done(other)


def make_text(path: Path) -> None:
    path.write_text("by hand")


def make_picture(path: Path) -> None:
    Image.new("L", (3, 3)).save(path, format="PNG")


def make_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _unread(path: Path) -> tuple[int, ...]:
    """What the system says of a file, but for when it was read: looking at it is allowed."""
    seen = os.lstat(path)
    return seen.st_mode, seen.st_ino, seen.st_size, seen.st_mtime_ns


@pytest.mark.parametrize("make", [make_text, make_picture, make_link, Path.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_there_and_by_others_stays(tmp_path, image, make, name):
    (tmp_path / "out").mkdir()
    make(tmp_path / "out" / name)
    before = _unread(tmp_path / "out" / name)
    writer = outputs(tmp_path / "out", **KINDS)
    said = f"{tmp_path}/out/{name} is there and not by 'segkit predict'; move it, or change --out"
    assert reason(writer, image) == said
    assert _unread(tmp_path / "out" / name) == before and os.listdir(tmp_path / "out") == [name]
    assert not writer.done(image)


def test_results_replace_those_of_before(tmp_path, image):
    for made_by in ("this", "other"):
        outputs(tmp_path / "out", made_by, **KINDS).write(image, prediction(), 1.0)
    assert outputs(tmp_path / "out", "other", **KINDS).done(image)


def test_an_image_is_never_replaced(tmp_path):
    images = [Found(tmp_path / name, Path(name).stem) for name in ("x.png", "x_mask.png")]
    for image in images:
        make_picture(image.path)
    with pytest.raises(InputError, match=r"x_mask\.png is itself one of the images; choose another folder for --out"):
        outputs(tmp_path).refuse_sources(images)
    outputs(tmp_path / "out").refuse_sources(images)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="is itself one of the images"):
        outputs(tmp_path / "link").refuse_sources(images)


def test_a_link_in_a_circle_is_no_image_and_no_obstacle(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    outputs(tmp_path / "out").refuse_sources([Found(tmp_path / "loop.png", "loop")])
    assert not outputs(tmp_path / "out").done(Found(tmp_path / "loop.png", "loop"))


@pytest.mark.parametrize(
    ("place", "said"),
    [("x" * 250, "cannot be written: File name too long"), ("file/x", "out/file cannot be written: File exists")],
)
def test_a_name_that_cannot_be_written_is_the_fault_of_this_image_alone(tmp_path, image, place, said):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/file").touch()
    assert said in reason(outputs(tmp_path / "out"), Found(image.path, place))


def test_an_image_that_changed_or_vanished_after_its_prediction(tmp_path, image):
    writer = outputs(tmp_path / "out", overlay=True)
    assert reason(writer, image, prediction(5, 5)) == "it was changed during its prediction"
    image.path.unlink()
    assert reason(writer, image) == "cannot be read: No such file or directory"
    assert not any((tmp_path / "out").glob("*"))


def test_a_name_of_any_bytes(tmp_path, image):
    odd = Found(image.path.rename(tmp_path / os.fsdecode(b"\xff\n.png")), os.fsdecode(b"\xff\n"))
    writer = outputs(tmp_path / "out", **KINDS)
    writer.write(odd, prediction(), 1.0)
    assert writer.done(odd)
    assert json.loads((tmp_path / "out" / f"{odd.place}.json").read_text())["image"] == str(odd.path)
