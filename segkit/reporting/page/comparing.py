"""Pairs of results on the same images: two networks, one network at two revisions, trainings with other seeds."""

from collections.abc import Iterable, Sequence

import numpy as np

from segkit.base.errors import InputError, brief, few
from segkit.reporting.page.collect import TITLES, Network, Run
from segkit.reporting.page.panels.paired import Pair
from segkit.reporting.page.revision import pictures_at, resolve
from segkit.reporting.page.settings import differences, settings_at, settings_here


def pairs(run: Run, revision: str | None) -> list[Pair]:
    """The two networks, and each of them at ``revision`` and here. Raises InputError for an unknown revision."""
    found = []
    if len(run.networks) == 2:
        first, second = run.networks
        found.append(
            Pair(first.title, second.title, run.names, first.dice, second.dice, 1, (first.title, second.title))
        )
    if revision is not None:
        commit, words = resolve(revision, "--compare"), f"--compare {brief(revision)}"
        _refuse_other_drawings(run, differences(settings_at(commit, words), settings_here()), words)
        found += [_with_revision(run, place, revision, commit) for place in range(len(run.networks))]
    return found


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
        for network in run.networks:
            names, values = _at(run, network, commit, option)
            if not np.array_equal(names, run.names):
                raise InputError(f"{option}: {network.name} was tested on other images; use --compare for that")
            dice[network.name].append(values)
    return {name: np.stack(each) for name, each in dice.items()}


def _refuse_other_drawings(run: Run, changed: Iterable[str], words: str) -> None:
    """Raise InputError if the test images there have the names of those here and show something else."""
    drawn = [key for key in changed if key == "seed" or key.startswith("data.synthetic.")]
    if run.source == "synthetic" and drawn:
        raise InputError(
            f"{words}: with another {few(drawn)} the synthetic test images are others of the same names; compare runs "
            "that differ in other settings, or use a data set with a test set of its own"
        )


def _at(run: Run, network: Network, commit: str, words: str) -> tuple[np.ndarray, np.ndarray]:
    columns = pictures_at(commit, run.paths.metrics / "per_image" / f"{network.name}.csv", words)
    return columns["name"], columns["dice"]


def _with_revision(run: Run, place: int, revision: str, commit: str) -> Pair:
    """A network there and here, on the images that both were tested on."""
    network, words = run.networks[place], f"--compare {brief(revision)}"
    names, dice = _at(run, network, commit, words)
    there = dict(zip(names, dice, strict=True))
    common = np.array([name in there for name in run.names])
    if not common.any():
        raise InputError(f"{words}: {network.name} was tested on other images there; none has the same name")
    names = run.names[common]
    before = np.array([there[name] for name in names])
    remark = ""
    if (lost := len(there) + len(run.names) - 2 * len(names)) > 0:
        remark = f"{len(names):,} images have the same name at both; {lost:,} are in one test set only and left out."
    columns = (f"at {revision}", "here")
    title = TITLES.get(network.name, network.name)
    return Pair(f"{title} at {revision}", f"{title} here", names, before, network.dice[common], place, columns, remark)
