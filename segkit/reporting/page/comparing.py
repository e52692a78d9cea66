"""Pairs of results on the same images: two networks, one network at two revisions, trainings with other seeds."""

from collections.abc import Iterable, Sequence

import numpy as np

from segkit.base.errors import InputError, brief, few
from segkit.models.counts import dice_per_image
from segkit.reporting.page.collect import Network, Run
from segkit.reporting.page.panels.paired import Pair
from segkit.reporting.page.recorded import LOCK, Stages, outdated, stages_of
from segkit.reporting.page.revision import pictures_at, resolve
from segkit.reporting.page.settings import Settings, differences, settings_at, settings_here
from segkit.reporting.page.tables import COUNTS, ORIGINAL_COUNTS, Columns, counts
from segkit.reporting.repository import content

ORIGINAL = (
    "Dice at the original size of the images, because the masks at the input size of the networks are not the same."
)
OTHER_MASKS = (
    "Masks are not the same at both (data, preprocess.border), so the difference is not of the networks alone."
)


def pairs(run: Run, revision: str | None) -> tuple[list[Pair], list[str]]:
    """The two networks, and each of them at ``revision`` and here; and remarks about those that are left out, because
    their results at ``revision`` are not of its settings. Raises InputError for an unknown revision, and if no network
    is left there."""
    found, remarks = [], []
    if len(run.networks) == 2:
        first, second = run.networks
        found.append(
            Pair(first.title, second.title, run.names, first.dice, second.dice, 1, (first.title, second.title))
        )
    if revision is not None:
        commit, words = resolve(revision, "--compare"), f"--compare {brief(revision)}"
        there = settings_at(commit, words)
        _refuse_other_drawings(run, differences(there, settings_here()), words)
        stages = stages_of(content(commit, LOCK) or "")
        for place, network in enumerate(run.networks):
            if reason := _not_run(network.name, stages, there):
                remarks.append(f"{network.title} at {revision} is left out, because it was not run there: {reason}.")
            else:
                found.append(_with_revision(run, place, revision, commit))
        if len(remarks) == len(run.networks):
            raise InputError(f"{words}: no network was run with the settings of this revision: {reason}")
    return found, remarks


def over_seeds(run: Run, revisions: Sequence[str]) -> dict[str, np.ndarray]:
    """Dice ``float64 (S, N)`` of each network: this training, and those of ``revisions``, which differ in their seed.

    Raises InputError for a revision that differs in anything else, that has a seed twice, or other test pictures.
    """
    dice = {network.name: [network.dice] for network in run.networks}
    here = settings_here()
    seeds = {here.get("seed"): "here"}
    for revision in revisions:
        option = f"--seed-rev {brief(revision)}"
        commit = resolve(revision, "--seed-rev")
        there = settings_at(commit, option)
        _refuse_other_drawings(run, differences(there, here), option)
        if other := [key for key in differences(there, here) if key != "seed" and not key.startswith("runtime.")]:
            raise InputError(f"{option}: differs in {few(other)}, and not in seed alone; use --compare for that")
        if (seed := there.get("seed")) in seeds:
            raise InputError(f"{option}: has seed {seed}, as {seeds[seed]}; name trainings with different seeds")
        seeds[seed] = brief(revision)
        stages = stages_of(content(commit, LOCK) or "")
        for network in run.networks:
            if reason := _not_run(network.name, stages, there):
                raise InputError(f"{option}: {reason}; run 'dvc repro' there and commit, or name another revision")
            columns = _at(run, network, commit, option)
            if not np.array_equal(columns["name"], run.names):
                raise InputError(f"{option}: {network.name} was tested on other images; use --compare for that")
            dice[network.name].append(dice_per_image(counts(columns)))
    return {name: np.stack(each) for name, each in dice.items()}


def _not_run(name: str, stages: Stages, settings: Settings) -> str:
    """Why the results of a network at a revision are not of this revision, in words; empty if they are, or if no stages
    are recorded there."""
    if stages and f"evaluate@{name}" not in stages:
        return f"{LOCK} has no results of {name}"
    return outdated(name, stages, settings)


def _refuse_other_drawings(run: Run, changed: Iterable[str], words: str) -> None:
    """Raise InputError if the test images there have the names of those here and show something else."""
    drawn = [key for key in changed if key == "seed" or key.startswith("data.synthetic.")]
    if run.source == "synthetic" and drawn:
        raise InputError(
            f"{words}: with another {few(drawn)} the synthetic test images are others of the same names; compare runs "
            "that differ in other settings, or use a data set with a test set of its own"
        )


def _at(run: Run, network: Network, commit: str, words: str) -> Columns:
    return pictures_at(commit, run.paths.metrics / "per_image" / f"{network.name}.csv", words)


def _with_revision(run: Run, place: int, revision: str, commit: str) -> Pair:
    """A network there and here, on the images that both were tested on."""
    network, words = run.networks[place], f"--compare {brief(revision)}"
    columns = _at(run, network, commit, words)
    rows = {name: row for row, name in enumerate(columns["name"])}
    common = np.array([name in rows for name in run.names])
    if not common.any():
        raise InputError(f"{words}: {network.name} was tested on other images there; none has the same name")
    names = run.names[common]
    there = {name: values[[rows[each] for each in names]] for name, values in columns.items()}
    here = {name: network.images[name][common] for name in columns}
    before, after, remark = _comparable(there, here)
    if (lost := len(rows) + len(run.names) - 2 * len(names)) > 0:
        left = f"{len(names):,} images have the same name at both; {lost:,} are in one test set only and left out."
        remark = f"{left} {remark}".strip()
    title, places = network.title, (f"at {revision}", "here")
    return Pair(f"{title} at {revision}", f"{title} here", names, before, after, place, places, remark)


def _comparable(there: Columns, here: Columns) -> tuple[np.ndarray, np.ndarray, str]:
    """Dice ``float64 (N,)`` of the same images by the same masks: at network size, or else at the original size. The
    third says in words which one it is, or that the masks differ at both."""
    for kind, remark in ((COUNTS, ""), (ORIGINAL_COUNTS, ORIGINAL)):
        before, after = counts(there, kind), counts(here, kind)
        if np.array_equal(_classes(before), _classes(after)):
            return dice_per_image(before), dice_per_image(after), remark
    return dice_per_image(counts(there)), dice_per_image(counts(here)), OTHER_MASKS


def _classes(counts: np.ndarray) -> np.ndarray:
    """Pixels of foreground and of background in each mask, ``int64 (N, 2)``."""
    true_positives, false_positives, false_negatives, true_negatives = counts.T
    return np.stack([true_positives + false_negatives, false_positives + true_negatives], axis=1)
