"""A training as TensorBoard's HParams tab shows it: a row of settings, from a checkpoint's metadata."""

from collections.abc import Iterator, Mapping
from typing import Any

# What says how a checkpoint is used, or is no setting of its training.
_OTHERS = ("threshold", "tta", "classes", "valid", "data_fingerprint", "format", "version")
FILE = "hparams.json"  # in a run's folder: of which training its log is


def hparams(metadata: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Numbers and texts that decide a training, by dotted key (``train.lr``); ``data`` tells apart data and plans."""
    height, width = metadata["input_size"]
    settings = {key: value for key, value in metadata.items() if key not in _OTHERS}
    found = dict(_leaves(settings | {"input_size": f"{height}x{width}"}))
    return found | {"data": str(metadata.get("data_fingerprint", ""))[:8]}


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
    return {f"best/valid_{key}": metadata["valid"][key] for key in ("dice", "loss") if key in metadata["valid"]}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int | float | str]]:
    """Lists, such as the mean of each channel, are left out."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            yield prefix + key, str(value).lower()
        elif isinstance(value, int | float | str):
            yield prefix + key, value
