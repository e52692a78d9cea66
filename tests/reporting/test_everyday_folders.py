"""Folders as people have them, from ../shared/cases: each is read right, or refused with a line that helps."""

import json
import runpy

import numpy as np
import pytest

from segkit.base.errors import InputError
from segkit.dataset.catalog import Sample
from segkit.dataset.findings import remarks
from segkit.dataset.pictures import read_pair
from segkit.dataset.preprocess import preprocess
from segkit.dataset.survey import survey
from segkit.reporting.validate import validate
from segkit.sources import folder
from tests.tiny import ROOT, options, own_folder, small_params

MAKE = ROOT.parent / "shared" / "cases" / "make_cases.py"
if not MAKE.is_file():
    pytest.skip("no ../shared/cases", allow_module_level=True)
CASES = {case.__name__: case for case in runpy.run_path(str(MAKE))["CASES"]}

REFUSED = {
    "half_inverted": ["12 of 24 masks look reversed", "s000, s002, s004", "preprocess.on_suspect"],
    "tiny_objects": ["30 of 40 masks lose all foreground at 64x64 px", "preprocess.resize to tile"],
}
# What is said of the others, beside being right.
SAID = {
    "gif_rgb": "masks hold 0 and 255",
    "palette_labels": "palette masks hold 0 and 1",
    "jpeg_masks": "cut at 128",
    "jpeg_saved_as_png": "cut at 128",
    "soft_edges": "cut at 128",
    "void_255": "255 is ignored",
    "grey_12_bit": "24 images of more than 8 bits",
    "mask_suffix": "24 pairs by {name}_mask",
    "other_files": "28 other files ignored",
    "several_masks": "{name}/*",
    "patients": "4 groups",
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_right_or_refused(name, tmp_path, capsys):
    CASES[name](tmp_path)
    own = own_folder(tmp_path / "images", tmp_path / "masks")
    settings = {f"data__folder__{key}": str(tmp_path / key) for key in ("images", "masks")}
    params = small_params(data__source="folder", preprocess__size=64, **settings)
    said = folder.bring(tmp_path / "raw", own, 0, 1)
    report = tmp_path / "report.json"
    if name in REFUSED:
        with pytest.raises(InputError) as preprocessed:
            preprocess(tmp_path / "raw", tmp_path / "out", options((64, 64)), 1, own)
        with pytest.raises(InputError) as validated:
            validate(params, tmp_path / "sheet.png", report)
        assert str(preprocessed.value) == str(validated.value) == json.loads(report.read_text())["error"]
        assert all(words in str(validated.value) for words in REFUSED[name])
        assert (tmp_path / "sheet.png").is_file()
        return
    said += "; ".join(remarks(preprocess(tmp_path / "raw", tmp_path / "out", options((64, 64)), 1, own)))
    assert SAID.get(name, "") in said
    validate(params, tmp_path / "sheet.png", report)
    assert (tmp_path / "sheet.png").is_file()
    assert_right(folder.understand(own), own, dict(np.load(tmp_path / "truth.npz")))


def assert_right(understood: folder.Understood, own, truths: dict[str, np.ndarray]) -> None:
    """Each mask is the truth, to a Dice of 0.97, and each void pixel is ignored."""
    samples = [Sample(p.name, p.split, p.group, p.image, p.masks, trimap=False) for p in understood.pairs]
    reading = survey(samples, options(), own, 1).reading
    assert len(samples) == len([name for name in truths if not name.endswith(".void")])
    for sample in samples:
        name = sample.name.rpartition("/")[2]
        _, mask = read_pair(sample, reading)
        truth, void = truths[name], truths.get(f"{name}.void", np.zeros_like(truths[name]))
        assert np.array_equal(mask == 255, void), name
        truth, found = truth & ~void, mask == 1
        assert 2 * (truth & found).sum() >= 0.97 * (truth.sum() + found.sum()), name


def test_patients_stay_on_one_side_with_the_group_that_the_note_proposes(tmp_path):
    CASES["patients"](tmp_path)
    own = own_folder(tmp_path / "images", tmp_path / "masks", group=r"(patient\d+)_")
    pairs = folder.understand(own).pairs
    splits = {group: {p.split for p in pairs if p.group == group} for group in {p.group for p in pairs}}
    assert len(splits) == 4 and all(len(sides) == 1 for sides in splits.values())


def test_tiny_objects_are_trained_on_in_windows(tmp_path):
    CASES["tiny_objects"](tmp_path)
    own = own_folder(tmp_path / "images", tmp_path / "masks")
    folder.bring(tmp_path / "raw", own, 0, 1)
    summary = preprocess(tmp_path / "raw", tmp_path / "out", options((64, 64), resize="tile"), 1, own)
    assert summary["vanished"] == [] and summary["splits"]["test"] | {"foreground": 0} == {
        "images": 8,
        "windows": 8 * 11 * 11,
        "foreground": 0,
    }
