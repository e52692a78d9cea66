"""What a training writes besides its weights: curves, a line an epoch, TensorBoard, timings."""

import os
import resource
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.base.files import remove, write_csv, write_json
from segkit.base.packed import FOREGROUND, IGNORED, Split

CURVE_COLUMNS = ("epoch", "train_loss", "valid_loss", "train_dice", "valid_dice", "lr")
PICTURES = 4


class Logbook:
    """Collects one row an epoch; the tracked files hold no time, the untracked ones do.

    ``folder``: for TensorBoard's log, open inside ``with``, and timings; ``curves``: a CSV file with a row an epoch,
    complete after every epoch. Without either it only collects, as on all ranks but 0.
    """

    def __init__(self, folder: Path | None, curves: Path | None, epochs: int) -> None:
        self.folder, self.curves, self.epochs = folder, curves, epochs
        self.rows: list[tuple[float, ...]] = []
        self.events: EventLog | None = None
        self.start, self.seconds_before = time.perf_counter(), 0.0
        self.training_seconds, self.training_images = 0.0, 0

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs."""
        return {
            "rows": self.rows,
            "seconds": self._seconds(),
            "training_seconds": self.training_seconds,
            "training_images": self.training_images,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue after the epochs of ``state``."""
        self.rows = [tuple(row) for row in state["rows"]]
        self.seconds_before = state["seconds"]
        self.training_seconds, self.training_images = state["training_seconds"], state["training_images"]

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.start

    def __enter__(self) -> "Logbook":
        if self.folder:
            self.events = EventLog(self.folder)
            for row in self.rows:  # of an earlier run, whose log another training may have replaced
                self._log(row)
            if self.rows:
                self._write_curves()
        return self

    def __exit__(self, *error: object) -> None:
        if self.events:
            self.events.close()

    def epoch(self, row: tuple[float, ...], *, images: int, seconds: float, best: bool) -> None:
        """Record one epoch: a row of ``CURVE_COLUMNS``, training images and seconds, whether it is the best."""
        self.rows.append(row)
        self.training_seconds += seconds
        self.training_images += images
        if not self.events:
            return
        epoch, train_loss, valid_loss, train_dice, valid_dice, rate = row
        self._log(row)
        self._write_curves()
        self.events.scalar("images_per_second", images / seconds, int(epoch))
        print(
            f"epoch {int(epoch):3d}/{self.epochs}  loss {train_loss:.4f}  valid {valid_loss:.4f}  "
            f"dice {train_dice:.4f}  valid {valid_dice:.4f}  lr {rate:.2g}  {images / seconds:.1f} images/s"
            f"{'  best' if best else ''}",
            flush=True,
        )

    def _log(self, row: tuple[float, ...]) -> None:
        for name, value in zip(CURVE_COLUMNS[1:], row[1:], strict=True):
            self.events.scalar(name.replace("_", "/"), value, int(row[0]))

    def pictures(self, epoch: int, split: Split, predictions: Tensor) -> None:
        """Show input, truth and prediction of the first samples side by side in TensorBoard."""
        for row, prediction in enumerate(predictions[:PICTURES].cpu().numpy().astype(np.uint8)):
            panels = [split.images[row], *(_as_rgb(mask) for mask in (split.masks[row], prediction))]
            self.events.image(f"valid/{row}", np.concatenate(panels, axis=1), epoch)

    def _write_curves(self) -> None:
        rows = ([int(row[0]), *(f"{value:.6g}" for value in row[1:])] for row in self.rows)
        write_csv(self.curves, CURVE_COLUMNS, rows)

    def write_timing(self, device: torch.device, precision: str, processes: int) -> None:
        """Write ``timing.json`` beside the TensorBoard logs."""
        timing = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processes": processes,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "precision": precision,
            "epochs": len(self.rows),
            "seconds": round(self._seconds(), 3),
            "training_images_per_second": round(self.training_images / max(self.training_seconds, 1e-9), 2),
            "peak_memory_bytes": peak_memory(),
        }
        if device.type == "cuda":
            timing["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(device)
        write_json(self.folder / "timing.json", timing)


class EventLog:
    """A log for TensorBoard in an empty ``folder``, written by the calling thread.

    The thread of torch's ``SummaryWriter`` prints a traceback where the disk is full, and its error names no file.
    """

    def __init__(self, folder: Path) -> None:
        # tensorboard takes a second to import; only training pays for it
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary

        remove(folder)
        folder.mkdir(parents=True)
        self._path = folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(self._path, "wb")  # noqa: SIM115 (closed by close)
        self._event, self._summary, self._records = Event, summary, RecordWriter(self._file)
        self._add(file_version="brain.Event:2")

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add one point of a curve."""
        self._add(step=step, summary=self._summary.scalar(name, value))

    def image(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Add an image, ``uint8 (H, W, 3)``."""
        self._add(step=step, summary=self._summary.image(name, pixels, dataformats="HWC"))

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # only bytes are left whose write failed, and that was raised
            self._file.close()

    def _add(self, **fields: Any) -> None:
        try:
            self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
            self._records.flush()
        except OSError as error:  # a full disk does not say where it is
            error.filename = str(self._path)
            raise


def peak_memory() -> int:
    """The most bytes that this process has held resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _as_rgb(mask: np.ndarray) -> np.ndarray:
    """0, 1, 255 as black, white and grey; without ``segkit.figures``, so that no training depends on it."""
    shades = np.zeros(256, np.uint8)
    shades[[FOREGROUND, IGNORED]] = 255, 128
    return np.repeat(shades[mask][..., None], 3, axis=2)
