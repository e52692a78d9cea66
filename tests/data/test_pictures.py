"""Pictures and masks in every disguise that files come in."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import ExifTags, Image

from segkit.data import pictures
from segkit.data.pictures import UnusableFile, open_image, read_pair, to_rgb, to_values, trimap_to_mask
from tests.tiny import many

ORIENTATION = 0x0112
WHITE = (255, 255, 255)


@pytest.fixture
def opened(tmp_path):
    """Write an image in some format under the name x.jpg and decode it."""

    def opened(image: Image.Image, image_format: str = "PNG", **options) -> Image.Image:
        image.save(tmp_path / "x.jpg", format=image_format, **options)
        return open_image(tmp_path / "x.jpg")

    return opened


def coloured(width: int = 6, height: int = 4) -> Image.Image:
    """A picture whose every pixel has another colour, so that any turn shows."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([40 * x, 60 * y, 10 * (x + y)], -1).astype(np.uint8))


def reason(picture, mask=None) -> str:
    with pytest.raises(UnusableFile) as caught:
        open_image(picture) if mask is None else read_pair(picture, mask)
    return str(caught.value)


def pixels(image: Image.Image) -> list:
    return np.asarray(image).tolist()


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "WEBP", "TIFF"])
def test_the_format_is_read_from_the_bytes(opened, image_format):
    found = to_rgb(opened(coloured(), image_format, **({"lossless": True} if image_format == "WEBP" else {})))
    assert pixels(found) == pixels(coloured())


def test_a_gif_with_a_picture_s_name_is_decoded(opened):
    found = to_rgb(opened(coloured(), "GIF"))
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found).astype(int) - np.asarray(coloured())).max() <= 16  # its palette


def test_of_an_animation_the_first_frame_counts(opened):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = opened(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert to_rgb(found).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_over_white(opened, mode):
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 255, 128)):
        image.putpixel((x, 0), (100, 100, 100, alpha))
    clear, solid, half = pixels(to_rgb(opened(image.convert(mode))))[0]
    assert (clear, solid) == ([255] * 3, [100] * 3)
    assert half == pytest.approx([177] * 3, abs=1)


def test_a_palette_gives_its_colours_and_its_transparent_entry_white(opened):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert pixels(to_rgb(opened(image))) == [[[255, 0, 0], [0, 0, 255]]]
    assert pixels(to_rgb(opened(image, transparency=0))) == [[[255, 255, 255], [0, 0, 255]]]
    assert pixels(to_rgb(opened(image, transparency=b"\x00\xff"))) == [[[255, 255, 255], [0, 0, 255]]]


def test_grey_becomes_grey(opened):
    assert pixels(to_rgb(opened(Image.new("L", (1, 1), 77)))) == [[[77, 77, 77]]]
    assert pixels(to_rgb(opened(Image.new("1", (1, 1), 1)))) == [[[255, 255, 255]]]


def test_16_bit_grey_is_scaled_to_8_bits(opened):
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert [pixel[0] for pixel in pixels(to_rgb(opened(Image.fromarray(values))))[0]] == [0, 1, 128, 255]


def test_8_bit_values_in_a_16_bit_file_stay_as_they_are(opened):
    assert pixels(to_rgb(opened(Image.fromarray(np.array([[0, 7, 255]], np.uint16)))))[0][1] == [7, 7, 7]


def test_cmyk_becomes_rgb(opened):
    found = to_rgb(opened(Image.new("RGB", (8, 8), (200, 40, 40)).convert("CMYK"), "JPEG", quality=100))
    assert found.mode == "RGB"
    assert found.getpixel((4, 4)) == pytest.approx((200, 40, 40), abs=6)


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
    Image.fromarray(upright[..., 0]).save(tmp_path / "m.png")
    picture, labels = read_pair(tmp_path / "x.jpg", tmp_path / "m.png")
    assert np.array_equal(picture, upright)
    assert np.array_equal(labels, upright[..., 0])


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turned_picture_meets_a_mask_drawn_as_stored(tmp_path, orientation):
    _, stored = write_turned(tmp_path, orientation)
    Image.fromarray(stored[..., 0]).save(tmp_path / "m.png")
    picture, labels = read_pair(tmp_path / "x.jpg", tmp_path / "m.png")
    assert np.array_equal(picture, stored)
    assert np.array_equal(labels, stored[..., 0])


def test_a_mask_turned_like_its_picture_is_turned_with_it(tmp_path):
    upright, stored = write_turned(tmp_path, 6)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(stored[..., 0]).save(tmp_path / "m.png", exif=exif)
    picture, labels = read_pair(tmp_path / "x.jpg", tmp_path / "m.png")
    assert np.array_equal(picture, upright)
    assert np.array_equal(labels, upright[..., 0])


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_no_reason_to_refuse(tmp_path, exif):
    coloured().save(tmp_path / "x.jpg", exif=exif)
    Image.new("L", (6, 4)).save(tmp_path / "m.png")
    assert read_pair(tmp_path / "x.jpg", tmp_path / "m.png")[0].size == (6, 4)


def test_sizes_that_differ_are_named(tmp_path):
    coloured(6, 4).save(tmp_path / "x.jpg")
    Image.new("L", (6, 5)).save(tmp_path / "m.png")
    assert reason(tmp_path / "x.jpg", tmp_path / "m.png") == "the mask is 6x5, the picture 6x4"


def test_the_reason_says_which_of_the_two_is_at_fault(tmp_path):
    coloured().save(tmp_path / "x.jpg")
    assert reason(tmp_path / "x.jpg", tmp_path / "m.png") == "mask: no such file"
    assert reason(tmp_path / "m.png", tmp_path / "x.jpg") == "picture: no such file"


def test_an_empty_file_and_one_that_is_no_picture(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("MATLAB 5.0 MAT-file")
    assert reason(tmp_path / "empty") == "the file is empty"
    assert reason(tmp_path / "text") == "not a picture, or empty"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path, image_format, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x", format=image_format)
    whole = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[: int(share * len(whole))])
    assert reason(tmp_path / "x").startswith("cannot be decoded: ")


def test_a_folder_is_refused(tmp_path):
    assert reason(tmp_path).startswith("cannot be decoded: ")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [11, 20])  # up to twice the limit Pillow only warns
def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, side):
    Image.new("L", (side, side)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert reason(tmp_path / "x.png") == "more than 100 pixels"


def test_a_bomb_is_refused_whatever_other_threads_do_to_the_warning_filters(tmp_path, monkeypatch):
    Image.new("L", (11, 11)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    real = Image.open

    def after_another_thread_changed_the_filters(path):
        warnings.simplefilter("ignore")
        return real(path)

    monkeypatch.setattr(pictures.Image, "open", after_another_thread_changed_the_filters)
    assert reason(tmp_path / "x.png") == "more than 100 pixels"


def test_decoding_leaves_the_warning_filters_alone(tmp_path):
    coloured().save(tmp_path / "x.png")
    before = list(warnings.filters)
    open_image(tmp_path / "x.png")
    assert list(warnings.filters) == before


@many
@given(
    arrays.arrays(np.uint8, (3, 4), elements=st.integers(0, 4)), st.sampled_from(["foreground", "background", "ignore"])
)
def test_a_trimap_becomes_a_mask_or_is_refused(trimap, border):
    meaning = {1: 1, 2: 0, 3: {"foreground": 1, "background": 0, "ignore": 255}[border]}
    strange = sorted(set(np.unique(trimap).tolist()) - meaning.keys())
    if strange:
        with pytest.raises(UnusableFile, match=rf"values other than 1 \(pet\).*: \[{strange[0]}"):
            trimap_to_mask(Image.fromarray(trimap), border)
    else:
        expected = [[meaning[value] for value in row] for row in trimap.tolist()]
        assert trimap_to_mask(Image.fromarray(trimap), border).tolist() == expected


@pytest.mark.parametrize(("orientation", "decoded"), [(1, (80, 60)), (6, (60, 80)), (9, (80, 60))])
def test_a_jpeg_is_decoded_at_the_smallest_size_that_is_enough(tmp_path, orientation, decoded):
    """Of 640x480 an eighth is enough for 80x60; the mask comes whole. 9 is no orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (640, 480), "red").save(tmp_path / "x.jpg", exif=exif)
    turned = (480, 640) if orientation == 6 else (640, 480)
    Image.new("L", turned, 1).save(tmp_path / "m.png")
    picture, mask = read_pair(tmp_path / "x.jpg", tmp_path / "m.png", at_least=decoded)
    assert (picture.size, mask.size) == (decoded, turned)
    wider = (decoded[0] + 1, decoded[1])
    assert read_pair(tmp_path / "x.jpg", tmp_path / "m.png", at_least=wider)[0].size == (2 * decoded[0], 2 * decoded[1])
    assert read_pair(tmp_path / "x.jpg", tmp_path / "m.png")[0].size == turned


def test_an_orientation_that_is_none_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    Image.new("RGB", (64, 48), "red").save(tmp_path / "x.jpg", exif=exif)
    Image.new("L", (48, 64), 1).save(tmp_path / "m.png")
    with pytest.raises(UnusableFile, match="the mask is 48x64, the picture 64x48"):
        read_pair(tmp_path / "x.jpg", tmp_path / "m.png")
