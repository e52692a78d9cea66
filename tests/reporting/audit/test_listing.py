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


def test_a_faulty_list_is_not_replaced(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,verdict\nbad,perhaps\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        write_list(path, [finding("bad", 5)])
    assert path.read_text(encoding="utf-8") == "name,verdict\nbad,perhaps\n"
