"""Images and masks in all modes, formats and orientations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import ExifTags, Image, TiffImagePlugin

from segkit.dataset import pictures
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import UnusableFile, decode
from segkit.dataset.meaning import Meaning
from segkit.dataset.pictures import Reading, Trimaps, read_pair, resolve_border, to_values, trimap_to_mask
from tests.tiny import many

ORIENTATION = 0x0112


@pytest.fixture
def opened(tmp_path):
    """Write an image in some format under the name x.jpg and decode it."""

    def opened(image: Image.Image, image_format: str = "PNG", **options) -> Image.Image:
        image.save(tmp_path / "x.jpg", format=image_format, **options)
        return decode(tmp_path / "x.jpg").image

    return opened


def coloured(width: int = 12, height: int = 8) -> Image.Image:
    """A picture whose every pixel has another colour, so that any turn shows."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([20 * x, 30 * y, 10 * (x + y)], -1).astype(np.uint8))


def pair(picture, *masks, meaning=None, size=None, page: int = 0) -> tuple[Image.Image, np.ndarray]:
    """An image and its trimap, or its masks with a meaning."""
    sample = Sample("x", "train", "", picture, masks, page=page)
    return read_pair(sample, Reading(meaning or Trimaps(), "foreground"), size)


def reason(picture, *masks, **changes) -> str:
    with pytest.raises(UnusableFile) as caught:
        pair(picture, *masks, **changes)
    return str(caught.value)


def drawn(upright: np.ndarray) -> np.ndarray:
    """A trimap whose every turn is another: 1 where the sum of the colours is divisible by 3, else 2."""
    return np.where(upright.sum(-1) % 3, 2, 1).astype(np.uint8)


def pixels(image: Image.Image) -> list:
    return np.asarray(image).tolist()


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (7, 20), (20, 7)])
def test_a_picture_that_is_too_small_is_refused(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "x.png")
    said = f"image: {size[0]}x{size[1]} px is too small, a side needs 8"
    assert reason(tmp_path / "x.png", tmp_path / "m.png") == said


@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000), (8 * 32 + 1, 8)])
def test_a_picture_that_is_too_narrow_is_refused(tmp_path, size):
    Image.new("RGB", size).save(tmp_path / "x.png")
    said = f"image: {size[0]}x{size[1]} px is too narrow, one side is over 32 times the other"
    assert reason(tmp_path / "x.png", tmp_path / "m.png") == said


@pytest.mark.parametrize("size", [(8, 8), (8 * 32, 8)])
def test_the_smallest_and_the_narrowest_picture(tmp_path, size):
    for name, mode in (("x.png", "RGB"), ("m.png", "L")):
        Image.new(mode, size, int(mode == "L")).save(tmp_path / name)
    assert pair(tmp_path / "x.png", tmp_path / "m.png")[0].size == size


def trimap_reason(path) -> str:
    with pytest.raises(UnusableFile) as caught:
        decode(path, Trimaps().check)
    return f"mask: {caught.value}"


def test_the_pages_of_a_mask_are_not_counted(tmp_path, monkeypatch):
    """A TIFF of 100,000 pages took 50 seconds, since ``n_frames`` reads each page's directory."""
    pages = [Image.new("L", (9, 9))] * 3
    pages[0].save(tmp_path / "m", "TIFF")
    assert decode(tmp_path / "m", Trimaps().check).size == (9, 9)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "n_frames", property(lambda image: pytest.fail("counted")))
    pages[0].save(tmp_path / "m", "TIFF", save_all=True, append_images=pages[1:])
    assert trimap_reason(tmp_path / "m") == "mask: it has several frames; save one"


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "TIFF", "WEBP"])
def test_a_mask_of_several_frames_is_refused(tmp_path, image_format):
    frames = [Image.new("L", (9, 9), value) for value in (1, 2, 3)]
    frames[0].save(tmp_path / "m", image_format, save_all=True, append_images=frames[1:], lossless=True)
    assert trimap_reason(tmp_path / "m") == "mask: it has several frames; save one"


@pytest.mark.parametrize(
    ("image_format", "options"), [("JPEG", {"quality": 100}), ("WEBP", {}), ("TIFF", {"compression": "jpeg"})]
)
def test_a_mask_under_any_name_that_changed_its_values_is_refused(tmp_path, image_format, options):
    Image.new("L", (9, 9), 1).save(tmp_path / "m.png", image_format, **options)
    assert trimap_reason(tmp_path / "m.png").startswith("mask: its compression is lossy, which changes label values")


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_a_mask_whose_mode_has_no_label_values_is_refused(tmp_path, mode):
    Image.new(mode, (9, 9)).save(tmp_path / "m", "TIFF")
    coloured(9, 9).save(tmp_path / "x", "PNG")
    said = f"mask: its mode {mode} has no label values; save it as 8-bit greyscale"
    assert reason(tmp_path / "x", tmp_path / "m") == said
    own = reason(tmp_path / "x", tmp_path / "m", meaning=Meaning("grey", "", (255,)))
    assert own == f"{said} with black (0) background and white (255) foreground"


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_a_mask_of_numbers_that_are_not_whole_is_refused(tmp_path, value):
    with pytest.raises(UnusableFile, match="mask: its values are not whole numbers; save it as 8-bit greyscale"):
        to_values(Image.fromarray(np.array([[1, value]], np.float32)))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wide_mask_values_stay_what_they_are_or_become_255(opened, dtype):
    mask = Image.fromarray(np.array([[0, 1, 255, 256, 70000, -1]], dtype))
    assert pixels(to_values(opened(mask, "TIFF"))) == [[0, 1, 255, 255, 255, 255]]


def test_a_palette_with_alpha_counts_its_indices():
    image = Image.new("PA", (2, 1))
    image.putpalette([255, 255, 255, 9, 9, 9, 0, 0, 0])
    image.putpixel((1, 0), (2, 255))
    assert pixels(to_values(image)) == [[0, 2]]


def test_mask_values_are_palette_indices_not_colours(opened):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0])
    for x in range(3):
        image.putpixel((x, 0), x + 1)
    assert pixels(to_values(opened(image))) == [[1, 2, 3]]


@pytest.mark.parametrize("values", [np.array([[1, 2, 3]], np.uint8), np.array([[1, 2, 3]], np.uint16)])
def test_mask_values_survive_8_and_16_bits(opened, values):
    assert pixels(to_values(opened(Image.fromarray(values)))) == [[1, 2, 3]]


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The rows and columns that a camera stores, from EXIF 2.32, table 6: where row 0 and column 0 are seen."""
    return {
        1: lambda seen: seen,  # top, left
        2: lambda seen: seen[:, ::-1],  # top, right
        3: lambda seen: seen[::-1, ::-1],  # bottom, right
        4: lambda seen: seen[::-1],  # bottom, left
        5: lambda seen: seen.swapaxes(0, 1),  # left, top
        6: lambda seen: seen[:, ::-1].swapaxes(0, 1),  # right, top
        7: lambda seen: seen[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: lambda seen: seen[::-1].swapaxes(0, 1),  # left, bottom
    }[orientation](upright).copy()


def write_turned(folder, orientation: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture as a camera turned it; returns it upright and as stored."""
    upright = np.asarray(coloured())
    stored = as_stored(upright, orientation)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(stored).save(folder / "x.jpg", format="PNG", exif=exif)
    return upright, stored


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_meets_a_mask_drawn_upright(tmp_path, orientation):
    upright, _ = write_turned(tmp_path, orientation)
    Image.fromarray(drawn(upright)).save(tmp_path / "m.png")
    picture, labels = pair(tmp_path / "x.jpg", tmp_path / "m.png")
    assert np.array_equal(picture, upright)
    assert np.array_equal(labels, drawn(upright) == 1)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turned_picture_meets_a_mask_drawn_as_stored(tmp_path, orientation):
    _, stored = write_turned(tmp_path, orientation)
    Image.fromarray(drawn(stored)).save(tmp_path / "m.png")
    picture, labels = pair(tmp_path / "x.jpg", tmp_path / "m.png")
    assert np.array_equal(picture, stored)
    assert np.array_equal(labels, drawn(stored) == 1)


def test_a_mask_turned_like_its_picture_is_turned_with_it(tmp_path):
    upright, stored = write_turned(tmp_path, 6)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(drawn(stored)).save(tmp_path / "m.png", exif=exif)
    picture, labels = pair(tmp_path / "x.jpg", tmp_path / "m.png")
    assert np.array_equal(picture, upright)
    assert np.array_equal(labels, drawn(upright) == 1)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_reason_to_refuse(tmp_path, exif):
    coloured().save(tmp_path / "x.jpg", exif=exif)
    Image.new("L", (12, 8), 1).save(tmp_path / "m.png")
    assert pair(tmp_path / "x.jpg", tmp_path / "m.png")[0].size == (12, 8)


def test_sizes_that_differ_are_named(tmp_path):
    coloured().save(tmp_path / "x.jpg")
    Image.new("L", (12, 9)).save(tmp_path / "m.png")
    assert reason(tmp_path / "x.jpg", tmp_path / "m.png") == "the mask is 12x9, the image 12x8"


def test_the_reason_says_which_of_the_two_is_at_fault(tmp_path):
    coloured().save(tmp_path / "x.jpg")
    assert reason(tmp_path / "x.jpg", tmp_path / "m.png") == "mask: no such file"
    assert reason(tmp_path / "m.png", tmp_path / "x.jpg") == "image: no such file"


@many
@given(
    arrays.arrays(np.uint8, (3, 4), elements=st.integers(0, 4)), st.sampled_from(["foreground", "background", "ignore"])
)
def test_a_trimap_becomes_a_mask_or_is_refused(trimap, border):
    meaning = {1: 1, 2: 0, 3: {"foreground": 1, "background": 0, "ignore": 255}[border]}
    unexpected = sorted(set(np.unique(trimap).tolist()) - meaning.keys())
    if unexpected:
        with pytest.raises(UnusableFile, match=rf"values other than 1 \(pet\).*: \[{unexpected[0]}"):
            trimap_to_mask(Image.fromarray(trimap))
    elif (trimap == 3).all() and border != "background":
        with pytest.raises(UnusableFile, match="every pixel of the mask is border"):
            resolve_border(trimap_to_mask(Image.fromarray(trimap)), border)
    else:
        expected = [[meaning[value] for value in row] for row in trimap.tolist()]
        labels = trimap_to_mask(Image.fromarray(trimap))
        assert labels.tolist() == [[(1, 0, 2)[value - 1] for value in row] for row in trimap.tolist()]
        assert resolve_border(labels, border).tolist() == expected


@pytest.mark.parametrize(("orientation", "decoded"), [(1, (80, 60)), (6, (60, 80)), (9, (80, 60))])
def test_a_jpeg_is_decoded_at_the_smallest_size_that_is_enough(tmp_path, monkeypatch, orientation, decoded):
    """Of 640x480 an eighth is enough for 80x60; the mask comes whole. 9 is no orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (640, 480), "red").save(tmp_path / "x.jpg", exif=exif)
    turned = (480, 640) if orientation == 6 else (640, 480)
    Image.new("L", turned, 1).save(tmp_path / "m.png")
    stored = []
    to_rgb = pictures.to_rgb
    monkeypatch.setattr(pictures, "to_rgb", lambda image, scale: stored.append(image.size) or to_rgb(image))
    wider = (decoded[0] + 1, decoded[1])
    for size in (decoded, wider):
        _, mask = pair(tmp_path / "x.jpg", tmp_path / "m.png", size=size[::-1])
        assert mask.shape == turned[::-1]
    assert pair(tmp_path / "x.jpg", tmp_path / "m.png")[0].size == turned
    assert stored == [decoded, (2 * decoded[0], 2 * decoded[1]), turned]


def test_an_orientation_that_is_none_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    Image.new("RGB", (64, 48), "red").save(tmp_path / "x.jpg", exif=exif)
    Image.new("L", (48, 64), 1).save(tmp_path / "m.png")
    with pytest.raises(UnusableFile, match="the mask is 48x64, the image 64x48"):
        pair(tmp_path / "x.jpg", tmp_path / "m.png")


OWN = Meaning("grey", "", (1,), (255,), (2,))


def test_several_masks_are_united(tmp_path):
    """Foreground in one of them is foreground, else border in one of them is border, else ignored ignored."""
    coloured(9, 8).save(tmp_path / "x", "PNG")
    values = np.array(np.meshgrid(*[[0, 1, 2, 255]] * 3), np.uint8).reshape(3, 64)
    for number, each in enumerate(values):
        Image.fromarray(np.resize(each, (8, 9))).save(tmp_path / f"m{number}", "PNG")
    _, united = pair(tmp_path / "x", *(tmp_path / f"m{number}" for number in range(3)), meaning=OWN)
    expected = [next(value for value in (1, 2, 255, 0) if value in each) for each in values.T.tolist()]
    assert united.ravel()[:64].tolist() == expected


def test_of_several_masks_each_must_fit(tmp_path):
    upright, stored = write_turned(tmp_path, 6)
    for name, size in (("upright", upright), ("stored", stored), ("other", upright[1:])):
        Image.new("L", size.shape[1::-1], 1).save(tmp_path / name, "PNG")
    files = {name: tmp_path / name for name in ("upright", "stored", "other")}
    assert "the mask is 12x7, the image 12x8" in reason(
        tmp_path / "x.jpg", files["upright"], files["other"], meaning=OWN
    )
    said = reason(tmp_path / "x.jpg", files["upright"], files["stored"], meaning=OWN)
    assert said == "some of its masks are drawn on the rotated image, others on the stored one"
    assert "mask: no such file" in reason(tmp_path / "x.jpg", files["upright"], tmp_path / "gone", meaning=OWN)


@pytest.mark.parametrize(
    ("image_format", "options"), [("TIFF", {}), ("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})]
)
def test_a_page_of_image_and_mask_is_read_or_named(tmp_path, image_format, options):
    pages = [coloured().point(lambda value, shift=shift: value // 2 + shift) for shift in (0, 40, 80)]
    masks = [Image.new("RGB", (12, 8), "white" if page == 1 else "black") for page in range(3)]
    masks[1].putpixel((0, 0), 0)
    for name, frames in (("x", pages), ("m", masks[:2])):
        frames[0].save(tmp_path / name, image_format, save_all=True, append_images=frames[1:], **options)
    meaning = Meaning("grey", "", (255,))
    image, mask = pair(tmp_path / "x", tmp_path / "m", meaning=meaning, page=1)
    assert np.abs(np.asarray(image).astype(int) - np.asarray(pages[1])).mean() < 12  # the palette of a GIF
    assert mask.sum() == 12 * 8 - 1 and not mask[0, 0]
    assert reason(tmp_path / "x", tmp_path / "m", meaning=meaning, page=2) == "mask: no page 3"
    assert reason(tmp_path / "x", tmp_path / "m", meaning=meaning, page=3) == "image: no page 4"
