"""Folds of the audited samples."""

import numpy as np
import pytest

from segkit.base.errors import InputError
from segkit.base.packed import open_split
from segkit.reporting.audit.samples import AUDITED, Audited, Chosen, folds
from tests.tiny import make_project


@pytest.fixture(scope="module", params=["stretch", "fit", "tile"])
def audited(request, tmp_path_factory) -> Audited:
    folder = tmp_path_factory.mktemp(request.param)
    make_project(folder, trainval=14, size=(16, 16), resize=request.param)
    return Audited.open(folder / "data/processed")


def test_each_image_is_in_one_fold_and_breeds_are_spread(audited):
    parts = folds(audited, 4, seed=0)
    names = [image.name for part in parts for image in part]
    assert sorted(names) == sorted(image.name for image in audited.images) and len(names) == 14
    assert {len(part) for part in parts} == {3, 4}
    for group in {image.group for image in audited.images}:
        members = [sum(image.group == group for image in part) for part in parts]
        assert max(members) - min(members) <= 1
    assert folds(audited, 4, seed=0) == parts != folds(audited, 4, seed=1)


def test_groups_of_a_user_s_own_data_stay_together(audited):
    together = Audited(audited.sets, together=True)
    parts = folds(together, 2, seed=0)
    assert all(len({image.group for image in part}) == 1 for part in parts)
    with pytest.raises(InputError, match="only 2 groups of images"):
        folds(together, 3, seed=0)


def test_more_folds_than_images_are_refused(audited):
    with pytest.raises(InputError, match="--folds 15: there are only 14 images"):
        folds(audited, 15, seed=0)


def test_a_part_holds_the_rows_of_its_images(audited):
    images = [audited.images[-1], audited.images[2]]
    part = audited.part(images)
    for kind in ("images", "masks"):
        found = np.concatenate([
            getattr(each.split, kind)[np.array([row["row"] for row in each.rows[image.number]])]
            for image in images
            for each in [audited.sets[image.split]]
        ])  # fmt: skip
        assert np.array_equal(getattr(part, kind)[:], found)


def test_rows_are_read_as_from_one_array(audited):
    processed = audited.sets["train"].folder.parent
    splits = [open_split(processed, split) for split in AUDITED]
    whole = np.concatenate([split.images[:] for split in splits])
    rows = np.random.default_rng(0).permutation(len(whole))
    chosen = Chosen([split.images for split in splits], rows)
    assert chosen.shape == whole.shape and len(chosen) == len(whole)
    assert np.array_equal(chosen[:], whole[rows]) and np.array_equal(chosen[3], whole[rows[3]])
    for some in (np.array([4, 0]), slice(2, 5), np.array([7])):
        assert np.array_equal(chosen[some], whole[rows[some]])


def test_probabilities_of_rows_become_those_of_images(audited):
    images = audited.images[:3]
    rows = audited.part(images).masks[:] == 1
    for image, probabilities in zip(images, audited.assemble(images, rows.astype(np.float16)), strict=True):
        assert np.array_equal(probabilities.numpy() == 1, audited.mask(image) == 1)
