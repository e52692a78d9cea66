"""Findings about samples while packing: which cannot be used, which look wrong, and which show the same image."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from segkit.base.errors import InputError, brief, counted, few
from segkit.base.files import atomic_write
from segkit.base.params import Preprocess
from segkit.base.workspace import main_checkout
from segkit.dataset.catalog import SPLITS, Sample
from segkit.dataset.packing import Packed

LISTED = 20  # unusable samples in an error message
INSTEAD = {"on_bad": "skip", "on_empty": "skip or keep", "on_duplicate": "skip or report"}
LARGER = "raise preprocess.size or set preprocess.resize to tile"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

# A mask looks reversed if foreground fills the edge of the image, and its background is about as large as the
# foreground of the other masks.
FILLED_EDGE = 0.9
SIMILAR = 4  # times larger or smaller


class Findings:
    """What is found out about the samples of a set, added in the order of packing."""

    def __init__(self, options: Preprocess) -> None:
        self.options = options
        self.kept: dict[str, list[Packed]] = {split: [] for split in SPLITS}
        self.left_out: list[Packed] = []
        self._duplicates = Duplicates(skip=options.on_duplicate != "report")

    def add(self, packed: Packed) -> None:
        """Take the next sample; it is left out if another split has its image and ``on_duplicate`` says so."""
        self._duplicates.add(packed)
        (self.left_out if packed.fault else self.kept[packed.sample.split]).append(packed)

    def refuse(self) -> None:
        """Raise InputError if a parameter makes a finding an error, or a split is empty."""
        left_out = sorted(self.left_out, key=lambda p: SPLITS.index(p.sample.split))
        refuse(left_out, len(self._all) + len(left_out), self.options)
        if self.options.on_suspect == "fail":
            self._refuse_suspects()
        for name, kept in self.kept.items():
            if not kept:
                reasons = [f"{r.sample.name} ({r.fault})" for r in left_out if r.sample.split == name]
                raise InputError(f"no usable sample is left in the {name} set: {few(reasons, 200)}; add or fix some")
            if not any(result.counted for result in kept):
                trimaps = kept[0].sample.trimap
                fix = "set preprocess.border to foreground" if trimaps else "ignore fewer values of the masks"
                raise InputError(f"every pixel of the {name} set is ignored; {fix}")

    def _refuse_suspects(self) -> None:
        total = len(self._all)
        if names := self.framed():
            raise InputError(
                f"{len(names):,} of {total:,} masks have foreground all along the edge of the image and little "
                f"behind it ({few(names)}), as a frame around a drawing: remove it, or set preprocess.on_suspect to "
                "report if it is right"
            )
        if names := self.reversed():
            raise InputError(
                f"{len(names):,} of {total:,} masks look reversed, with foreground along the edge of the image "
                f"({few(names)}): look at them with 'python -m segkit validate' and correct them, or set "
                "preprocess.on_suspect to report if they are right; if foreground and background are swapped in all "
                "masks, set data.folder.foreground to the values of foreground ([0] for black on white)"
            )

    @property
    def _all(self) -> list[Packed]:
        return [result for kept in self.kept.values() for result in kept]

    def framed(self) -> list[str]:
        """Names of a user's own masks that have a frame of foreground."""
        return _names([result for result in self._all if not result.sample.trimap], _is_framed)

    def reversed(self) -> list[str]:
        """Names of a user's own masks that look reversed."""
        own = [result for result in self._all if not result.sample.trimap and not _is_framed(result)]
        filled = [result for result in own if result.edge >= FILLED_EDGE and result.share < 1]
        usual = [result.share for result in own if result.edge < FILLED_EDGE and result.share]
        if len(filled) < len(own) / 2 and usual:
            low, high = median(usual) / SIMILAR, median(usual) * SIMILAR
            filled = [result for result in filled if low <= 1 - result.share <= high]
        return _names(filled, lambda result: True)

    def summary(self) -> dict[str, Any]:
        """Sizes, class balance, statistics of the training set in units of 0 to 1, and what was found."""
        train, everything = self.kept["train"], self._all
        pixels = sum(result.pixels for result in train)
        total, squares = np.sum([result.sums for result in train], axis=0) / pixels
        return {
            "size": list(self.options.size),
            "resize": self.options.resize,
            "border": self.options.border,
            "splits": {
                name: {
                    "images": len(kept),
                    "windows": sum(len(result.windows) for result in kept),
                    "foreground": sum(r.foreground for r in kept) / max(1, sum(r.counted for r in kept)),
                }
                for name, kept in self.kept.items()
            },
            "normalize": {
                "image": None,
                "dataset": {"mean": (total / 255).tolist(), "std": (np.sqrt(squares - total**2) / 255).tolist()},
                "imagenet": IMAGENET,
            },
            "skipped": dict(sorted((result.sample.name, result.fault) for result in self.left_out)),
            "vanished": _names(everything + self.left_out, lambda result: result.vanished),
            "best_dice": _best_dice(everything),
            "reversed": self.reversed(),
            "framed": self.framed(),
            "no_background": _names(everything, lambda result: result.share == 1),
        } | self._duplicates.summary()


def _names(results: Sequence[Packed], chosen: Callable[[Packed], bool]) -> list[str]:
    return sorted(result.sample.name for result in results if chosen(result))


def _is_framed(result: Packed) -> bool:
    return result.edge >= FILLED_EDGE and result.inside < FILLED_EDGE / 2


def _best_dice(results: Sequence[Packed]) -> dict[str, Any] | None:
    """Mean and worst Dice that a perfect network can reach at the original sizes; None where nothing is resized."""
    found = [(result.best, result.sample.name) for result in results if result.best is not None]
    if not found:
        return None
    worst, name = min(found)
    return {"mean": sum(best for best, _ in found) / len(found), "worst": worst, "worst_name": name}


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
        image, mask = (hashlib.sha256(values).digest() for values in (packed.images, packed.masks))
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
    keys = {p.key for p in failures}
    settings = " and ".join(f"preprocess.{key} to {value}" for key, value in INSTEAD.items() if key in keys)
    faults, fixes = [], []
    if vanished := [p.sample.name for p in failures if p.vanished]:
        faults.append(_vanished(vanished, total, options.size))
        fixes.append(LARGER)
    if reasons := [f"{p.sample.name} ({p.fault})" for p in failures if not p.vanished]:
        faults.append(f"{len(reasons)} of {total} samples cannot be used: {', '.join(reasons[:LISTED])}")
        fixes.append("fix them")
    if len(reasons) > LISTED:
        path = main_checkout() / ".segkit" / "preprocess-faults.txt"
        with atomic_write(path, "w", encoding="utf-8") as file:
            file.writelines(f"{reason}\n" for reason in reasons)
        faults[-1] += f", ... and {len(reasons) - LISTED:,} more, all in {path}"
    raise InputError(f"{'; '.join(faults)}; {', '.join(fixes)}, or set {settings}")


def _vanished(names: Sequence[str], total: int, size: tuple[int, int]) -> str:
    lost = f"{len(names):,} of {total:,} masks lose all foreground at {size[1]}x{size[0]} px"
    return f"{lost} ({few(names)})"


def describe(summary: dict[str, Any]) -> str:
    """Sizes and share of foreground, in one line."""
    splits = ", ".join(_count(name, split) for name, split in summary["splits"].items())
    return f"{splits} at {_size(summary)}, {summary['splits']['train']['foreground']:.0%} foreground"


def remarks(summary: dict[str, Any]) -> list[str]:
    """What was found, one line each."""
    best = [f"best possible Dice at {_size(summary)}: {text}" for text in [best_dice(summary)] if text]
    excluded = summary.get("excluded")
    left_out = [f"data.exclude leaves out {counted(len(excluded), 'sample')}: {few(excluded)}"] if excluded else []
    return [*summary["notes"], *best, *left_out, *suspicions(summary)]


def best_dice(summary: dict[str, Any]) -> str:
    """What a perfect network reaches at the original sizes, or nothing where masks are not resized."""
    best = summary["best_dice"]
    return f"{best['mean']:.2f}, worst {best['worst']:.2f} ({brief(best['worst_name'], 40)})" if best else ""


def suspicions(summary: dict[str, Any]) -> list[str]:
    """What looks wrong, one line each."""
    found, vanished = [], summary["vanished"]
    other = {name: reason for name, reason in summary["skipped"].items() if name not in vanished}
    if vanished:
        samples = sum(split["images"] for split in summary["splits"].values()) + len(summary["skipped"])
        found.append(f"{_vanished(vanished, samples, summary['size'])}; {LARGER}")
    for key, label, noun, more in (
        ("skipped", "skipped", "sample", ""),
        ("reversed", "foreground and background may be reversed", "mask", ""),
        ("framed", "a frame of foreground", "mask", ""),
        ("no_background", "no background", "mask", ""),
        ("leakage", "leakage", "image", " in two splits"),
        ("contradictions", "contradiction", "image", " with two different masks"),
    ):
        if listed := other if key == "skipped" else summary[key]:
            found.append(f"{label}: {counted(len(listed), noun)}{more} ({_first(listed)}; all in summary.json)")
    return found


def _size(summary: dict[str, Any]) -> str:
    height, width = summary["size"]
    return f"{width}x{height} px"


def _count(name: str, split: dict[str, Any]) -> str:
    windows = f" ({split['windows']:,} windows)" if split["windows"] != split["images"] else ""
    return f"{split['images']:,} {name}{windows}"


def _first(found: dict[str, str] | list) -> str:
    """The first few skipped samples (name to reason), names, or pairs (name, split, name, split)."""
    if isinstance(found, dict):
        return few([f"{name}: {reason}" for name, reason in found.items()], 200)
    return few([item if isinstance(item, str) else "{} in {} = {} in {}".format(*item) for item in found], 200)
