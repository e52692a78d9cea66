"""Test scores for TensorBoard, beside the log of the training that they belong to."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.base.files import atomic_write, read_json, remove, write_json
from segkit.models import hparams

ENDING = ".evaluate"  # of our file beside the training's


def log_scores(folder: Path, metadata: Mapping[str, Any], scores: Mapping[str, float]) -> str:
    """Write ``scores`` into ``folder``, replacing those of an earlier evaluation; returns a remark, often empty.

    ``metadata``: of the checkpoint. If there is no such folder, as where a checkpoint was fetched, it gets the row of
    settings as well, and no curves. If it holds the log of another training, nothing is written, as the remark says.
    """
    settings = hparams.hparams(metadata)
    values = {f"test/{name}": value for name, value in scores.items()}
    messages = []
    if not folder.exists():
        write_json(folder / hparams.FILE, settings)
        messages = hparams.summaries(settings)
        values |= hparams.best(metadata)
    elif not (folder / hparams.FILE).is_file() or read_json(folder / hparams.FILE) != settings:
        return f"; not added to TensorBoard, as runs/{folder.parent.name}/{folder.name} is the log of another training"
    earlier = list(folder.glob(f"*{ENDING}"))
    _write_events(folder, messages, values, step=hparams.best_epoch(metadata))
    for path in earlier:
        remove(path)
    return ""


def _write_events(folder: Path, messages: list[Any], values: Mapping[str, float], step: int) -> None:
    """One file, whole or not at all, which torch's ``SummaryWriter`` with its thread cannot do."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter
    from torch.utils.tensorboard.summary import scalar

    now = time.time()
    # A file's name decides when TensorBoard reads it: after the training's.
    with atomic_write(folder / f"events.out.tfevents.{now:.6f}{ENDING}") as file:
        records = RecordWriter(file)
        records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for message in (*messages, *(scalar(name, value) for name, value in values.items())):
            records.write(Event(wall_time=now, step=step, summary=message).SerializeToString())
