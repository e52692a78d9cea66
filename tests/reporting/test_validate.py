"""``python -m segkit validate``: what it refuses, and that it leaves a user's files alone."""

import numpy as np
import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.cli import main
from segkit.reporting.validate import validate
from tests.tiny import small_params


@pytest.fixture
def check(tmp_path):
    """Validate twelve images and masks; ``change(number, mask)`` may change a mask in place."""

    def check(change=lambda number, mask: None, folder=tmp_path, sheet="sheet.png", json=None, **settings):
        for number in range(12):
            values = np.random.default_rng(number)
            mask = np.zeros((48, 64), np.uint8)
            mask[12 : 24 + number, 10:40] = 255
            change(number, mask)
            for kind, pixels in (("images", values.integers(0, 256, (48, 64, 3), np.uint8)), ("masks", mask)):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / kind / f"s{number:02d}.png")
        settings |= {f"data__folder__{kind}": str(folder / kind) for kind in ("images", "masks")}
        params = small_params(data__source="folder", **settings)
        validate(params, tmp_path / sheet, tmp_path / json if json else None)

    return check


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 3])
def test_a_frame_along_the_edge_is_named(check, width, every, capsys):
    def frame(number, mask):
        if number % every == 0:
            mask[:width] = mask[-width:] = mask[:, :width] = mask[:, -width:] = 255

    with pytest.raises(InputError, match=f"{12 // every} of 12 masks have foreground all along the edge"):
        check(frame)
    check(frame, preprocess__on_suspect="report")
    out = capsys.readouterr().out
    assert f"a frame of foreground: {12 // every} masks" in out
    assert "reversed" not in out


def test_reversed_masks_and_close_ups_have_no_frame(check, capsys):
    def reverse(number, mask):
        mask[:] = 255 - mask

    with pytest.raises(InputError, match="12 of 12 masks look reversed"):
        check(reverse)
    assert "frame" not in capsys.readouterr().out


@pytest.mark.parametrize("place", ["images/s03.png", "images/new.png", "masks/new.png"])
def test_it_writes_nothing_among_the_images(check, tmp_path, place):
    check()
    before = {path: path.read_bytes() for path in tmp_path.rglob("s*.png")}
    for files in ({"sheet": place}, {"json": place}):
        with pytest.raises(InputError, match="write it elsewhere"):
            check(**files)
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / place).name.startswith("new") or not (tmp_path / place).exists()


def test_it_refuses_the_folders_that_download_refuses(check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is in data/raw, where the pipeline writes"):
        check(folder=tmp_path / "data" / "raw" / "mine")


def test_one_folder_without_the_other_is_refused(capsys):
    assert main(["validate", "--images", "somewhere"]) == 2
    assert "--images and --masks belong together" in capsys.readouterr().err
