"""The table of a study: means and deviations, the best run by validation alone, what is not done, and the chart."""

import statistics

import pytest
from PIL import Image

from segkit.base.errors import InputError
from segkit.base.files import csv_rows
from segkit.reporting.studies import table
from segkit.reporting.studies.reading import CONFLICT, RUNNING
from tests.reporting.studies.made import found, study

TEXT = """
seeds: [0, 1, 2]
runs:
  first: {model: unet, set: {unet.width: 8}}
  second: {model: unet, set: {unet.width: 16}, published: 0.5}
  other: {model: resnet34_unet}
"""
DICE = {"first": [(0.8, 0.5), (0.7, 0.55), (0.75, 0.52)], "second": [(0.6, 0.9), (0.65, 0.95), (0.62, 0.96)]}


def test_mean_and_standard_deviation_over_seeds(tmp_path):
    made = study(tmp_path, TEXT)
    first, second, other = table.lines(made, found(made, DICE))
    values = [test for _, test in DICE["second"]]
    assert second.scores["test_dice"].mean == pytest.approx(statistics.mean(values))
    assert second.scores["test_dice"].deviation == pytest.approx(statistics.stdev(values))
    assert second.scores["test_iou"].mean == pytest.approx(statistics.mean(values) / 2)
    assert (first.seeds, other.seeds, other.scores) == ("3", "0 of 3", {})


def test_one_seed_has_no_deviation():
    assert str(table.Score.of([0.5])) == "0.5000"
    assert str(table.Score.of([0.5, 0.7])) == "0.6000 ± 0.1414"


def test_the_best_run_of_each_network_is_chosen_on_validation_also_where_test_disagrees(tmp_path):
    made = study(tmp_path, TEXT)
    lines = table.lines(made, found(made, DICE | {"other": [(0.1, 0.1)]}))
    assert [line.best for line in lines] == [True, False, True]
    assert lines[0].scores["test_dice"].mean < lines[1].scores["test_dice"].mean


def test_the_markdown_table(tmp_path):
    made = study(tmp_path, TEXT)
    printed = table.markdown(made, table.lines(made, found(made, DICE, RUNNING)))
    assert "| **first** | unet | 3 | 0.7500 ± 0.0500 | 0.5233 ± 0.0252 | 0.1308 ± 0.0063 |  |" in printed
    assert "| second | unet | 3 | 0.6233 ± 0.0252 | 0.9367 ± 0.0321 | 0.2342 ± 0.0080 | 0.5000 |" in printed
    assert "| other | resnet34_unet | 0 of 3 | running |  |  |  |" in printed
    assert "so far (6 of 9 experiments done)" in printed
    assert max(map(len, printed.splitlines())) <= 120


def test_the_csv_file(tmp_path):
    made = study(tmp_path, TEXT)
    table.write(tmp_path / "scores.csv", table.lines(made, found(made, DICE)))
    first, second, other = csv_rows(tmp_path / "scores.csv")
    assert (first["run"], first["unet.width"], first["best"], first["published"]) == ("first", "8", "1", "")
    assert (second["published"], second["done"], other["done"], other["valid_dice_mean"]) == ("0.5", "3", "0", "")
    assert first["valid_dice_sd"] == "0.050000"


def test_without_a_finished_run_there_is_no_table(tmp_path):
    made = study(tmp_path, TEXT)
    with pytest.raises(
        InputError, match=r"no run is done yet \(9 not queued\); queue the rest with: python -m segkit study"
    ):
        table.lines(made, found(made, {}))


def test_the_status_says_what_to_do(tmp_path):
    made = study(tmp_path, TEXT)
    printed = table.status(made, found(made, DICE, CONFLICT))
    assert printed.splitlines()[0] == "mine-first-s0   done"
    assert printed.endswith(
        "6 done, 3 other settings; remove what has other settings with the commands above, or rename its run"
    )


def test_the_chart_is_the_same_picture_each_time(tmp_path):
    chart = pytest.importorskip("segkit.reporting.studies.chart")
    made = study(tmp_path, TEXT)
    for name in ("a.png", "b.png"):
        chart.draw(tmp_path / name, made.name, table.lines(made, found(made, DICE)))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width == 1500
