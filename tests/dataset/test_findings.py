"""Samples that are left out, pictures that come twice, and the one line that refuses them."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.packed import open_split, read_samples
from segkit.dataset.catalog import SPLITS, Sample
from segkit.dataset.findings import LISTED, Duplicates, refuse
from segkit.dataset.packing import PRECEDENCE, Packed
from segkit.dataset.preprocess import preprocess
from tests.tiny import RawSet, few, options, pet


@pytest.fixture
def raw(tmp_path) -> RawSet:
    return RawSet(tmp_path / "raw", trainval=20, test=3)


def refusal(raw: RawSet, target, **changes: str) -> str:
    with pytest.raises(InputError) as caught:
        preprocess(raw.folder, target, options(**changes))
    assert not target.exists()
    return str(caught.value)


def draw_mask(raw: RawSet, name: str, value: int) -> None:
    Image.new("L", Image.open(raw.picture(name)).size, value).save(raw.mask(name))


def copy(raw: RawSet, source: str, target: str, mask: bool = True) -> None:
    """Put the picture of one sample, perhaps with its mask, in the place of another's."""
    raw.picture(target).write_bytes(raw.picture(source).read_bytes())
    if mask:
        raw.mask(target).write_bytes(raw.mask(source).read_bytes())
    else:
        draw_mask(raw, target, 1)


def one_of_each(raw: RawSet) -> dict[str, str]:
    """The name of a sample of each split."""
    return {"train": raw.lists["trainval"][1], "valid": raw.lists["trainval"][0], "test": raw.lists["test"][0]}


@pytest.mark.parametrize(("border", "value"), [("foreground", 2), ("background", 2), ("ignore", 2), ("background", 3)])
def test_a_mask_without_foreground_is_refused_skipped_or_kept(raw, tmp_path, border, value):
    name = one_of_each(raw)["train"]
    draw_mask(raw, name, value)
    assert refusal(raw, tmp_path / "out", border=border) == (
        f"1 of 23 samples cannot be used: {name} (the mask has no foreground); fix them, or set preprocess.on_empty "
        "to skip or keep"
    )
    skipped = preprocess(raw.folder, tmp_path / "skip", options(border=border, on_empty="skip"))
    assert (skipped["skipped"], skipped["splits"]["train"]["images"]) == ({name: "the mask has no foreground"}, 17)
    kept = preprocess(raw.folder, tmp_path / "keep", options(border=border, on_empty="keep"))
    assert (kept["skipped"], kept["splits"]["train"]["images"]) == ({}, 18)
    assert not open_split(tmp_path / "keep", "train").masks[0].any()


def test_border_alone_is_foreground_where_that_is_what_it_becomes(raw, tmp_path):
    name = one_of_each(raw)["train"]
    draw_mask(raw, name, 2)
    trimap = Image.open(raw.mask(name))
    trimap.paste(3, (0, 0, 9, 9))
    trimap.save(raw.mask(name))
    assert preprocess(raw.folder, tmp_path / "out", options())["skipped"] == {}
    assert "(the mask has no foreground)" in refusal(raw, tmp_path / "no", border="ignore")


@pytest.mark.parametrize("border", ["foreground", "ignore"])
def test_a_mask_that_is_border_only_cannot_be_kept(raw, tmp_path, border):
    name = one_of_each(raw)["test"]
    draw_mask(raw, name, 3)
    said = refusal(raw, tmp_path / "out", border=border, on_empty="keep")
    assert f"{name} (every pixel of the mask is border); fix them, or set preprocess.on_bad to skip" in said


def test_each_kind_of_fault_has_its_own_key(raw, tmp_path):
    first, second = raw.lists["trainval"][1:3]
    draw_mask(raw, first, 2)
    raw.picture(second).write_bytes(b"")
    both = refusal(raw, tmp_path / "out")
    assert both.startswith("2 of 23 ")
    assert both.endswith("set preprocess.on_bad to skip and preprocess.on_empty to skip or keep")
    assert second not in refusal(raw, tmp_path / "out", on_bad="skip")
    assert first not in refusal(raw, tmp_path / "out", on_empty="skip")
    done = preprocess(raw.folder, tmp_path / "out", options(on_bad="skip", on_empty="skip"))
    assert done["skipped"].keys() == {first, second}


@pytest.mark.parametrize(
    ("one", "other"), [("train", "test"), ("train", "valid"), ("valid", "test")], ids=lambda split: split
)
def test_a_picture_in_two_splits_is_reported_skipped_or_refused(raw, tmp_path, one, other):
    names = one_of_each(raw)
    copy(raw, names[one], names[other])
    pair = [names[one], one, names[other], other]
    reported = preprocess(raw.folder, tmp_path / "report", options())
    assert (reported["leakage"], reported["contradictions"], reported["duplicates"]) == ([pair], [], 0)
    assert reported["skipped"] == {}
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["leakage"] == [pair]

    reason = f"the same image as {names[other]} in the {other} set"
    skipped = preprocess(raw.folder, tmp_path / "skip", options(on_duplicate="skip"))
    assert (skipped["leakage"], skipped["skipped"]) == ([], {names[one]: reason})
    assert names[one] not in [row["name"] for row in read_samples(tmp_path / "skip", one)]
    assert skipped["splits"][other] == reported["splits"][other]

    assert refusal(raw, tmp_path / "out", on_duplicate="fail") == (
        f"1 of 23 samples cannot be used: {names[one]} ({reason}); fix them, or set preprocess.on_duplicate to "
        "skip or report"
    )


def test_the_same_picture_in_another_format_is_found(raw, tmp_path):
    names = one_of_each(raw)
    copy(raw, names["test"], names["train"])
    Image.open(raw.picture(names["test"])).save(raw.picture(names["train"]), format="BMP")
    assert len(preprocess(raw.folder, tmp_path / "out", options())["leakage"]) == 1


def test_doubles_within_a_split_are_counted(raw, tmp_path):
    first, second, third = raw.lists["trainval"][1:4]
    copy(raw, first, second)
    copy(raw, first, third)
    for choice in ("report", "skip", "fail"):
        summary = preprocess(raw.folder, tmp_path / choice, options(on_duplicate=choice))
        assert (summary["duplicates"], summary["leakage"], summary["skipped"]) == (2, [], {})


def test_the_same_picture_with_another_mask_contradicts_itself(raw, tmp_path):
    names = one_of_each(raw)
    copy(raw, names["test"], names["train"], mask=False)
    copy(raw, raw.lists["trainval"][2], raw.lists["trainval"][3], mask=False)
    summary = preprocess(raw.folder, tmp_path / "out", options())
    within = [raw.lists["trainval"][3], "train", raw.lists["trainval"][2], "train"]
    assert summary["contradictions"] == sorted([[names["train"], "train", names["test"], "test"], within])
    assert (len(summary["leakage"]), summary["duplicates"]) == (1, 1)


def test_what_cannot_be_used_is_no_double(raw, tmp_path):
    names = one_of_each(raw)
    copy(raw, names["test"], names["train"])
    draw_mask(raw, names["test"], 2)
    summary = preprocess(raw.folder, tmp_path / "out", options(on_empty="skip", on_duplicate="skip"))
    assert summary["skipped"] == {names["test"]: "the mask has no foreground"}


def test_without_doubles_the_summary_says_so(raw, tmp_path):
    summary = preprocess(raw.folder, tmp_path / "out", options())
    assert (summary["leakage"], summary["contradictions"], summary["duplicates"]) == ([], [], 0)


def sample(number: int, split: str) -> Sample:
    return Sample(f"n{number}", split, "", None, ())


@few
@given(st.lists(st.tuples(st.sampled_from(SPLITS), st.sampled_from([b"1", b"2", b"3", b"4"]))))
def test_after_leaks_are_left_out_each_picture_is_in_one_split(drawn):
    drawn.sort(key=lambda pair: PRECEDENCE.index(pair[0]))
    packed = [Packed(sample(i, split), images=content) for i, (split, content) in enumerate(drawn)]
    duplicates = Duplicates(skip=True)
    for each in packed:
        duplicates.add(each)
    kept = [p for p in packed if p.fault is None]
    assert {p.images for p in kept} == {content for _, content in drawn}
    assert len({(p.images, p.sample.split) for p in kept}) == len({p.images for p in kept})
    assert [p for p in packed if p.sample.split == "test" and p.fault] == []
    assert duplicates.summary() == {
        "leakage": [], "contradictions": [], "duplicates": len(kept) - len({p.images for p in kept})
    }  # fmt: skip


@pytest.mark.parametrize("count", [LISTED, LISTED + 1, 3000])
def test_a_line_lists_some_and_a_file_all(tmp_path, monkeypatch, count):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    faults = [Packed(sample(i, "train"), fault="the file is empty") for i in range(count)]
    with pytest.raises(InputError) as caught:
        refuse(faults, 5000, options())
    line, path = str(caught.value), tmp_path / ".segkit" / "preprocess-faults.txt"
    assert line.startswith(f"{count} of 5000 samples cannot be used: n0 (the file is empty), n1 (the file is empty), ")
    assert line.count("the file is empty") == LISTED
    assert len(line) < 1000
    if count == LISTED:
        assert not path.exists()
    else:
        assert f", ... and {count - LISTED:,} more, all in {path}; fix them" in line
        assert sorted(path.read_text().splitlines()) == sorted(f"n{i} (the file is empty)" for i in range(count))


def test_faults_survive_the_folder_that_was_not_finished(raw, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    names = raw.lists["trainval"] + raw.lists["test"]
    for name in names:
        raw.picture(name).write_bytes(b"")
    assert refusal(raw, tmp_path / "out").startswith("23 of 23 samples cannot be used: ")
    assert len((tmp_path / ".segkit" / "preprocess-faults.txt").read_text().splitlines()) == 23


def hostile(path) -> None:
    """A picture's place taken by what no reader must open."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (hostile, "image: not a regular file"),
        (lambda path: path.write_bytes(path.read_bytes()[:99]), "image: cannot be decoded: "),
        (lambda path: Image.new("RGB", (1, 1)).save(path, "PNG"), "image: 1x1 px is too small"),
        (lambda path: Image.new("RGB", (30_000, 1)).save(path, "PNG"), "image: 30000x1 px is too narrow"),
        (lambda path: Image.new("1", (12000, 12000)).save(path, "PNG"), "image: more than 134,217,728 pixels"),
        (lambda path: Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(path, "TIFF"), "the mask is "),
        (lambda path: pet(1)[0].save(path, "EPS"), "image: not one of JPEG, PNG, GIF"),
    ],
    ids=["pipe", "cut", "1x1", "30000x1", "bomb", "another size", "EPS"],
)
def test_a_worker_reports_and_the_others_go_on(raw, tmp_path, spoil, reason):
    name = one_of_each(raw)["train"]
    spoil(raw.picture(name))
    assert f"1 of 23 samples cannot be used: {name} ({reason}" in refusal(raw, tmp_path / "out")
    summary = preprocess(raw.folder, tmp_path / "out", options(on_bad="skip"))
    assert summary["skipped"][name].startswith(reason) and summary["splits"]["train"]["images"] == 17


def test_memory_that_runs_out_is_a_reason(raw, tmp_path, monkeypatch):
    def fail(image, scale):
        raise MemoryError

    monkeypatch.setattr("segkit.dataset.pictures.to_rgb", fail)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert "(memory ran out)" in refusal(raw, tmp_path / "out")
