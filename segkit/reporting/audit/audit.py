"""The label audit: rank samples by how much held-out predictions contradict their masks, draw the worst, list all."""

import heapq
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from segkit.base.errors import InputError, counted, few
from segkit.base.packed import read_samples
from segkit.base.params import Params
from segkit.base.workspace import Paths
from segkit.dataset.excluded import read_verdicts
from segkit.evaluation.scores import dice
from segkit.models import heads
from segkit.models.counts import count
from segkit.reporting.audit.contradiction import FLAGGED, Contradiction, contradiction
from segkit.reporting.audit.held_out import HeldOut
from segkit.reporting.audit.listing import Finding, write_list
from segkit.reporting.audit.page import Page, Shown, write_page
from segkit.reporting.audit.panels import panels
from segkit.reporting.audit.samples import Image


@dataclass(frozen=True)
class Targets:
    """Where the audit writes: the page, how many of the worst samples it shows, and the list."""

    page: Path
    worst: int
    list: Path


@dataclass(frozen=True)
class Audit:
    """The result: all samples, the most contradicted first, and the probabilities of the worst."""

    ranked: list[tuple[Image, Contradiction]]
    worst: dict[str, Tensor]  # by name
    dice: float  # mean per image, held out


def run(name: str, params: Params, folds: int, targets: Targets, paths: Paths | None = None) -> None:
    """Train the network ``name`` on all folds but one, for each; write the page and the list, and say what was found.

    Raises InputError for missing data, too many folds, or a list that exists and is faulty, before anything is trained.
    """
    processed = (paths or Paths()).processed
    held_out = HeldOut(name, params, processed, folds)
    _refuse_other_list(targets.list, held_out)
    found = compare(held_out, targets.worst)
    findings = [
        Finding(image.name, image.split, each.score, each.score >= FLAGGED, each.reading)
        for image, each in found.ranked
    ]
    flagged = sum(finding.flagged for finding in findings)
    kept = write_list(targets.list, findings)
    audited = held_out.audited
    shown = [
        Shown(finding, rank, *panels(audited.picture(image), audited.mask(image), found.worst[finding.name]))
        for rank, (finding, (image, _)) in enumerate(zip(findings, found.ranked, strict=True), start=1)
        if finding.name in found.worst
    ]
    write_page(targets.page, Page(name, folds, len(findings), flagged, found.dice, str(targets.list), shown))
    print(
        f"segkit audit: {counted(flagged, 'sample')} of {len(findings):,} flagged, held-out Dice {found.dice:.4f}\n"
        f"page         {targets.page}: the {len(shown)} most contradicted masks\n"
        f"list         {targets.list}: edit the verdicts (keep, fix, drop)"
        + (f"; {counted(kept, 'verdict')} of the earlier list kept" if kept else "")
        + f"\nthen         git add {shlex.quote(str(targets.list))}\n"
        f"             dvc exp run -S {shlex.quote(f'data.exclude={targets.list}')}",
        flush=True,
    )


def _refuse_other_list(path: Path, held_out: HeldOut) -> None:
    """Raise InputError if the list is faulty, or of another data set, so that no verdict is lost."""
    listed = read_verdicts(path, "--list") if path.exists() else {}
    known = {image.name for image in held_out.audited.images}
    known |= {row["name"] for row in read_samples(held_out.processed, "test")}
    known |= {name for key in ("excluded", "skipped") for name in held_out.summary.get(key, ())}
    if unknown := [name for name in listed if name not in known]:
        raise InputError(
            f"--list: {path} lists {few(unknown)}, which this data set does not have; name another file with --list, "
            "or correct these lines"
        )


def compare(held_out: HeldOut, worst: int) -> Audit:
    """Compare all masks with their held-out predictions; of the ``worst``, keep the probabilities."""
    ranked: list[tuple[Image, Contradiction]] = []
    heap: list[tuple[float, int, Tensor]] = []
    counts = []
    for number, (image, probabilities) in enumerate(held_out):
        mask = held_out.audited.mask(image)
        found = contradiction(probabilities, mask, held_out.audited.picture(image))
        ranked.append((image, found))
        counts.append(count(heads.predict(probabilities, 0.5)[None], torch.from_numpy(mask)[None])[0].numpy())
        heapq.heappush(heap, (found.score, number, probabilities))
        if len(heap) > worst:
            heapq.heappop(heap)
    kept = {ranked[number][0].name: probabilities for _, number, probabilities in heap}
    ranked.sort(key=lambda pair: pair[1].score, reverse=True)
    return Audit(ranked, kept, dice(np.array(counts)))
