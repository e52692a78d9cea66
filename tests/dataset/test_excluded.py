"""Samples that a list leaves out."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segkit.base.errors import InputError
from segkit.base.files import write_csv
from segkit.base.packed import open_split, read_samples
from segkit.dataset.catalog import Sample
from segkit.dataset.excluded import VERDICTS, read_list, read_verdicts, without_excluded
from segkit.dataset.findings import remarks
from segkit.dataset.preprocess import preprocess
from tests.tiny import RawSet, options


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def samples(*names: str, split: str = "train") -> list[Sample]:
    return [Sample(name, split, "", Path("picture"), ()) for name in names]


def test_drop_and_fix_leave_out_and_keep_does_not(tmp_path):
    path = written(tmp_path / "list.csv", "name,verdict", "a,keep", "b,drop", "c,fix")
    stay, left_out = without_excluded(samples("a", "b", "c", "d"), path)
    assert [sample.name for sample in stay] == ["a", "d"]
    assert left_out == ["b", "c"]


def test_without_a_list_all_stay():
    assert without_excluded(samples("a"), None) == (samples("a"), [])


def test_other_columns_order_and_an_editor_s_habits_do_not_matter(tmp_path):
    path = written(tmp_path / "list.csv", "\ufeffrank;verdict;name", "1; DROP ;a", '2;keep;"b;c"')
    assert read_verdicts(path) == {"a": "drop", "b;c": "keep"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "the first line must name the columns name and verdict"),
        (["name,score", "a,1"], "the first line must name the columns name and verdict"),
        (["name,verdict", "a,dorp"], "line 2: the verdict must be keep, fix or drop, not 'dorp' (did you mean drop?)"),
        (["name,verdict", "a,keep", "b"], "line 3: the verdict must be keep, fix or drop, not ''"),
        (["name,verdict", ",drop"], "line 2: the name is missing"),
        (["name,verdict", "a,keep", "a,drop"], "line 3: a is listed twice"),
        (["name,verdict", 'a,"keep'], "fix the quotes there"),
        (["name,verdict,", "a,keep,ears"], "line 2: there is a note in a column without a heading"),
        (["name,verdict,,", "a,keep,ears,"], "line 2: there is a note in a column without a heading"),
        (["name,verdict", "a,keep,,ears"], "line 2: there is a note in a column without a heading"),
        (["name,verdict,x,x", "a,keep,1,2"], "two columns are named x; rename one"),
        (["name,verdict", "cta,drop"], "lists cta (did you mean cat?), which this data set does not have"),
        (["name,verdict", "a,drop", "b,drop", "cat,fix"], "leaves out every sample of the train set; keep some"),
        (["name,verdict", "tested,drop"], "would leave out tested of the test set"),
    ],
)
def test_a_faulty_list_is_refused_in_one_line(lines, said, tmp_path):
    path = written(tmp_path / "list.csv", *lines)
    with pytest.raises(InputError) as refusal:
        without_excluded([*samples("a", "b", "cat"), *samples("tested", split="test")], path)
    assert str(refusal.value).startswith("data.exclude: ") and said in str(refusal.value)


def test_empty_columns_of_a_spreadsheet_and_lines_inside_a_cell_are_read(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b'name,verdict,note,,\r\na,drop,"first\r\nsecond",,\r\n\r\nb,keep,, ,\r\n')
    assert [(row["name"], row["note"]) for row in read_list(path)] == [("a", "first\nsecond"), ("b", "")]


def test_a_list_that_is_not_there_or_not_text_is_refused(tmp_path):
    (tmp_path / "picture.csv").write_bytes(b"\xff\xfe\x00")
    for path, said in ((tmp_path / "none.csv", "no such file"), (tmp_path / "picture.csv", "not UTF-8")):
        with pytest.raises(InputError, match=said):
            read_verdicts(path)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1)


@given(st.dictionaries(NAMES, st.sampled_from(VERDICTS)))
def test_what_is_written_is_read(tmp_path_factory, verdicts):
    path = tmp_path_factory.mktemp("list") / "list.csv"
    write_csv(path, ("name", "verdict"), verdicts.items())
    assert read_verdicts(path) == verdicts


def test_preprocess_leaves_them_out_and_says_so(tmp_path):
    raw = RawSet(tmp_path / "raw", trainval=12, test=2)
    everything = preprocess(raw.folder, tmp_path / "all", options())
    names = [row["name"] for row in read_samples(tmp_path / "all", "train")]
    path = written(tmp_path / "list.csv", "name,verdict", f"{names[0]},drop", f"{names[1]},keep")
    summary = preprocess(raw.folder, tmp_path / "some", options(), exclude=path)
    assert summary["excluded"] == [names[0]] and everything["excluded"] == []
    assert [row["name"] for row in read_samples(tmp_path / "some", "train")] == names[1:]
    assert len(open_split(tmp_path / "some", "train")) == len(names) - 1
    assert f"data.exclude leaves out 1 sample: {names[0]}" in remarks(summary)
    assert json.loads((tmp_path / "some/summary.json").read_text())["splits"]["test"] == everything["splits"]["test"]
