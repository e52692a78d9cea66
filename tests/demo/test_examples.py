"""The pictures that the page offers."""

import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.demo.examples import FEW, PIPELINE, thumbnails
from tests.tiny import pet


def test_without_data_there_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert thumbnails(None, tmp_path) == {}


def test_the_pipelines_pictures_are_chosen_from_all_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PIPELINE.mkdir(parents=True)
    for number in range(19):
        pet(number)[0].save(PIPELINE / f"{number:02}.jpg")
    assert [path.stem for path in thumbnails(None, tmp_path)] == [f"{2 * number:02}" for number in range(FEW)]


def test_thumbnails_are_square(tmp_path):
    (tmp_path / "own").mkdir()
    pet(1, 90, 30)[0].save(tmp_path / "own/wide.png")
    ((picture, thumbnail),) = thumbnails(str(tmp_path / "own"), tmp_path).items()
    assert picture.name == "wide.png"
    assert Image.open(thumbnail).size == (160, 160)


@pytest.mark.parametrize(
    ("files", "said"), [([], "holds no images"), (["a.jpg"], "a.jpg: the file is empty; remove it"), (None, "no such")]
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, files, said):
    if files is not None:
        (tmp_path / "own").mkdir()
        for name in files:
            (tmp_path / "own" / name).touch()
    with pytest.raises(InputError, match=said):
        thumbnails(str(tmp_path / "own"), tmp_path)
