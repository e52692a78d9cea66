"""Score a trained network on any folder of images and masks, by the definitions of the stage ``evaluate``.

Files are matched, read and resized by the code of ``download`` and ``preprocess``, so the scores of the same files are
the same. Images are read, predicted and counted one after another: memory does not grow with their number.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice, tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.base.errors import InputError, few
from segkit.base.params import Folder, FolderSplit, Preprocess
from segkit.base.prefetch import bounded_map
from segkit.base.progress import bar
from segkit.dataset.findings import Findings
from segkit.dataset.packing import Packed, pack_sample
from segkit.dataset.survey import Survey, survey
from segkit.evaluation.border import BorderCounts
from segkit.evaluation.evaluate import BATCH
from segkit.evaluation.scores import iou_per_image, pixel_accuracy_batch, scores
from segkit.evaluation.stitching import at_original_size
from segkit.inference.networks import Network
from segkit.models import heads
from segkit.models.counts import dice_per_image, everything, no_better_than, nothing
from segkit.models.predictor import flips, mean_over_flips
from segkit.reporting.own_folder import matched, refuse_beside_images, reported, show, show_folders, show_values
from segkit.reporting.results import table

LISTED = 20  # unusable images in an error message
WORST = 3


def any_folder(images: str, masks: str) -> Folder:
    """Folders without settings: everything is recognised."""
    split = FolderSplit(test=0.2, valid=0.1)
    options = {"match": "auto", "group": "", "pages": "first", "foreground": "auto", "ignore": (), "range": "auto"}
    return Folder(images=images, masks=masks, split=split, **options)


def evaluate_folder(
    network: Network, folder: Folder, workers: int, threshold: float | None = None, json_file: Path | None = None
) -> None:
    """Print the scores of ``network`` on all images and masks of ``folder``, and write them with those of each image.

    ``threshold``: None for the network's own. Raises InputError for folders that do not match, for masks whose meaning
    is ambiguous, and for files that cannot be used; nothing is scored then.
    """
    refuse_beside_images(folder, [json_file] if json_file else [])
    report: dict[str, Any] = {}
    with reported(report, json_file):
        _evaluate(network, folder, workers, threshold or network.metadata["threshold"], report)


def _evaluate(network: Network, folder: Folder, workers: int, threshold: float, report: dict[str, Any]) -> None:
    metadata = network.metadata
    options = _as_trained(metadata)
    size = f"{options.size[1]}x{options.size[0]} px"
    rule = f"threshold {threshold:g}{', mean over flips' * flips(metadata)}"
    show("model", f"{metadata['model']} for {size}, resize: {options.resize}, {rule}")
    report |= {"model": metadata["model"], "threshold": threshold}
    show_folders(folder)
    if metadata.get("range"):  # else, of images of more than 8 bits, it is measured
        folder = folder.model_copy(update={"range": tuple(metadata["range"])})
    look = survey(matched(folder, report, divide=False), options, folder, workers)
    report |= look.summary() | {"border": options.border}
    show_values(look.notes)
    if (scale := look.reading.scale) and not metadata.get("range"):
        show("note", "predict reads these images like this with --range {:g} {:g}".format(*scale))
    findings, found = Findings(options), BorderCounts(options.border)
    for packed, probabilities in _predicted(network, look, options, findings, workers):
        found.add(heads.predict(probabilities, threshold), packed.original_labels())
        packed.release()
    _refuse(findings, len(look.samples), report)
    for words, names in (("foreground and background reversed?", findings.reversed()), ("frame?", findings.framed())):
        if names:
            show("suspicious", f"{words} {len(names):,} of {len(look.samples):,} masks ({few(names)})")
    _report(findings.kept["test"], found, report)
    _print_scores(report, found)


def _as_trained(metadata: dict[str, Any]) -> Preprocess:
    """How the network's training images were resized; all usable images are kept."""
    return Preprocess(
        size=tuple(metadata["input_size"]),
        resize=metadata.get("resize", "stretch"),
        normalize="image",  # the network normalises
        border=metadata["border"],
        valid_every=2,
        on_bad="fail",
        on_empty="keep",
        on_suspect="report",
        on_duplicate="report",
    )


def _predicted(
    network: Network, look: Survey, options: Preprocess, findings: Findings, workers: int
) -> Iterator[tuple[Packed, Tensor]]:
    """Each image with its probabilities ``float32 (h, w)`` at its own size, until one cannot be used."""
    packing = partial(pack_sample, reading=look.reading, options=options)
    with bar(
        bounded_map(packing, look.samples, workers), label="evaluate", total=len(look.samples), unit="img"
    ) as all_:
        usable, ahead = tee(_usable(all_, findings))
        rows = (row for packed in ahead for row in packed.rows(options.size))
        windows = _in_batches(network, rows)
        for packed in usable:
            boxes = [vars(box) | {"width": packed.width, "height": packed.height} for box in packed.windows]
            yield packed, at_original_size(islice(windows, len(boxes)), boxes, options.resize == "tile")


def _usable(results: Iterable[Packed], findings: Findings) -> Iterator[Packed]:
    """After one that cannot be used, the others are only looked at."""
    for packed in results:
        findings.add(packed)
        if findings.left_out:
            packed.release()
        else:
            yield packed


def _in_batches(network: Network, rows: Iterator[np.ndarray]) -> Iterator[Tensor]:
    """Probabilities ``float32 (H, W)`` of one row ``uint8 (H, W, 3)`` after another, on the CPU."""
    predict = network.probabilities
    if flips(network.metadata):
        predict = partial(mean_over_flips, predict)
    while batch := list(islice(rows, BATCH)):
        yield from predict(torch.from_numpy(np.stack(batch))).cpu()


def _refuse(findings: Findings, total: int, report: dict[str, Any]) -> None:
    if not findings.left_out:
        return
    faults = {packed.sample.name: packed.fault for packed in findings.left_out}
    report["faults"] = faults
    shown = ", ".join(f"{name} ({fault})" for name, fault in list(faults.items())[:LISTED])
    more = f", ... and {len(faults) - LISTED:,} more (all with --json)" if len(faults) > LISTED else ""
    raise InputError(
        f"{len(faults):,} of {total:,} images cannot be scored: {shown}{more}; nothing was scored; fix or remove them"
    )


def _report(kept: list[Packed], found: BorderCounts, report: dict[str, Any]) -> None:
    """Add the scores of all images, the baselines, and the counts of each image."""
    readings = {"original": found.counts} | ({"original_no_border": found.no_border} if found.has_border else {})
    report["scores"] = {name: _scores(counts) for name, counts in readings.items()}
    report["baselines"] = {
        kind.__name__: {name: _scores(kind(counts)) for name, counts in readings.items()}
        for kind in (nothing, everything)
    }
    images = [{"name": each.sample.name, "width": each.width, "height": each.height} for each in kept]
    for name, counts in readings.items():
        for image, dice, iou, (tp, fp, fn, tn) in zip(
            images, dice_per_image(counts).tolist(), iou_per_image(counts).tolist(), counts.tolist(), strict=True
        ):
            image[name] = {"dice": dice, "iou": iou, "tp": tp, "fp": fp, "fn": fn, "tn": tn}
    report["images"] = images


def _scores(counts: np.ndarray) -> dict[str, float | int]:
    """All scores but the one that depends on the order of the images."""
    return {name: score for name, score in scores(counts).items() if name != pixel_accuracy_batch.__name__}


def _print_scores(report: dict[str, Any], found: BorderCounts) -> None:
    worst = sorted(report["images"], key=lambda image: image["original"]["dice"])[:WORST]
    show("lowest Dice", ", ".join(f"{image['original']['dice']:.4f} {image['name']}" for image in worst))
    if remark := no_better_than(report["scores"]["original"]["dice"], found.counts):
        show("note", remark)
    labels = {"original": "original size", "original_no_border": "original size, border ignored"}
    blocks = {report["model"]: report["scores"]}
    blocks |= {f"predicting {name}": baseline for name, baseline in report["baselines"].items()}
    rows = [
        (name, f"{scored['images']:,}, {labels[reading]}", scored)
        for name, readings in blocks.items()
        for reading, scored in readings.items()
    ]
    print(f"\n{table(rows)}", flush=True)
