"""Numbers of the panels, computed a second time."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from segkit.base.workspace import Paths
from segkit.reporting.page.bootstrap import interval
from segkit.reporting.page.collect import Run, collect
from segkit.reporting.page.content import Row, Table
from segkit.reporting.page.panels import (
    distribution,
    mistakes,
    paired,
    probabilities,
    scores,
    slices,
    training,
    verdict,
)
from segkit.reporting.page.panels.paired import Pair
from tests.reporting.page.conftest import changed_summary

pytestmark = pytest.mark.slow  # two networks are evaluated


@pytest.fixture
def run(project, monkeypatch) -> Run:
    monkeypatch.chdir(project)
    return collect(Paths())


def tables(panel) -> dict[str, Table]:
    inner = [each for block in panel.blocks for each in (block.blocks if isinstance(block, Row) else [block])]
    return {block.caption: block for block in inner if isinstance(block, Table)}


def test_the_verdict_is_about_the_paired_difference(run):
    found = verdict.panel(run, {network.name: network.dice[None] for network in run.networks})
    first, second = (network.dice for network in run.networks)
    difference = interval(abs(second.mean() - first.mean()) / (second.mean() - first.mean()) * (second - first))
    words = "is better than" if difference.excludes_zero else "cannot be told apart"
    assert words in found.finding and f"{difference.mean:.3f}" in found.finding
    assert found.blocks[0].scores[0].value == f"{first.mean():.3f}"
    assert "seed was not measured" in found.blocks[1].text


def test_one_network_alone_has_a_verdict(run):
    alone = Run(run.networks[:1], run.summary, run.paths)
    found = verdict.panel(alone, {"unet": run.networks[0].dice[None]})
    assert found.finding == f"U-Net reaches a Dice of {run.networks[0].dice.mean():.3f} on the test set."
    assert "nothing to compare" in paired.panel([]).finding


def test_published_scores_are_comparable_on_the_full_set_alone(run):
    assert verdict.not_comparable(run) == "the images are synthetic, and theirs are those of Oxford-IIIT Pet"
    oxford = changed_summary(run, source="oxford_pet")
    assert verdict.not_comparable(oxford) == (
        "the test set has 31 of 3,669 images; the input is 32×32 px (stretch), not 256×256 px (stretch)"
    )
    scores = run.networks[0].scores
    full = scores.model_copy(update={"test": scores.test.model_copy(update={"images": 3669})})
    networks = [replace(network, scores=full) for network in run.networks]
    assert not verdict.not_comparable(Run(networks, oxford.summary | {"size": [256, 256]}, run.paths))


def test_all_scores_are_those_of_the_files(run):
    table = tables(scores.panel(run))["Scores by images, size and reading of the border"]
    row = dict(zip([row[0] for row in table.rows], table.rows, strict=True))["dice"]
    blocks = ("valid", "test", "test_original", "test_original_no_border")
    assert row[1:] == [f"{getattr(network.scores, key).dice:.4f}" for key in blocks for network in run.networks]
    assert sum(columns for _, columns in table.groups) == len(table.titles) - 1


def test_the_expected_calibration_error_is_that_of_the_curve(run):
    """scikit-learn bins the same probabilities, drawn so that each bin has its share of foreground."""
    numbers = np.random.default_rng(0)
    probabilities_ = numbers.beta(0.5, 0.5, 20_000)
    labels = numbers.random(20_000) < probabilities_**1.5
    place = np.minimum((probabilities_ * 20).astype(int), 19)
    pixels = np.bincount(place, minlength=20)
    means, shares = (np.bincount(place, values, 20) / pixels for values in (probabilities_, labels))
    table = {"pixels": pixels.astype(float), "mean_probability": means, "foreground": shares}
    network = replace(run.networks[0], analysis={"reliability": table})
    true, predicted = calibration_curve(labels, probabilities_, n_bins=20)
    expected = np.average(abs(true - predicted), weights=pixels)
    assert probabilities.calibration_error(network) == pytest.approx(expected)


def test_the_threshold_of_the_evaluation_is_in_the_table_of_thresholds(run):
    for network in run.networks:
        assert probabilities.at_threshold(network, 0.5) == pytest.approx(network.scores.test.dice, abs=1e-6)
        at, best = probabilities.best_threshold(network)
        assert best >= network.scores.test.dice - 1e-6 and 0 <= at <= 1


def test_quantiles_are_those_of_numpy(run):
    table = tables(distribution.panel(run))["Quantiles of Dice over the test images"]
    assert table.rows[0][4] == f"{np.median(run.networks[0].dice):.4f}"


def test_wins_losses_and_ties_add_up(run):
    before, after = np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.6, 0.5, 0.701, 0.9])
    found = paired.panel([Pair("A", "B", run.names[:4], before, after, 1, ("A", "B"))])
    caption = found.blocks[0].blocks[0].caption
    assert caption == "B is better on 2 (50 %), A on 1 (25 %) of 4 images; 1 differ by at most 0.005."
    assert tables(found)["Largest and smallest difference, B minus A"].rows[0][3] == "+0.1000"


def test_slices_divide_the_images(run):
    found = {way.title: way.parts for way in slices.divisions(run)}
    assert list(found) == ["breed", "species", "object size", "brightness", "object", "mask"]
    for title, parts in found.items():
        assert sum(np.asarray(list(parts.values())).astype(int)).tolist() == [1] * 31, title
    capital = [name[0].isupper() for name in run.names]
    assert found["species"]["cat"].tolist() == capital
    assert max(chosen.sum() for chosen in found["object size"].values()) <= 9
    assert "species" not in [way.title for way in slices.divisions(changed_summary(run, source="folder"))]
    rows = tables(slices.panel(run))["Mean Dice and 95 % interval of each part"].rows
    (cat,) = [row for row in rows if row[:2] == ["species", "cat"]]
    assert cat[2:] == ["1", *(f"{network.dice[capital].mean():.3f}" for network in run.networks)]


def test_kinds_of_error_are_counted(run):
    rows = tables(mistakes.panel(run))["Errors by kind"].rows
    values = run.networks[0].images["false_alarms"]
    row = next(row for row in rows if row[:2] == ["false alarm", "U-Net"])
    assert row[2:4] == [f"{int(values.sum()):,}", f"{int((values > 0).sum()):,}"]


def test_training_marks_where_it_was_resumed(run):
    found = training.panel(run)
    words = " ".join(block.text for block in found.blocks if not isinstance(block, Row))
    assert training.resumed(run.networks[0]) == [3]
    assert "interrupted and resumed in epoch 3 (dotted lines)" in words
    assert "ResNet34-UNet and its interruptions are not recorded here" in words
    seconds = found.blocks[2].blocks[0]
    assert re.search(r"trained for 5[23] seconds and waited for data 21\.4 % of them", seconds.caption)
