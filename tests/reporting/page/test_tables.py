"""CSV files that somebody edited or cut."""

import pytest

from segkit.base.errors import InputError
from segkit.reporting.page.tables import read_columns


def test_columns_by_name_and_kind(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,dice,more\nGröße,0.5,x\n1,1e-3,y\n", encoding="utf-8")
    columns = read_columns(path, ["dice"], ["name"])
    assert list(columns["name"]) == ["Größe", "1"]
    assert columns["dice"].tolist() == [0.5, 0.001]


@pytest.mark.parametrize(("text", "fault"), [
    ("name,dice\nx,0.5\ny\n", "line 3: not as many values as there are columns"),
    ("name,dice\nx,0.5,7\n", "line 2: not as many values"),
    ("name,dice\nx,high\n", "line 2: could not convert string to float: 'high'"),
    ("name,dice\nx,nan\n", "line 2: a number that is not finite"),
    ("name,iou\nx,1\n", "has no column dice"),
    ("name,dice\n", "has no rows"),
    ("", "has no column name, dice"),
    ("name,dice\nx,\udcff\n", "is not a CSV file"),
])  # fmt: skip
def test_a_damaged_file_is_named_with_its_line(tmp_path, text, fault):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=rf"a\.csv.*{fault}.*run 'dvc repro'"):
        read_columns(path, ["dice"], ["name"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.csv is missing; run 'dvc repro' or 'dvc pull'"):
        read_columns(tmp_path / "a.csv", ["dice"])
