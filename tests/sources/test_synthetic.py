"""The procedural cats and dogs: their layout, their trimaps, and that (seed, index) alone decides each."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.base.params import Synthetic
from segkit.sources import synthetic
from segkit.sources.synthetic.breeds import BREEDS
from segkit.sources.synthetic.layout import line, name, split
from segkit.sources.synthetic.picture import POSE_SHARES, Picture, paint

OPTIONS = Synthetic(samples=30, test_share=0.3, min_side=64, max_side=112)
SEED = 7


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by its path within the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def entries(path: Path) -> list[list[str]]:
    """The fields of each line that is no comment."""
    return [text.split() for text in path.read_text().splitlines() if not text.startswith("#")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.write(folder, OPTIONS, SEED, workers=1)
    return folder


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [paint(SEED, index, 64, 112) for index in range(90)]


def test_lists_name_exactly_the_files(written: Path) -> None:
    annotations = written / "annotations"
    listed = [fields[0] for fields in entries(annotations / "list.txt")]
    assert len(listed) == len(set(listed)) == OPTIONS.samples
    assert {path.stem for path in (written / "images").glob("*.jpg")} == set(listed)
    assert {path.stem for path in (annotations / "trimaps").glob("*.png")} == set(listed)
    trainval, test = ([fields[0] for fields in entries(annotations / f"{part}.txt")] for part in ("trainval", "test"))
    assert len(test) == 9 and len(trainval) == 21
    assert set(trainval) | set(test) == set(listed)


def test_list_begins_with_six_comment_lines(written: Path) -> None:
    lines = (written / "annotations" / "list.txt").read_text().splitlines()
    assert [text.startswith("#") for text in lines[:7]] == [True] * 6 + [False]
    for part in ("trainval", "test"):
        assert "#" not in (written / "annotations" / f"{part}.txt").read_text()


def test_identifiers_agree_with_names(written: Path) -> None:
    seen = set()
    for label, class_id, species, breed_id in entries(written / "annotations" / "list.txt"):
        breed, number = label.rsplit("_", 1)
        assert int(number) >= 1
        assert breed[0].isupper() == (species == "1") and species in "12"
        seen.add((breed, class_id, species, breed_id))
    assert len(seen) == len(BREEDS)
    assert sorted(int(class_id) for _, class_id, _, _ in seen) == list(range(1, len(BREEDS) + 1))
    for species in "12":
        ids = sorted(int(breed_id) for _, _, found, breed_id in seen if found == species)
        assert ids == list(range(1, len(ids) + 1))


def test_class_ids_follow_the_alphabet() -> None:
    ordered = sorted(BREEDS, key=lambda breed: breed.name.lower())
    assert [breed.class_id for breed in ordered] == list(range(1, len(BREEDS) + 1))


def test_trimaps_hold_three_values_and_fit_their_pictures(written: Path) -> None:
    for label, *_ in entries(written / "annotations" / "list.txt"):
        image = Image.open(written / "images" / f"{label}.jpg")
        trimap = Image.open(written / "annotations" / "trimaps" / f"{label}.png")
        assert (image.mode, trimap.mode, trimap.size) == ("RGB", "L", image.size)
        assert OPTIONS.min_side <= max(image.size) <= OPTIONS.max_side
        assert set(np.unique(np.asarray(trimap))) == {1, 2, 3}


def test_same_files_whatever_the_workers(written: Path, tmp_path: Path) -> None:
    synthetic.write(tmp_path, Synthetic(samples=70, test_share=0.3, min_side=64, max_side=112), SEED, workers=2)
    many, few = digests(tmp_path), digests(written)
    assert all(many[path] == few[path] for path in few if not path.endswith(".txt"))
    assert len([path for path in many if path.endswith(".jpg")]) == 70


def test_writing_again_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    synthetic.write(tmp_path / "new" / "folder", OPTIONS, SEED, workers=1)
    assert digests(tmp_path / "new" / "folder") == digests(written)


def test_seeds_give_different_pictures() -> None:
    one, other = paint(0, 3, 64, 112), paint(1, 3, 64, 112)
    assert one.image.tobytes() != other.image.tobytes()
    assert paint(2**63 - 1, 0, 64, 64).image.size is not None


def test_foreground_share(pictures: list[Picture]) -> None:
    shares = [float((np.asarray(picture.trimap) != 2).mean()) for picture in pictures]
    assert 0.25 < np.mean(shares) < 0.42
    assert min(shares) > 0.1 and max(shares) < 0.75


def test_border_is_a_thin_band_around_the_pet(pictures: list[Picture]) -> None:
    for picture in pictures[:20]:
        trimap = np.asarray(picture.trimap)
        assert 0.02 < (trimap == 3).mean() < 0.25
        # No pet pixel touches the background: the border lies between, or an occluder's edge was eroded.
        pet, background = trimap == 1, trimap == 2
        assert not (pet[1:] & background[:-1]).any() and not (pet[:, 1:] & background[:, :-1]).any()


def test_occluders_are_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.sources.synthetic.difficulty.OCCLUDER", 0.0)
    bare = [np.asarray(paint(SEED, index, 96, 96).trimap) != 2 for index in range(40)]
    monkeypatch.setattr("segkit.sources.synthetic.difficulty.OCCLUDER", 1.0)
    covered = [np.asarray(paint(SEED, index, 96, 96).trimap) != 2 for index in range(40)]
    hidden = [(one & ~two).sum() / one.sum() for one, two in zip(bare, covered, strict=True)]
    assert sum(share > 0.01 for share in hidden) > 10
    assert max(hidden) < 0.3
    # The border reaches up to the occluder's edge, never further out than without it.
    assert not any((two & ~one).any() for one, two in zip(bare, covered, strict=True))


def test_every_breed_pose_and_both_orientations_occur(pictures: list[Picture]) -> None:
    assert {picture.breed.name for picture in pictures} == {breed.name for breed in BREEDS}
    assert len({picture.pose for picture in pictures}) == len(POSE_SHARES)
    landscape = sum(picture.image.width > picture.image.height for picture in pictures)
    assert 15 < landscape < 80


@pytest.mark.parametrize("samples", [20, 99, 600])
def test_split_is_fair_to_breeds(samples: int) -> None:
    trainval, test = split(samples, 0.25, SEED)
    assert sorted(trainval + test) == list(range(samples))
    assert len(test) == round(samples * 0.25)
    for indices in (trainval, test):
        counts = Counter(line(index).split()[1] for index in indices)
        # One for the round that the split divides, one for a last round that lacks some breeds.
        assert max(counts.values()) - min(counts.values()) <= 2
    if samples == 600:
        valid = Counter(name(index).rsplit("_", 1)[0] for index in trainval[::10])
        assert len(valid) == len(BREEDS) and max(valid.values()) <= 2 * min(valid.values())


def test_very_small_and_large_pictures() -> None:
    for side in (48, 700):
        picture = paint(SEED, 5, side, side)
        assert max(picture.image.size) == side
        assert set(np.unique(np.asarray(picture.trimap))) == {1, 2, 3}
