"""The tables of metrics/analysis/NAME, counted a second time."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segkit.base.packed import IGNORED
from segkit.evaluation.analysis import (
    BINS,
    FARTHEST,
    THRESHOLDS,
    Analysis,
    contour_distances,
    examine,
    thresholds_reached,
)
from segkit.evaluation.scores import scores
from segkit.models import heads
from segkit.models.counts import count, dice_per_image
from tests.tiny import few, many, quiet_torch  # noqa: F401

THRESHOLD = 0.37
FLOATS = [np.float32(value) for value in (0, 1, *THRESHOLDS)]
NEAR = sorted({np.nextafter(value, np.float32(to)) for value in FLOATS for to in (0, 1)} | set(FLOATS))


def image(seed: int, height: int = 13, width: int = 17):
    """Probabilities that know something of a mask of one disc, in which some pixels are ignored, and a picture."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = (np.hypot(y - numbers.integers(height), x - numbers.integers(width)) < 5).astype(np.uint8)
    probabilities = np.clip(0.25 + 0.5 * mask + numbers.normal(0, 0.3, mask.shape), 0, 1).astype(np.float32)
    mask[numbers.random(mask.shape) < 0.1] = IGNORED
    return torch.from_numpy(probabilities), mask, numbers.integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five images and the tables of them, each a list of rows of numbers, NaN where there is none."""
    images = [image(seed) for seed in range(5)]
    analysis, folder = Analysis(), tmp_path_factory.mktemp("analysis")
    for each in images:
        analysis.add(examine(*each, THRESHOLD))
    dice = dice_per_image(counts_at(images, THRESHOLD))
    analysis.write(folder, dice)
    return SimpleNamespace(images=images, analysis=analysis, dice=dice, tables=read(folder))


def read(folder) -> dict[str, list[dict[str, float]]]:
    tables = {}
    for path in sorted(folder.iterdir()):
        with open(path, newline="") as file:
            rows = [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]
        tables[path.stem] = rows
    return tables


def counts_at(images, threshold: float) -> np.ndarray:
    """As the scores are counted."""
    each = [
        count(heads.predict(probabilities, threshold)[None], torch.from_numpy(mask)[None])
        for probabilities, mask, _ in images
    ]
    return torch.cat(each).numpy()


def pooled(images) -> tuple[np.ndarray, np.ndarray]:
    """Probability and class of every pixel that counts."""
    used = [mask != IGNORED for _, mask, _ in images]
    values = [each[0].numpy()[chosen] for each, chosen in zip(images, used, strict=True)]
    classes = [each[1][chosen] for each, chosen in zip(images, used, strict=True)]
    return np.concatenate(values), np.concatenate(classes)


def test_there_are_four_tables_of_fixed_length(made):
    assert {name: len(rows) for name, rows in made.tables.items()} == {
        "boundary": 41,
        "histogram": 20,
        "reliability": 20,
        "thresholds": 101,
    }


@few
@given(arrays.arrays(np.float32, st.integers(1, 50), elements=st.sampled_from(NEAR) | st.floats(0, 1, width=32)))
def test_a_probability_reaches_as_many_thresholds_as_the_predictions_say(values):
    predicted = [heads.predict(torch.from_numpy(values), threshold) for threshold in THRESHOLDS.tolist()]
    assert np.array_equal(thresholds_reached(values), torch.stack(predicted).sum(0))


def test_every_row_of_thresholds_has_the_scores_at_that_threshold(made):
    for row, threshold in zip(made.tables["thresholds"], THRESHOLDS.tolist(), strict=True):
        found = scores(counts_at(made.images, threshold))
        expected = {key: found[key] for key in ("dice", "dice_global", "precision", "recall")}
        assert row == pytest.approx(expected | {"threshold": threshold}, abs=1e-6)


def test_precision_and_recall_are_scikit_learn_s(made):
    values, classes = pooled(made.images)
    for row in made.tables["thresholds"]:
        predicted = values >= np.float32(row["threshold"])
        precision, recall, dice, _ = sklearn.metrics.precision_recall_fscore_support(
            classes, predicted, average="binary", zero_division=1.0
        )
        assert (row["precision"], row["recall"]) == pytest.approx((precision, recall), abs=1e-6)
        assert predicted.sum() == 0 or row["dice_global"] == pytest.approx(dice, abs=1e-6)


def test_reliability_is_of_every_pixel_in_its_bin(made):
    values, classes = pooled(made.images)
    edges = BINS.astype(np.float32)
    for row, low, high in zip(made.tables["reliability"], edges[:-1], edges[1:], strict=True):
        chosen = (values >= low) & ((values < high) | (high == 1))
        assert (row["probability"], row["pixels"]) == (pytest.approx(low), chosen.sum())
        expected = (values[chosen].mean(dtype=float), classes[chosen].mean()) if chosen.any() else (np.nan, np.nan)
        assert (row["mean_probability"], row["foreground"]) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_a_bin_without_pixels_has_no_shares(tmp_path):
    analysis = Analysis()
    sure, picture = torch.tensor([[0.0, 1.0]]), np.zeros((1, 2, 3), np.uint8)
    analysis.add(examine(sure, np.uint8([[0, 1]]), picture, 0.5))
    analysis.write(tmp_path, np.ones(1))
    first, *middle, last = (tmp_path / "reliability.csv").read_text().splitlines()[1:]
    assert (first, last) == ("0.00,1,0.000000,0.000000", "0.95,1,1.000000,1.000000")
    assert all(line.endswith(",0,,") for line in middle)


@pytest.mark.parametrize("part", range(21))
def test_a_dice_on_the_edge_of_a_bin_is_in_the_upper_one(part, tmp_path):
    counts = np.array([[part, 2 * (20 - part), 0, 0]])  # Dice 2 part / 40
    analysis = Analysis()
    analysis.add(examine(*image(0), 0.5))
    analysis.write(tmp_path, np.append(dice_per_image(counts), 0.0))
    rows = read(tmp_path)["histogram"]
    assert [row["images"] for row in rows] == [float(index == 0) + (index == min(part, 19)) for index in range(20)]
    assert [row["cumulative"] for row in rows] == [0.5 if index < min(part, 19) else 1.0 for index in range(20)]


def test_the_histogram_is_of_the_images_dice(made):
    rows = made.tables["histogram"]
    assert [row["dice"] for row in rows] == pytest.approx(BINS[:-1])
    for row in rows:
        assert row["cumulative"] == pytest.approx((made.dice < row["dice"] + 0.05 - 1e-9).mean())


def by_walking(truth: np.ndarray) -> dict[tuple[int, int], int]:
    """The rounded distance of each pixel to the nearest pixel of the contour; empty without a contour."""
    inside = np.pad(truth, 1, constant_values=True)
    contour = [
        (y, x)
        for y, x in np.argwhere(truth).tolist()
        if not all((inside[y, x + 1], inside[y + 2, x + 1], inside[y + 1, x], inside[y + 1, x + 2]))
    ]
    if not contour:
        return {}
    signed = {}
    for y, x in np.ndindex(truth.shape):
        distance = min(round(min(np.hypot(y - down, x - right) for down, right in contour)), FARTHEST)
        signed[y, x] = -distance if truth[y, x] else distance
    return signed


@many
@given(arrays.arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 30))))
def test_distances_are_those_to_the_nearest_pixel_of_the_contour(truth):
    expected, found = by_walking(truth), contour_distances(truth)
    assert (found is None) == (not expected)
    assert found is None or {place: int(found[place]) for place in expected} == expected


def test_boundary_counts_the_pixels_and_the_errors_at_each_distance(made):
    pixels, errors = dict.fromkeys(range(-FARTHEST, FARTHEST + 1), 0), dict.fromkeys(range(-FARTHEST, FARTHEST + 1), 0)
    for probabilities, mask, _ in made.images:
        prediction = heads.predict(probabilities, THRESHOLD).numpy()
        for place, distance in by_walking(mask == 1).items():
            if mask[place] != IGNORED:
                pixels[distance] += 1
                errors[distance] += prediction[place] != mask[place]
    assert sum(errors.values()) > 20
    for row in made.tables["boundary"]:
        assert (row["pixels"], row["errors"]) == (pixels[row["distance"]], errors[row["distance"]])


def columns(mask: np.ndarray, picture: np.ndarray | None = None) -> list:
    """Of an image: foreground, brightness, whether the mask touches the edge, objects, ..."""
    blank = np.zeros((*mask.shape, 3), np.uint8)
    return examine(torch.zeros(mask.shape), mask, blank if picture is None else picture, 0.5).columns


def test_what_an_image_looks_like():
    mask = np.zeros((5, 8), np.uint8)
    mask[2:4, 2:4] = 1
    mask[0, 0:2] = IGNORED
    picture = np.full((5, 8, 3), 51, np.uint8)
    assert columns(mask, picture)[:4] == [f"{4 / 38:.6f}", "0.200000", 0, 1]
    for place in ((0, 4), (4, 6), (2, 0), (2, 7)):
        touching = mask.copy()
        touching[place] = 1
        assert columns(touching)[2:4] == [1, 2]


def test_an_image_that_is_ignored_as_a_whole_counts_nowhere():
    found = examine(torch.rand(3, 4), np.full((3, 4), IGNORED, np.uint8), np.zeros((3, 4, 3), np.uint8), 0.5)
    assert not found.histogram.any() and not found.probabilities.any() and not found.boundary.any()
    assert found.columns == ["0.000000", "0.000000", 0, 0, 0, 0, 0, 0]
