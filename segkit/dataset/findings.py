"""Findings about samples while packing: which cannot be used, and which show the same image."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.base.errors import InputError
from segkit.base.files import atomic_write
from segkit.base.params import Preprocess
from segkit.base.workspace import main_checkout
from segkit.dataset.catalog import Sample

PRECEDENCE = ("test", "valid", "train")  # of two splits with the same image the first keeps it
NAMED = 3  # examples of each finding in a stage's line
LISTED = 20  # unusable samples in an error message
INSTEAD = {"on_bad": "skip", "on_empty": "skip or keep", "on_duplicate": "skip or report"}


@dataclass
class Packed:
    """The result for one sample: its original size, packed values, sums and counts, or why it is left out and which key
    of ``preprocess`` decides whether that is an error."""

    sample: Sample
    width: int = 0
    height: int = 0
    image: bytes = b""
    mask: bytes = b""
    sums: np.ndarray | None = None  # int64 (2, 3): sum and sum of squares of each channel
    foreground: int = 0
    counted: int = 0
    background: bool = False  # whether the mask has any
    original_mask: bytes = b""  # test set: the mask at its own size, as a PNG file
    fault: str | None = None
    key: str = "on_bad"

    def row(self) -> tuple[str, str, int, int]:
        """Its columns of ``samples.csv`` after split and row."""
        return self.sample.name, self.sample.group, self.width, self.height


class Duplicates:
    """Finds samples with the same packed image; with ``skip`` those that another split already has are left out."""

    def __init__(self, skip: bool) -> None:
        self._skip = skip
        self._first: dict[bytes, tuple[Sample, bytes]] = {}
        self._in_split: Counter[tuple[bytes, str]] = Counter()
        self._leaks: list[list[str]] = []
        self._contradictions: list[list[str]] = []

    def add(self, packed: Packed) -> None:
        """Compare the next sample, in the order of ``PRECEDENCE``, with those before it."""
        if packed.fault:
            return
        image, mask = (hashlib.sha256(values).digest() for values in (packed.image, packed.mask))
        other, other_mask = self._first.setdefault(image, (packed.sample, mask))
        leak = other.split != packed.sample.split
        if leak and self._skip:
            packed.fault = f"the same image as {other.name} in the {other.split} set"
            packed.key = "on_duplicate"
            return
        self._in_split[image, packed.sample.split] += 1
        pair = [packed.sample.name, packed.sample.split, other.name, other.split]
        self._leaks += [pair] * leak
        self._contradictions += [pair] * (mask != other_mask)

    def summary(self) -> dict[str, Any]:
        """``leakage``: names and splits of two samples that share an image across splits. ``contradictions``: the same
        for two samples whose masks differ. ``duplicates``: how many images could be removed within splits."""
        return {
            "leakage": sorted(self._leaks),
            "contradictions": sorted(self._contradictions),
            "duplicates": self._in_split.total() - len(self._in_split),
        }


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
