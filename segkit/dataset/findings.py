"""Findings about samples while packing: which cannot be used, and which show the same image."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.base.errors import InputError
from segkit.base.files import atomic_write
from segkit.base.params import Preprocess
from segkit.base.workspace import main_checkout
from segkit.dataset.catalog import SPLITS, Sample

NAMED = 3  # examples of each finding in a stage's line
LISTED = 20  # unusable samples in an error message
INSTEAD = {"on_bad": "skip", "on_empty": "skip or keep", "on_duplicate": "skip or report"}


@dataclass
class Packed:
    """The result for one sample: its original size, exact sums and digests, or why it is left out and which key of
    ``preprocess`` decides whether that is an error."""

    sample: Sample
    index: int
    width: int = 0
    height: int = 0
    sums: np.ndarray | None = None  # int64 (2, 3): sum and sum of squares of each channel
    foreground: int = 0
    counted: int = 0
    picture_digest: bytes = b""
    mask_digest: bytes = b""
    background: bool = False  # whether the mask has any
    original_mask: bytes = b""  # test set: the mask at its own size, as a PNG file
    fault: str | None = None
    key: str = "on_bad"


def twins(packed: Iterable[Packed]) -> list[tuple[Packed, Packed]]:
    """Each sample whose packed image an earlier sample has too, with that earlier one; the order is test, validation,
    training."""
    first: dict[bytes, Packed] = {}
    usable = sorted((p for p in packed if p.fault is None), key=lambda p: -SPLITS.index(p.sample.split))
    return [(p, first[p.picture_digest]) for p in usable if first.setdefault(p.picture_digest, p) is not p]


def leave_out_leaks(pairs: Iterable[tuple[Packed, Packed]]) -> None:
    """Leave out the samples whose image is kept in another split."""
    for packed, other in pairs:
        if packed.sample.split != other.sample.split:
            packed.fault = f"the same image as {other.sample.name} in the {other.sample.split} set"
            packed.key = "on_duplicate"


def doubles(pairs: Iterable[tuple[Packed, Packed]]) -> dict[str, Any]:
    """What the summary says about duplicate images.

    ``leakage``: names and splits of two samples that share an image across splits. ``contradictions``: the same for two
    samples whose masks differ, in any splits. ``duplicates``: how many images could be removed within splits.
    """
    pairs = [(p, other) for p, other in pairs if p.fault is None]
    sharing = {id(p): p for pair in pairs for p in pair}.values()
    within = Counter((p.picture_digest, p.sample.split) for p in sharing)
    return {
        "leakage": _named((p, other) for p, other in pairs if p.sample.split != other.sample.split),
        "contradictions": _named((p, other) for p, other in pairs if p.mask_digest != other.mask_digest),
        "duplicates": sum(within.values()) - len(within),
    }


def _named(pairs: Iterable[tuple[Packed, Packed]]) -> list[list[str]]:
    return sorted([p.sample.name, p.sample.split, other.sample.name, other.sample.split] for p, other in pairs)


def refuse(left_out: Sequence[Packed], total: int, options: Preprocess) -> None:
    """Raise InputError if a parameter makes one of the samples ``left_out`` an error.

    It lists all such samples, or the first and a file with all of them, ``.segkit/preprocess-faults.txt``.
    """
    failures = sorted((p for p in left_out if getattr(options, p.key) == "fail"), key=lambda p: p.sample.name)
    if not failures:
        return
    reasons = [f"{p.sample.name} ({p.fault})" for p in failures]
    listed = ", ".join(reasons[:LISTED])
    if len(reasons) > LISTED:
        path = main_checkout() / ".segkit" / "preprocess-faults.txt"
        with atomic_write(path, "w", encoding="utf-8") as file:
            file.writelines(f"{reason}\n" for reason in reasons)
        listed += f", ... and {len(reasons) - LISTED:,} more, all in {path}"
    keys = {p.key for p in failures}
    settings = " and ".join(f"preprocess.{key} to {value}" for key, value in INSTEAD.items() if key in keys)
    fix = "fix them" if all(p.sample.trimap for p in failures) else "fix them and run 'dvc repro -f download'"
    raise InputError(f"{len(failures)} of {total} samples cannot be used: {listed}; {fix}, or set {settings}")


def describe(summary: dict[str, Any]) -> str:
    """The summary in one line: sizes, share of foreground, skipped samples and duplicate images."""
    splits = ", ".join(f"{split['images']:,} {name}" for name, split in summary["splits"].items())
    height, width = summary["size"]
    parts = [f"{splits} at {width}x{height} px, {summary['splits']['train']['foreground']:.0%} foreground"]
    for words, key in (
        ("skipped: {} samples", "skipped"),
        ("leakage: {} images are in two splits", "leakage"),
        ("contradiction: {} images have two different masks", "contradictions"),
    ):
        if found := summary[key]:
            parts.append(f"{words.format(f'{len(found):,}')} ({_first(found)}; all in summary.json)")
    return "; ".join(parts)


def _first(found: dict[str, str] | list[list[str]]) -> str:
    """The first few skipped samples (name to reason) or pairs (name, split, name, split)."""
    if isinstance(found, dict):
        named = [f"{name}: {reason}" for name, reason in found.items()]
    else:
        named = [f"{one} in {split} = {other} in {other_split}" for one, split, other, other_split in found]
    return ", ".join(named[:NAMED]) + (", ..." if len(named) > NAMED else "")
