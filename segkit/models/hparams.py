"""A training as TensorBoard's HParams tab shows it: a row of settings, from a checkpoint's metadata.

The metadata may be of any file that can be used as a checkpoint, so what the tab cannot show is left out.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from segkit.base.errors import brief

# What says how a checkpoint is used, or is no setting of its training.
_OTHERS = ("threshold", "tta", "classes", "valid", "data_fingerprint", "format", "version")
FILE = "hparams.json"  # in a run's folder: of which training its log is


def hparams(metadata: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Numbers and texts that decide a training, by dotted key (``train.lr``); ``data`` tells apart data and plans."""
    height, width = metadata["input_size"]
    settings = {key: value for key, value in metadata.items() if key not in _OTHERS}
    found = dict(_leaves(settings | {"input_size": f"{height}x{width}"}))
    return found | {"data": brief(metadata.get("data_fingerprint", ""))[:8]}


def summaries(settings: Mapping[str, int | float | str]) -> list[Any]:
    """TensorBoard's ``Summary`` messages that make a log's folder one row of the tab.

    torch's ``SummaryWriter.add_hparams`` would make a folder of its own, and fix the columns by the first row: without
    a message on the whole experiment, the tab collects them from all rows.
    """
    # tensorboard takes a second to import; only who writes a log pays for it
    from torch.utils.tensorboard.summary import hparams as messages

    _, start, end = messages(dict(settings), {})
    return [start, end]


def best(metadata: Mapping[str, Any]) -> dict[str, float]:
    """The validation scores of a checkpoint's weights, by the names of TensorBoard's scalars."""
    scores = dict(_leaves(metadata["valid"]))
    return {f"best/valid_{key}": scores[key] for key in ("dice", "loss") if isinstance(scores.get(key), int | float)}


def best_epoch(metadata: Mapping[str, Any]) -> int:
    """The epoch of these weights, or 0 if the metadata do not say it."""
    epoch = metadata["valid"].get("epoch")
    return epoch if type(epoch) is int and 0 <= epoch < 2**31 else 0


def _leaves(tree: Mapping[str, Any], prefix: str = "", depth: int = 3) -> Iterator[tuple[str, int | float | str]]:
    """Lists, such as the mean of each channel, are left out."""
    for key, value in tree.items():
        name = prefix + brief(key)
        if isinstance(value, Mapping) and depth:
            yield from _leaves(value, f"{name}.", depth - 1)
        elif isinstance(value, bool | str):
            yield name, brief(value if isinstance(value, str) else str(value).lower())
        elif isinstance(value, int | float) and abs(value) < 2**63 and math.isfinite(value):
            yield name, value
