"""Data packed by ``segkit.dataset`` from arrays that a test makes."""

from pathlib import Path

import numpy as np
from PIL import Image

from segkit.base.files import write_json
from segkit.base.packed import FOREGROUND, IGNORED
from segkit.dataset.preprocess import preprocess
from tests.tiny import options, own_folder

# name, image uint8 (h, w, 3), mask uint8 (h, w) with 0, 1, 255
Sample = tuple[str, np.ndarray, np.ndarray]


def pack(processed: Path, resize: str, size: tuple[int, int], **splits: list[Sample]) -> None:
    """Write ``train`` (the same as ``valid``, if it is missing), ``valid`` and ``test`` into the folder ``processed``,
    as a user's own files; a sample is called ``SPLIT_NAME`` there. A mask at least has foreground."""
    raw = processed.with_name(f"{processed.name}_raw")
    raw.mkdir(parents=True)
    listed = []
    for split, samples in ({"train": splits["valid"]} | splits).items():
        for sample, *arrays in samples:
            name = f"{split}_{sample}"
            files = [f"{name}.png", f"{name}_mask.png"]
            for file, pixels in zip(files, arrays, strict=True):
                Image.fromarray(pixels).save(raw / file)
            listed.append({"name": name, "split": split, "group": "", "image": files[0], "masks": files[1:]})
    write_json(raw / "samples.json", {"samples": listed})
    lenient = options(size, resize=resize, on_bad="skip", on_empty="keep", on_suspect="report")
    ignored = any((mask == IGNORED).any() for samples in splits.values() for _, _, mask in samples)
    meaning = own_folder(raw, raw, foreground=(FOREGROUND,), ignore=(IGNORED,) * ignored)
    summary = preprocess(raw, processed, lenient, workers=1, folder=meaning)
    assert not summary["skipped"], summary["skipped"]
