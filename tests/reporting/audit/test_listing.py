"""The list of verdicts: what a person wrote is never lost."""

import csv

import pytest

from segkit.base.errors import InputError
from segkit.dataset.excluded import read_verdicts
from segkit.reporting.audit.listing import COLUMNS, Finding, write_list


def finding(name: str, score: float) -> Finding:
    return Finding(name, "train", score, score >= 3, "words, with a comma")


def test_flagged_samples_are_dropped_and_the_others_kept(tmp_path):
    path = tmp_path / "list.csv"
    assert write_list(path, [finding("bad", 5), finding("good", 1)]) == 0
    assert read_verdicts(path) == {"bad": "drop", "good": "keep"}
    first, *_ = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert tuple(first) == COLUMNS and (first["rank"], first["reading"]) == ("1", "words, with a comma")


def test_verdicts_of_a_person_and_samples_that_are_left_out_stay(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,verdict\nbad,keep\ngone,drop\ngood,fix\n", encoding="utf-8")
    assert write_list(path, [finding("new", 9), finding("bad", 5), finding("good", 1)]) == 3
    assert read_verdicts(path) == {"new": "drop", "bad": "keep", "good": "fix", "gone": "drop"}


def test_what_a_person_did_not_change_follows_the_new_audit(tmp_path):
    path = tmp_path / "list.csv"
    write_list(path, [finding("first", 5), finding("second", 1), finding("third", 1)])
    path.write_text(path.read_text(encoding="utf-8").replace("keep,third", "fix,third"), encoding="utf-8")
    assert write_list(path, [finding("second", 5), finding("first", 1), finding("third", 1)]) == 1
    assert read_verdicts(path) == {"second": "drop", "first": "keep", "third": "fix"}


def test_a_verdict_of_a_person_stays_when_an_audit_once_agreed_with_it(tmp_path):
    path = tmp_path / "list.csv"
    write_list(path, [finding("a", 5)])
    path.write_text(path.read_text(encoding="utf-8").replace("drop,a", "keep,a"), encoding="utf-8")
    assert [write_list(path, [finding("a", score)]) for score in (1, 5)] == [1, 1]
    assert read_verdicts(path) == {"a": "keep"}


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_spreadsheet_s_list_and_its_own_columns_stay(separator, tmp_path):
    path = tmp_path / "list.csv"
    lines = ("verdict,name,note", "fix,bad,the ears", "drop,gone,blurred")
    path.write_text("\ufeff" + "\n".join(lines).replace(",", separator), encoding="utf-8")
    assert write_list(path, [finding("bad", 5), finding("new", 1)]) == 2
    rows = {row["name"]: row for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())}
    assert [(name, row["verdict"], row["note"]) for name, row in rows.items()] == [
        ("bad", "fix", "the ears"),
        ("new", "keep", ""),
        ("gone", "drop", "blurred"),
    ]


def test_a_faulty_list_is_not_replaced(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,verdict\nbad,perhaps\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        write_list(path, [finding("bad", 5)])
    assert path.read_text(encoding="utf-8") == "name,verdict\nbad,perhaps\n"
