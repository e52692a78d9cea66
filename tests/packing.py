"""Packed data made from arrays, in each way that ``preprocess.resize`` knows."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segkit.base.files import digest, write_csv, write_json
from segkit.base.packed import IGNORED, SAMPLE_COLUMNS, summary_digest
from segkit.dataset.findings import IMAGENET

# name, picture uint8 (h, w, 3), mask uint8 (h, w)
Sample = tuple[str, np.ndarray, np.ndarray]
Packed = tuple[dict[str, int], np.ndarray, np.ndarray]


def pack(processed: Path, resize: str, size: tuple[int, int], **splits: list[Sample]) -> None:
    """Write ``train``, ``valid`` and ``test`` into the folder ``processed``."""
    lines, summary = [], {"size": list(size), "resize": resize, "border": "foreground", "range": None, "splits": {}}
    for split, samples in splits.items():
        rows = [(name, *row) for name, *arrays in samples for row in rows_of(resize, size, *arrays)]
        (processed / split).mkdir(parents=True)
        for kind, values in zip(("images", "masks"), list(zip(*rows, strict=True))[2:], strict=True):
            np.save(processed / split / f"{kind}.npy", np.stack(values))
        for number, (name, where, _, _) in enumerate(rows):
            line = {"split": split, "row": number, "name": name, "group": ""} | where
            lines.append([line[key] for key in SAMPLE_COLUMNS])
        summary["splits"][split] = {"images": len(samples), "windows": len(rows)}
    with zipfile.ZipFile(processed / "test/original_masks.zip", "w") as archive:
        for name, _, mask in splits["test"]:
            content = io.BytesIO()
            Image.fromarray(mask).save(content, format="PNG")
            archive.writestr(f"{name}.png", content.getvalue())
    write_csv(processed / "samples.csv", SAMPLE_COLUMNS, lines)
    summary["normalize"] = {"image": None, "dataset": IMAGENET, "imagenet": IMAGENET}
    files = (path.relative_to(processed).as_posix() for path in processed.rglob("*") if path.is_file())
    summary["files"] = {name: digest(processed / name) for name in files}
    write_json(processed / "summary.json", summary | {"sha256": summary_digest(summary)})


def rows_of(resize: str, size: tuple[int, int], picture: np.ndarray, mask: np.ndarray) -> Iterator[Packed]:
    """Where each row of an image lies, and its pixels."""
    (height, width), (rows, columns) = mask.shape, size
    if resize == "tile":
        for top in starts(height, rows):
            for left in starts(width, columns):
                box = top, left, min(top + rows, height), min(left + columns, width)
                window = slice(top, box[2]), slice(left, box[3])
                yield _row(size, mask.shape, box, picture[window], mask[window])
        return
    scale = min(rows / height, columns / width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale))) if resize == "fit" else size
    small = Image.fromarray(picture).resize(inner[::-1], Image.Resampling.BILINEAR)
    small_mask = Image.fromarray(mask).resize(inner[::-1], Image.Resampling.NEAREST)
    yield _row(size, mask.shape, (0, 0, height, width), np.asarray(small), np.asarray(small_mask))


def starts(length: int, window: int) -> list[int]:
    """Of windows that overlap by a quarter, the last of them flush with the end."""
    step = max(1, window * 3 // 4)
    return sorted({*range(0, max(1, length - window), step), max(0, length - window)})


def _row(size: Any, shape: Any, box: Any, picture: np.ndarray, mask: np.ndarray) -> Packed:
    where = dict(zip(("height", "width", "top", "left", "bottom", "right"), (*shape, *box), strict=True))
    where |= {"content_height": mask.shape[0], "content_width": mask.shape[1]}
    below, right = size[0] - mask.shape[0], size[1] - mask.shape[1]
    padded = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
    return where, padded, np.pad(mask, ((0, below), (0, right)), constant_values=IGNORED)
