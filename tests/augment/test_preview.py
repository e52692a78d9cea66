"""The augment stage: a plan and a picture of it."""

import numpy as np
import pytest
from PIL import Image

from segkit.augment.plan import make_plan, read_plan
from segkit.augment.preview import augment
from segkit.base.errors import InputError
from segkit.base.files import digest
from segkit.base.packed import open_split
from segkit.dataset.preprocess import preprocess
from tests.packing import pack
from tests.tiny import RawSet, augmentation, options


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("augment")
    preprocess(RawSet(folder / "raw", trainval=12, test=1).folder, folder / "processed", options((24, 32)))
    return folder / "processed"


@pytest.mark.parametrize("kind", [("combine", 0), ("combine", 1), ("combine", 5), ("flip", 2)])
def test_plan_and_preview_are_written(processed, tmp_path, kind):
    plan = augment(processed, tmp_path / "out", augmentation(*kind), seed=0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plan.csv", "preview.png"]
    samples = len(open_split(processed, "train"))
    assert len(plan) == samples * (1 + kind[1])
    written, expected = (
        read_plan(tmp_path / "out" / "plan.csv", samples, augmentation(*kind)),
        make_plan(samples, augmentation(*kind)),
    )
    assert np.array_equal(written.source_rows, expected.source_rows)
    assert np.array_equal(written.transforms, expected.transforms)
    picture = Image.open(tmp_path / "out" / "preview.png")
    assert len(picture.getcolors(1 << 20)) > 100


def test_the_same_seed_writes_the_same_bytes_and_another_another_preview(processed, tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        augment(processed, tmp_path / name, augmentation("combine", 1), seed)
    previews = {name: digest(tmp_path / name / "preview.png") for name in ("one", "same", "other")}
    assert previews["one"] == previews["same"] != previews["other"]
    assert len({digest(tmp_path / name / "plan.csv") for name in previews}) == 1


def test_without_packed_data_it_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match="run 'dvc repro'"):
        augment(tmp_path / "processed", tmp_path / "out", augmentation("combine", 1), seed=0)


def test_windows_and_padding_are_shown_with_ignored_pixels_grey(tmp_path):
    mask = np.zeros((20, 70), np.uint8)
    mask[5:, 30:] = 1
    picture = np.full((20, 70, 3), (200, 30, 30), np.uint8)
    picture[0, 0] = 30, 30, 200  # an image of one colour is refused
    for resize, rows in (("fit", 1), ("tile", 3)):
        samples = [("a", picture, mask)]
        pack(tmp_path / resize, resize, (24, 32), train=samples, valid=samples, test=samples)
        assert len(augment(tmp_path / resize, tmp_path / "out", augmentation("combine", 1), seed=0)) == 2 * rows
        colours = {colour: n for n, colour in Image.open(tmp_path / "out/preview.png").getcolors(1 << 20)}
        assert all(colours[(shade,) * 3] > 1000 for shade in (0, 128, 255))
