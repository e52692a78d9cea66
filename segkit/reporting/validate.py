"""A dry run over the configured source: what would be trained and tested on, and what looks wrong.

It runs the code of ``download`` and ``preprocess`` without writing their outputs, so what it says is what happens.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segkit.augment.plan import number_of_copies
from segkit.base.errors import InputError, counted, few
from segkit.base.params import MODEL_NAMES, Params
from segkit.base.workspace import cores
from segkit.dataset.catalog import SPLITS, Sample, read_catalog
from segkit.dataset.excluded import without_excluded
from segkit.dataset.findings import LARGER, Findings, best_dice, suspicions
from segkit.dataset.packing import Packed, pack
from segkit.dataset.pictures import TRIMAPS
from segkit.dataset.survey import survey
from segkit.reporting.contact_sheet import write_contact_sheet
from segkit.reporting.own_folder import matched, refuse_beside_images, reported, show, show_folders, show_values
from segkit.sources.download import refuse_outputs

FEW_STEPS = 10  # per epoch
GOOD = 0.95  # a best possible Dice that needs no advice
SHARES = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)  # ends of the histogram's bins
BAR = 30  # characters


def validate(params: Params, sheet: Path, json_file: Path | None = None, exclude: Path | None = None) -> None:
    """Print what the configured source holds, draw a contact sheet and, if asked, write everything as JSON.

    ``exclude``: a list of samples that are left out. Raises InputError, after printing what was found until then, if
    ``download`` or ``preprocess`` would.
    """
    report: dict[str, Any] = {"source": params.data.source}
    if params.data.source == "folder":
        refuse_beside_images(params.data.folder, [sheet, *filter(None, [json_file])])
    with reported(report, json_file):
        _validate(params, sheet, report, exclude)


def _validate(params: Params, sheet: Path, report: dict[str, Any], exclude: Path | None) -> None:
    workers = params.runtime.workers or cores()
    samples = _samples(params, report)
    look = survey(samples, params.preprocess, params.data.folder, workers)
    report |= look.summary()
    show_values(look.notes or [TRIMAPS])
    samples, excluded = without_excluded(look.samples, exclude)
    report["excluded"] = excluded
    if excluded:
        show("left out", f"{counted(len(excluded), 'sample')} by data.exclude: {few(excluded)}")
    findings = Findings(params.preprocess)
    for result in pack(samples, look.reading, params.preprocess, workers):
        findings.add(result)
        result.release()
    results = [result for kept in findings.kept.values() for result in kept]
    report["names"] = {split: [result.sample.name for result in kept] for split, kept in findings.kept.items()}
    for split in SPLITS:
        show(split, _split_line(findings.kept[split]))
    if results:
        report |= _sizes_and_shares(results)
    if findings.kept["train"]:
        report |= _steps(params, sum(len(result.windows) for result in findings.kept["train"]))
    if all(findings.kept.values()):
        report |= findings.summary()
        _print_findings(report)
    suspects = _suspects(findings)
    if drawn := write_contact_sheet(sheet, look.samples, suspects, look.reading):
        report["sheet"] = str(sheet)
        order = f", {min(len(suspects), drawn)} suspicious ones first" if suspects else ""
        show("look at", f"{sheet}: {drawn} masks drawn on their images{order}")
    findings.refuse()


def _samples(params: Params, report: dict[str, Any]) -> list[Sample]:
    """The samples as ``download`` would list them; of a source that is not a folder, as it did."""
    if params.data.source != "folder":
        raw = Path("data/raw/download")
        if not raw.is_dir():
            raise InputError(f"{raw} is missing; run 'dvc repro download' first, or set data.source to folder")
        show("source", f"{raw}, from {params.data.source}")
        return read_catalog(raw, params.preprocess.valid_every)
    folder = params.data.folder
    show_folders(folder)
    if folder.images.startswith("~") or folder.masks.startswith("~"):
        show("note", "DVC does not expand ~; write the whole path in params.yaml before you run dvc repro")
    refuse_outputs(params.data)
    return matched(folder, report)


def _split_line(kept: Sequence[Packed]) -> str:
    shown = few([result.sample.name for result in kept], 40)
    windows = sum(len(result.windows) for result in kept)
    in_windows = f" in {windows:,} windows" if windows != len(kept) else ""
    return f"{counted(len(kept), 'image')}{in_windows}" + (f": {shown}" if shown else "")


def _sizes_and_shares(results: Sequence[Packed]) -> dict[str, Any]:
    sizes = Counter((result.width, result.height) for result in results)
    (width, height), times = sizes.most_common(1)[0]
    smallest, largest = (function(sizes, key=math.prod) for function in (min, max))
    words = f"{width}x{height} px"
    if len(sizes) > 1:
        words = "{}x{} to {}x{} px in {:,} sizes, ".format(*smallest, *largest, len(sizes))
        words += f"{times:,} of {width}x{height} px"
    show("sizes", words)
    counts, _ = np.histogram([result.share for result in results], SHARES)
    mean = sum(result.share for result in results) / len(results)
    show("foreground", f"{mean:.1%} of an image on average; images by their share of foreground:")
    for low, high, count in zip(SHARES, SHARES[1:], counts.tolist(), strict=False):
        if count:
            bar = "█" * max(1, round(BAR * count / counts.max()))
            show("", f"{f'{low:.0%} to {high:.0%}':>11} {bar} {count:,}")
    return {"sizes": {f"{w}x{h}": times for (w, h), times in sizes.items()}, "shares": counts.tolist()}


def _steps(params: Params, rows: int) -> dict[str, Any]:
    """Steps per epoch of each network."""
    samples = rows * (1 + number_of_copies(rows, params.augment))
    steps = {name: math.ceil(samples / getattr(params, name).train.batch_size) for name in MODEL_NAMES}
    words = ", ".join(f"{count:,} per epoch for {name}" for name, count in steps.items())
    if len(set(steps.values())) == 1:
        words = f"{min(steps.values()):,} per epoch"
    few = "; these are few: lower train.batch_size or raise augment.n_aug" * (min(steps.values()) < FEW_STEPS)
    show("steps", f"{words}{few}")
    return {"steps_per_epoch": steps}


def _print_findings(summary: dict[str, Any]) -> None:
    if best := best_dice(summary):
        height, width = summary["size"]
        advice = f"; {LARGER}" * bool(summary["best_dice"]["mean"] < GOOD)
        show("best Dice", f"possible at {width}x{height} px: {best}{advice}")
    for suspicion in suspicions(summary):
        show("suspicious", suspicion.replace("; all in summary.json", ""))


def _suspects(findings: Findings) -> dict[str, str]:
    """Names and reasons, the worst first."""
    results = [result for kept in findings.kept.values() for result in kept]
    suspects = dict.fromkeys(findings.reversed(), "reversed?") | dict.fromkeys(findings.framed(), "frame?")
    for result in (*findings.left_out, *results):
        if result.vanished:
            suspects.setdefault(result.sample.name, "vanishes")
        elif result.key == "on_duplicate" and result.fault:
            suspects.setdefault(result.sample.name, "twice")
        elif result.share == 1:
            suspects.setdefault(result.sample.name, "no background")
    return suspects
