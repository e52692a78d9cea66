"""A first look at a user's own files: what mask values mean, how bright images are, and which files have several pages.

Masks are decoded, and images only if they have more than 8 bits: of the others the header is enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segkit.base.errors import InputError, few
from segkit.base.params import Folder, Preprocess
from segkit.base.prefetch import bounded_map
from segkit.base.progress import bar
from segkit.dataset.catalog import Sample
from segkit.dataset.decode import JPEG, UnusableFile, count_pages, decode, has_page, opened
from segkit.dataset.mask_values import Found, examine, has_wide_colours, is_lossy, refuse_wide_colours
from segkit.dataset.mask_words import also
from segkit.dataset.meaning import decide
from segkit.dataset.pictures import Reading, Trimaps

PERCENTILES = 0.1, 99.9  # of all images together; what is darker or brighter becomes black or white
PIXELS = 2**22  # looked at for these, over all images
WIDE = ("I", "F")  # Pillow's modes of more than 8 bits begin so


@dataclass(frozen=True)
class Survey:
    """How to read the samples, which may be pages of the files' samples, and what was found, one phrase each."""

    samples: list[Sample]
    reading: Reading
    notes: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """``masks``: what their values mean; ``range``: the values of images that become 0 and 255, of images of more
        than 8 bits; ``notes``: one phrase each."""
        scale = self.reading.scale
        return {"masks": self.reading.masks.summary(), "range": list(scale) if scale else None, "notes": self.notes}


@dataclass
class _Looked:
    """What one sample's files hold."""

    masks: list[tuple[str, Found]] = field(default_factory=list)
    values: np.ndarray | None = None  # of an image of more than 8 bits
    several_pages: bool = False
    only_masks_have_pages: bool = False
    fourth_band: bool = False
    wide_colours: bool = False  # of an image
    fault: str = ""  # of a mask that cannot be read


def survey(samples: Sequence[Sample], options: Preprocess, folder: Folder | None, workers: int) -> Survey:
    """Look at all files; those that cannot be read are left to packing, which says why.

    Trimaps of Oxford-IIIT Pet need no look. Raises InputError if the masks' values are ambiguous or contradict each
    other, or no mask can be read.
    """
    if all(sample.trimap for sample in samples):
        return Survey(list(samples), Reading(Trimaps(), options.border))
    notes = []
    if folder.pages == "all":
        files = len(samples)
        samples = [page for pages in bounded_map(_pages, samples, workers) for page in pages]
        notes += [f"{len(samples):,} pages of {files:,} files"] * (len(samples) > files)
    look, looked = partial(_look, pixels=max(64, PIXELS // len(samples))), []
    with bar(label="survey", total=len(samples), unit="img") as progress:
        for result in bounded_map(look, samples, workers):
            looked.append(result)
            progress.update()
    masks = [mask for result in looked for mask in result.masks]
    if not masks:
        first = f"{samples[0].name} ({looked[0].fault})"
        raise InputError(f"data.folder.masks: none of the masks of {len(samples):,} images can be read: {first}, ...")
    meaning = decide(masks, folder)
    scale, brightness = _scale([result.values for result in looked if result.values is not None], folder)
    ignored = meaning.border if options.border == "ignore" else ()
    notes += [also(meaning.words, ignored, meaning.unit), *brightness]
    narrow = len(looked) - sum(result.values is not None for result in looked)
    if brightness and narrow:
        notes.append(f"the other {narrow:,} images have 8 bits and are used as they are: their brightness may differ")
    if fourth := sum(result.fourth_band for result in looked):
        notes.append(f"the fourth band of {fourth:,} TIFF images is not read")
    if wide := sum(result.wide_colours for result in looked):
        notes.append(f"of the 16-bit colours of {wide:,} images the upper 8 bits are read")
    if folder.pages == "first":
        notes += _about_pages([sample.name for sample in samples], looked)
    return Survey(list(samples), Reading(meaning, options.border, scale), notes)


def _about_pages(names: list[str], looked: list[_Looked]) -> Iterator[str]:
    """Which pages are not used, and what to do."""
    for key, subject, advice in (
        ("several_pages", "samples have", "set data.folder.pages to all to use all"),
        ("only_masks_have_pages", "images have one page and masks of", "save each mask in one page"),
    ):
        if several := [name for name, result in zip(names, looked, strict=True) if getattr(result, key)]:
            yield f"{len(several):,} {subject} several pages ({few(several)}), of which the first is used; {advice}"


def _look(sample: Sample, pixels: int) -> _Looked:
    looked = _Looked()
    for path in (sample.picture, *sample.masks):
        is_mask = path in sample.masks
        try:
            with opened(path, sample.page) as image:
                mode, image_format, lossy = image.mode, image.format, is_lossy(image)
                wide = has_wide_colours(image)
                pages = image_format not in JPEG and has_page(image, 1)
            if is_mask:
                looked.only_masks_have_pages |= pages and not looked.several_pages
                mask = decode(path, refuse_wide_colours, page=sample.page).image
                looked.masks.append((_label(sample, path), examine(mask, lossy)))
                continue
            looked.several_pages, looked.wide_colours = pages, wide
            if mode.startswith(WIDE):
                values = np.asarray(decode(path, page=sample.page).image).ravel()
                values = values[:: max(1, values.size // pixels)]
                looked.values = values[np.isfinite(values)].astype(np.float64)
            else:
                looked.fourth_band = mode == "RGBA" and image_format == "TIFF"
        except (UnusableFile, MemoryError) as fault:
            looked.fault = str(fault) or "memory ran out" if is_mask else looked.fault
    return looked


def _pages(sample: Sample) -> list[Sample]:
    """One sample per page, which stay together. A page that one of the files lacks, and a file that cannot be read, are
    left to packing to refuse."""
    try:
        pages = max(map(count_pages, (sample.picture, *sample.masks)))
    except UnusableFile:
        pages = 1
    if pages == 1:
        return [sample]
    group = sample.group or sample.name
    return [replace(sample, name=f"{sample.name}#{page + 1}", group=group, page=page) for page in range(pages)]


def _scale(values: list[np.ndarray], folder: Folder) -> tuple[tuple[float, float] | None, list[str]]:
    """The values that become black and white, and a phrase about them; none if no image has more than 8 bits."""
    values = [finite for finite in values if finite.size]
    if not values:
        return None, []
    if folder.range != "auto":
        low, high = folder.range
        return (low, high), [f"{len(values):,} images of more than 8 bits, {low:g}…{high:g} scaled to 0…255"]
    low, high = (float(end) for end in np.percentile(np.concatenate(values), PERCENTILES))
    if not low < high:
        raise InputError(
            f"data.folder.range: {len(values):,} images of more than 8 bits hold {low:g} almost everywhere; set it "
            "to the [darkest, brightest] values that matter"
        )
    words = f"{len(values):,} images of more than 8 bits, {low:g}…{high:g} ({{}} to {{}} % of pixels) scaled to 0…255"
    return (low, high), [words.format(*PERCENTILES)]


def _label(sample: Sample, mask: Path) -> str:
    return sample.name if len(sample.masks) == 1 else f"{sample.name}: {mask.name}"
