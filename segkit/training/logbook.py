"""What a training writes besides its weights: curves, a line per epoch, TensorBoard, timings."""

import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segkit.base.files import naming, remove, write_csv, write_json
from segkit.base.packed import FOREGROUND, IGNORED, Split
from segkit.models import hparams
from segkit.training.pace import Pace

CURVE_COLUMNS = ("epoch", "train_loss", "valid_loss", "train_dice", "valid_dice", "lr")
EPOCH_COLUMNS = ("epoch", "seconds", "data_seconds", "images", "resumed")
PICTURES = 4


class Logbook:
    """Collects one row per epoch; tracked files contain no times, the untracked ones do.

    ``folder``: for TensorBoard's log, open inside ``with``, and timings, of which ``epochs.csv`` has a row per epoch;
    ``curves``: a CSV file likewise; both are complete after every epoch. Without either it only collects, as on all
    ranks but 0.
    """

    def __init__(self, folder: Path | None, curves: Path | None, epochs: int) -> None:
        self.folder, self.curves, self.epochs = folder, curves, epochs
        self.rows: list[tuple[float, ...]] = []
        self.paces: list[tuple[float, ...]] = []
        self.resumed = False
        self.writer = None
        self.start, self.seconds_before = time.perf_counter(), 0.0

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs."""
        return {"rows": self.rows, "paces": self.paces, "seconds": self._seconds()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue after the epochs of ``state``."""
        self.rows, self.paces = ([tuple(row) for row in state[key]] for key in ("rows", "paces"))
        self.seconds_before, self.resumed = state["seconds"], True

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.start

    def __enter__(self) -> "Logbook":
        if self.folder:
            self.writer = _writer(self.folder)
            # On a full disk the writer's thread ends with a traceback, and its next call here raises the same error.
            self._hook, threading.excepthook = threading.excepthook, self._thread_failed
            for row, pace in zip(self.rows, self.paces, strict=True):  # of an earlier run, whose log may be replaced
                self._log(row, pace)
            if self.rows:
                self._write_tables()
        return self

    def __exit__(self, *error: object) -> None:
        if self.writer:
            try:
                with naming(self.folder):
                    self.writer.close()
            finally:
                threading.excepthook = self._hook

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        if not issubclass(failure.exc_type, OSError):
            self._hook(failure)

    def epoch(self, row: tuple[float, ...], *, images: int, pace: Pace, best: bool) -> None:
        """Record one epoch: a row of ``CURVE_COLUMNS``, training images and their pace, whether it is the best."""
        self.rows.append(row)
        self.paces.append((row[0], pace.seconds, pace.data_seconds, images, int(self.resumed)))
        self.resumed = False
        if not self.writer:
            return
        epoch, train_loss, valid_loss, train_dice, valid_dice, rate = row
        self._log(row, self.paces[-1])
        self._write_tables()
        print(
            f"epoch {int(epoch):3d}/{self.epochs}  loss {train_loss:.4f}  valid {valid_loss:.4f}  "
            f"dice {train_dice:.4f}  valid {valid_dice:.4f}  lr {rate:.2g}  {images / pace.seconds:.1f} images/s"
            f"{'  best' if best else ''}",
            flush=True,
        )

    def _log(self, row: tuple[float, ...], pace: tuple[float, ...]) -> None:
        _, seconds, _, images, _ = pace
        values = dict(zip(CURVE_COLUMNS[1:], row[1:], strict=True))
        with naming(self.folder):
            for name, value in values.items():
                self.writer.add_scalar(name.replace("_", "/"), value, int(row[0]))
            self.writer.add_scalar("images_per_second", images / seconds, int(row[0]))

    def result(self, metadata: dict[str, Any]) -> None:
        """Show the finished training, whose checkpoint has this ``metadata``, as a row of TensorBoard's HParams tab."""
        if not self.writer:
            return
        settings = hparams.hparams(metadata)
        with naming(self.folder):
            for summary in hparams.summaries(settings):
                self.writer.file_writer.add_summary(summary)
            for name, value in hparams.best(metadata).items():
                self.writer.add_scalar(name, value, hparams.best_epoch(metadata))
        write_json(self.folder / hparams.FILE, settings)

    def pictures(self, epoch: int, split: Split, predictions: Tensor) -> None:
        """Show input, mask and prediction of the first samples side by side in TensorBoard."""
        for row, prediction in enumerate(predictions[:PICTURES].cpu().numpy().astype(np.uint8)):
            panels = [split.images[row], *(_as_rgb(mask) for mask in (split.masks[row], prediction))]
            with naming(self.folder):
                self.writer.add_image(f"valid/{row}", np.concatenate(panels, axis=1), epoch, dataformats="HWC")

    def _write_tables(self) -> None:
        curves = ([int(row[0]), *(f"{value:.6g}" for value in row[1:])] for row in self.rows)
        write_csv(self.curves, CURVE_COLUMNS, curves)
        paces = ([int(epoch), f"{all_:.3f}", f"{data:.3f}", *rest] for epoch, all_, data, *rest in self.paces)
        write_csv(self.folder / "epochs.csv", EPOCH_COLUMNS, paces)

    def write_timing(self, device: torch.device, precision: str, processes: int) -> None:
        """Write ``timing.json`` beside the TensorBoard logs."""
        seconds, data_seconds, images = (sum(pace[column] for pace in self.paces) for column in (1, 2, 3))
        timing = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processes": processes,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "precision": precision,
            "epochs": len(self.rows),
            "seconds": round(self._seconds(), 3),
            "training_seconds": round(seconds, 3),
            "data_seconds": round(data_seconds, 3),
            "training_images_per_second": round(images / max(seconds, 1e-9), 2),
            "peak_memory_bytes": peak_memory(),
        }
        if device.type == "cuda":
            timing["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(device)
        write_json(self.folder / "timing.json", timing)


def peak_memory() -> int:
    """The most bytes that this process has held resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _writer(folder: Path):
    # tensorboard takes a second to import; only training pays for it
    from torch.utils.tensorboard import SummaryWriter

    remove(folder)
    return SummaryWriter(str(folder))


def _as_rgb(mask: np.ndarray) -> np.ndarray:
    """0, 1, 255 as black, white and grey; without ``segkit.figures``, so that no training depends on it."""
    shades = np.zeros(256, np.uint8)
    shades[[FOREGROUND, IGNORED]] = 255, 128
    return np.repeat(shades[mask][..., None], 3, axis=2)
