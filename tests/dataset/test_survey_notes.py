"""What the first look at a user's images says about files that are not read as they are."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segkit.dataset.catalog import Sample
from segkit.dataset.decode import UnusableFile
from segkit.dataset.pictures import read_pair
from segkit.dataset.survey import survey
from tests.tiny import options, own_folder


@pytest.fixture
def look(tmp_path):
    """Survey three images, which ``save(path, number)`` writes, with masks that ``save_mask`` writes."""

    def save_disc(path, number):
        mask = np.zeros((24, 32), np.uint8)
        mask[6:18, 8 : 20 + number] = 255
        Image.fromarray(mask).save(path, format="PNG")

    def look(save, save_mask=save_disc, **settings):
        samples = []
        for number in range(3):
            image, mask = tmp_path / f"s{number}.tif", tmp_path / f"m{number}.tif"
            save(image, number)
            save_mask(mask, number)
            samples.append(Sample(f"s{number}", "train", "", image, (mask,), trimap=False))
        return survey(samples, options((16, 16)), own_folder(tmp_path, tmp_path, **settings), 1)

    return look


def save_noise(path, number):
    values = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(values).save(path, format="PNG")


def save_pages(path, number):
    pages = [Image.fromarray(np.full((24, 32), 255 * (page == number), np.uint8)) for page in range(3)]
    pages[0].paste(255, (4, 4, 12, 12))
    pages[0].paste(0, (0, 0, 4, 4))
    pages[0].save(path, format="TIFF", save_all=True, append_images=pages[1:])


def save_wide_colours(path, number):
    rows = np.random.default_rng(number).integers(0, 2**16, (24, 32, 3)).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 32, 24, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def test_it_says_that_16_bit_colours_are_shortened(look):
    assert "of the 16-bit colours of 3 images the upper 8 bits are read" in look(save_wide_colours).notes


def test_advice_about_pages_fits_the_side_that_has_them(look):
    (_, said) = look(save_pages).notes
    assert "3 samples have several pages (s0, s1, s2)" in said
    assert "set data.folder.pages to all" in said
    (_, said) = look(save_noise, save_pages).notes
    assert "3 images have one page and masks of several pages (s0, s1, s2)" in said
    assert "save each mask in one page" in said
    (_, said) = look(save_pages, save_pages).notes
    assert "set data.folder.pages to all" in said


def test_images_of_no_finite_value_are_left_to_packing(look):
    def save(path, number):
        Image.fromarray(np.full((24, 32), np.nan, np.float32)).save(path)

    found = look(save)
    assert found.reading.scale is None
    with pytest.raises(UnusableFile, match="some values are not finite"):
        read_pair(found.samples[0], found.reading)


def test_a_mixture_of_bit_depths_is_told(look):
    def save(path, number):
        if number:
            save_noise(path, number)
        else:
            Image.fromarray(np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)).save(path, format="PNG")

    assert any("1 images of more than 8 bits" in note for note in look(save).notes)
    assert any(note.startswith("the other 2 images have 8 bits") for note in look(save).notes)
