"""The test pictures and masks at their original sizes, decoded by threads that run ahead."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segkit.data.catalog import Sample, read_catalog
from segkit.data.decode import UnusableFile
from segkit.data.pictures import read_pair, trimap_to_mask
from segkit.errors import InputError

AHEAD = 16


@dataclass(frozen=True)
class Original:
    """One sample as it came: ``picture`` RGB, ``mask`` ``uint8 (h, w)`` with 0, 1, 255."""

    picture: Image.Image
    mask: np.ndarray


def find_originals(raw: Path, rows: Sequence[dict[str, Any]]) -> list[Sample]:
    """The raw samples behind rows of ``samples.csv``; raises InputError where the raw data lacks one."""
    samples = {sample.name: sample for sample in read_catalog(raw)}
    missing = [row["name"] for row in rows if row["name"] not in samples]
    if missing:
        raise InputError(f"{raw} lacks {len(missing)} samples of the packed data ({missing[0]}, …); run 'dvc repro'")
    return [samples[row["name"]] for row in rows]


def read_original(sample: Sample, border: str) -> Original:
    """Decode one sample; raises InputError where its files cannot be used any more."""
    try:
        picture, labels = read_pair(sample.picture, sample.mask)
        return Original(picture, trimap_to_mask(labels, border))
    except UnusableFile as fault:
        raise InputError(f"{sample.picture} or {sample.mask}: {fault}; run 'dvc repro preprocess'") from None


def read_originals(samples: Sequence[Sample], border: str, workers: int) -> Iterator[Original]:
    """Decode ``samples`` in order, a few at a time ahead of the reader."""
    remaining = iter(samples)
    with ThreadPoolExecutor(workers) as pool:
        pending = deque(pool.submit(read_original, sample, border) for sample in islice(remaining, AHEAD))
        while pending:
            original = pending.popleft().result()
            pending.extend(pool.submit(read_original, sample, border) for sample in islice(remaining, 1))
            yield original
