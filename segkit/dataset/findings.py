"""What packing found out about samples: which cannot be used, and which show the same picture."""

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

NAMED = 3  # of each finding, in a stage's line
LISTED = 20  # more than that no line should hold
INSTEAD = {"on_bad": "skip", "on_empty": "skip or keep", "on_duplicate": "skip or report"}


@dataclass
class Packed:
    """What one worker made of one sample: its original size, exact sums and fingerprints, or why it is left out, and
    which key of ``preprocess`` says whether that is a failure."""

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
    """Each sample whose packed picture another sample has, too, with that other one: of those that share a picture,
    the first in the test set, else the first in validation, else the first in training."""
    first: dict[bytes, Packed] = {}
    usable = sorted((p for p in packed if p.fault is None), key=lambda p: -SPLITS.index(p.sample.split))
    return [(p, first[p.picture_digest]) for p in usable if first.setdefault(p.picture_digest, p) is not p]


def leave_out_leaks(pairs: Iterable[tuple[Packed, Packed]]) -> None:
    """Mark the samples whose picture is in another split, where it stays."""
    for packed, other in pairs:
        if packed.sample.split != other.sample.split:
            packed.fault = f"the same picture as {other.sample.name} in the {other.sample.split} set"
            packed.key = "on_duplicate"


def doubles(pairs: Iterable[tuple[Packed, Packed]]) -> dict[str, Any]:
    """What the summary says about pictures that are there more than once.

    ``leakage``: name and split of two samples that share a picture across splits. ``contradictions``: the same for
    two, of whatever splits, whose masks differ. ``duplicates``: how many pictures more a split has than it would have
    if each stood there once.
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
    """Raise InputError where a parameter says that one of the samples ``left_out`` is a failure.

    It lists all such samples; of very many the first, and the rest in ``.segkit/preprocess-faults.txt``.
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
        listed += f", … and {len(reasons) - LISTED:,} more, all in {path}"
    keys = {p.key for p in failures}
    settings = " and ".join(f"preprocess.{key} to {value}" for key, value in INSTEAD.items() if key in keys)
    mend = "mend them" if all(p.sample.trimap for p in failures) else "mend them and run 'dvc repro -f download'"
    raise InputError(f"{len(failures)} of {total} samples cannot be used: {listed}; {mend}, or set {settings}")


def describe(summary: dict[str, Any]) -> str:
    """The summary in one line: sizes, foreground, what was skipped, and pictures that are there more than once."""
    splits = ", ".join(f"{split['images']:,} {name}" for name, split in summary["splits"].items())
    height, width = summary["size"]
    parts = [f"{splits} at {width}x{height} px, {summary['splits']['train']['foreground']:.0%} foreground"]
    for words, key in (
        ("skipped: {} samples", "skipped"),
        ("leakage: {} pictures are in two splits", "leakage"),
        ("contradiction: {} pictures come again with another mask", "contradictions"),
    ):
        if found := summary[key]:
            parts.append(f"{words.format(f'{len(found):,}')} ({_first(found)}; all in summary.json)")
    return "; ".join(parts)


def _first(found: dict[str, str] | list[list[str]]) -> str:
    """The first few of skipped samples (name to reason) or of pairs (name, split, name, split)."""
    if isinstance(found, dict):
        named = [f"{name}: {reason}" for name, reason in found.items()]
    else:
        named = [f"{one} in {split} = {other} in {other_split}" for one, split, other, other_split in found]
    return ", ".join(named[:NAMED]) + (", …" if len(named) > NAMED else "")
