"""What the networks were trained and tested on."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from segkit.base.packed import read_samples, summary_digest
from segkit.reporting.page.collect import Run
from segkit.reporting.page.content import Panel, Picture, Table, Text, decimals, percent
from segkit.reporting.page.pictures import encoded, shrunk

SPLITS = {"train": "training", "valid": "validation", "test": "test"}
UNKNOWN = "source not recorded"
SOURCES = {
    "synthetic": "synthetic pets, drawn by segkit",
    "oxford_pet": "Oxford-IIIT Pet",
    "folder": "images and masks of a folder",
}
PREVIEW = Path("data/augmented/preview.png")
PREVIEW_SIDE = 1000  # pixels
LISTED = 5
COLUMNS = ("split", "images", "rows", "groups", "foreground", "smallest", "median", "largest")
FINDINGS = {
    "excluded": "left out by the list of data.exclude",
    "skipped": "left out: unusable, without foreground, or a copy",
    "leakage": "the same image in two splits",
    "contradictions": "the same image with two masks",
    "reversed": "foreground and background may be reversed",
    "framed": "mask with a frame",
    "no_background": "mask without background",
    "vanished": "mask whose foreground vanishes at this size",
}


def panel(run: Run) -> Panel:
    """Counts, sizes, meaning of the masks' values, what looks wrong, a preview of the augmentation."""
    summary = run.summary
    total = sum(split["images"] for split in summary["splits"].values())
    left_out = sum(len(summary.get(key, ())) for key in ("skipped", "excluded"))
    wrong = [key for key in FINDINGS if summary.get(key)]
    finding = f"{total:,} images: {SOURCES.get(run.source, UNKNOWN)}; " + (
        "no leak between the splits" if "leakage" not in wrong else f"{len(summary['leakage']):,} in two splits"
    )
    finding += f", {summary['duplicates']:,} duplicates within a split, {left_out:,} left out."
    return Panel("data", "Data card", finding, [
        Table("Images by split", COLUMNS, [_split(run, split) for split in SPLITS]),
        Table("How they are read", ["property", "value"], _reading(summary), numbers=2),
        Table("What looks wrong", ["finding", "number", "examples"], [_wrong(summary, key) for key in FINDINGS],
              numbers=3),
        *_preview(),
    ])  # fmt: skip


def _split(run: Run, split: str) -> list[str]:
    rows = {row["name"]: row for row in read_samples(run.paths.processed, split)}
    sizes = sorted(((row["width"], row["height"]) for row in rows.values()), key=np.prod)
    groups = Counter(row["group"] for row in rows.values() if row["group"])
    known = run.summary["splits"][split]
    ends = ["{}×{}".format(*sizes[place]) for place in (0, len(sizes) // 2, -1)] if sizes else ["–"] * 3
    counts = [f"{known['images']:,}", f"{known['windows']:,}", f"{len(groups):,}" if groups else "none"]
    return [SPLITS[split], *counts, percent(known["foreground"]), *ends]


def _reading(summary: dict[str, Any]) -> list[list[str]]:
    height, width = summary["size"]
    best = summary.get("best_dice")
    rows = {
        "input size": f"{width}×{height} px, {summary['resize']}",
        "border of trimaps": summary["border"],
        "masks": summary["masks"]["words"],
        "range of values": "{:g} to {:g}".format(*summary["range"]) if summary["range"] else "8 bits, as they are",
        "remarks": "; ".join(summary.get("notes", [])) or "none",
        "best possible Dice": f"{decimals(best['mean'])} on average, {decimals(best['worst'])} for {best['worst_name']}"
        if best
        else "1: no mask is resized",
        "SHA-256 of the summary": summary_fingerprint(summary),
    }
    return [list(row) for row in rows.items()]


def summary_fingerprint(summary: dict[str, Any]) -> str:
    """Of the packed files, shortened."""
    return summary_digest(summary)[:16]


def _wrong(summary: dict[str, Any], key: str) -> list[str]:
    found = summary.get(key) or []
    names = list(found) if isinstance(found, dict) else [each if isinstance(each, str) else each[0] for each in found]
    return [FINDINGS[key], f"{len(names):,}", ", ".join(names[:LISTED]) + ", …" * (len(names) > LISTED) or "–"]


def _preview() -> list:
    if not PREVIEW.is_file():
        return [Text(f"There is no preview of the augmentation here ({PREVIEW}).", note=True)]
    image = shrunk(PREVIEW, PREVIEW_SIDE)
    label = "Preview of the augmentation: training images beside transformed copies"
    return [Picture(encoded(image), *image.size, label, "Training images as they are, and as the network sees them.")]
