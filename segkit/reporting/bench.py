"""Speed of the training loop, of loading alone and of computing alone."""

import multiprocessing
import platform
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from segkit.augment.plan import make_plan
from segkit.base.errors import InputError
from segkit.base.packed import Rows, Split
from segkit.base.params import Params
from segkit.base.workspace import cores
from segkit.dataset.findings import IMAGENET
from segkit.models.device import choose_device
from segkit.models.normalize import Normalizer
from segkit.training.batches import Batch, TrainingBatches
from segkit.training.logbook import peak_memory
from segkit.training.loop import Engine
from segkit.training.run import build_engine, refuse_lonely_values

ROUNDS = 9
WARM_UP_STEPS = 2
OPERATORS = 15
PRODUCT_SIDE = 4096  # of the matrix product on a CPU


@dataclass(frozen=True)
class Workload:
    """What to measure: ``size`` ``(height, width)``, images per step, and about how many seconds each of ``ROUNDS``
    measurements of computing and of the real loop takes."""

    size: tuple[int, int]
    batch_size: int
    seconds: float
    profile: bool = False


def bench(name: str, params: Params, work: Workload) -> dict[str, Any]:
    """``measure`` in a process of its own, so that peak memory is its own too; raises InputError if it is killed."""
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(measure, name, params, work).result()
    except BrokenProcessPool:
        raise InputError(f"{name}: the process was killed, probably out of memory; lower --batch or --size") from None


def measure(name: str, params: Params, work: Workload) -> dict[str, Any]:
    """Rates of one network on the device that ``params`` choose, with their augmentation, normalisation, precision.

    ``data_images_per_second``: batches made and sent to the device, nothing computed; ``compute_images_per_second``:
    training steps on one batch that is in place; ``train_images_per_second``: the real loop. The measurements
    alternate with one another and with a large matrix product, and the medians of the rounds are returned: other work
    on the machine then affects all alike. ``train_share_of_compute`` and ``share_of_peak`` are medians of the
    rounds' ratios.
    """
    device = choose_device(params.runtime.device)
    if getattr(getattr(params, name), "pretrained", False):  # nothing is downloaded for a measurement
        section = getattr(params, name).model_copy(update={"pretrained": False})
        params = params.model_copy(update={name: section})
    engine = build_engine(name, params, device)
    refuse_lonely_values(engine.model, work.size, work.batch_size)
    batch = _batch(work, device)
    with FlopCounterMode(display=False) as counter:  # of one step, forward and backward
        _compute(engine, batch, 1)
    flops = round(counter.get_total_flops() / work.batch_size)
    step_seconds = _seconds(lambda: _compute(engine, batch, WARM_UP_STEPS)) / WARM_UP_STEPS
    steps = int(np.clip(work.seconds / step_seconds, 1, 500))
    side = PRODUCT_SIDE if device.type == "cpu" else 2 * PRODUCT_SIDE
    factor = torch.randn(side, side, device=device).to(torch.bfloat16 if engine.precision == "bf16" else torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        batches = _batches(Path(folder), params, work, device, steps)
        epochs, images = count(), len(batches.plan)
        one_epoch = {"epoch": 0, "steps": len(batches), "label": "train"}
        stretches = {
            "peak": lambda: 2 * side**3 / _seconds(lambda: _wait(device, factor @ factor)),
            "data": lambda: images / _seconds(lambda: _wait(device, deque(batches.epoch(next(epochs)), maxlen=0))),
            "compute": lambda: work.batch_size * steps / _seconds(lambda: _compute(engine, batch, steps)),
            "train": lambda: images / _seconds(lambda: engine.train(batches.epoch(next(epochs)), **one_epoch)),
        }
        # every other round in reverse order, so that a drift of the machine's speed favours none
        orders = (list(stretches)[:: 1 if number % 2 else -1] for number in range(ROUNDS))
        rounds = [{stretch: stretches[stretch]() for stretch in order} for order in orders]
    if work.profile:
        print(f"{name}, time by operator\n{profile(engine, batch)}", flush=True)

    def median(value: Callable[[dict[str, float]], float], digits: int | None = None) -> float:
        return round(statistics.median(map(value, rounds)), digits)

    result = {
        "model": name,
        "size": list(work.size),
        "batch_size": work.batch_size,
        "precision": engine.precision,
        "data_images_per_second": median(lambda r: r["data"], 2),
        "compute_images_per_second": median(lambda r: r["compute"], 3),
        "train_images_per_second": median(lambda r: r["train"], 3),
        "train_share_of_compute": median(lambda r: r["train"] / r["compute"], 4),
        "flops_per_image": flops,
        "flops_per_second": median(lambda r: r["compute"] * flops),
        "peak_flops_per_second": median(lambda r: r["peak"]),
        "share_of_peak": median(lambda r: r["compute"] * flops / r["peak"], 4),
        "peak_memory_bytes": peak_memory(),
        "steps_per_stretch": steps,
        "rounds": rounds,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "cores": cores(),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    if device.type == "cuda":
        result["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return result


def describe(result: dict[str, Any]) -> str:
    """One network's result as text."""
    height, width = result["size"]
    memory = f"{result['peak_memory_bytes'] / 1e9:.2f} GB"
    if "peak_device_memory_bytes" in result:
        memory += f", {result['peak_device_memory_bytes'] / 1e9:.2f} GB on the device"
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n".join([
        f"{result['model']}, {height}x{width} px, batch {result['batch_size']}, {result['precision']}, "
        f"{result['device']}, {result['threads']} threads",
        f"  data alone      {result['data_images_per_second']:10.1f} images/s",
        f"  compute alone   {result['compute_images_per_second']:10.2f} images/s",
        f"  training loop   {result['train_images_per_second']:10.2f} images/s, "
        f"{100 * result['train_share_of_compute']:.1f} % of compute alone",
        f"  arithmetic      {result['flops_per_second'] / 1e9:10.1f} GFLOP/s ({result['flops_per_image'] / 1e9:.2f} "
        f"GFLOP per image), {100 * result['share_of_peak']:.1f} % of a matrix product "
        f"({result['peak_flops_per_second'] / 1e9:.1f})",
        f"  peak memory     {memory}",
        f"  versions        {versions}",
    ])  # fmt: skip


def profile(engine: Engine, batch: Batch) -> str:
    """Where the time of two steps goes, operator by operator."""
    from torch.profiler import profile as record

    with record() as recorded:
        _compute(engine, batch, 2)
    own_time = f"self_{'device' if engine.device.type == 'cuda' else 'cpu'}_time_total"
    events = sorted(recorded.key_averages(), key=lambda event: -getattr(event, own_time))
    total = sum(getattr(event, own_time) for event in events)
    shares = [(getattr(event, own_time) / total, event.count // 2, event.key) for event in events[:OPERATORS]]
    return "\n".join(f"  {100 * share:5.1f} %  {count:5d} per step  {name}" for share, count, name in shares)


def _batch(work: Workload, device: torch.device) -> Batch:
    images = torch.randn(work.batch_size, 3, *work.size).contiguous(memory_format=torch.channels_last)
    masks = torch.randint(0, 2, (work.batch_size, *work.size), dtype=torch.uint8)
    return Batch(images.to(device), masks.to(device))


def _batches(folder: Path, params: Params, work: Workload, device: torch.device, steps: int) -> TrainingBatches:
    """Noise, packed as preprocess packs images: their content does not affect the speed."""
    samples = max(1, -(-work.batch_size * steps // (1 + params.augment.n_aug)))
    (folder / "train").mkdir()
    for name, shape, values in (("images", (*work.size, 3), 256), ("masks", work.size, 2)):
        path, row = folder / "train" / f"{name}.npy", np.random.default_rng(0).integers(0, values, shape, np.uint8)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(samples, *shape))
        array[:] = row
        array.flush()
    summary = {"normalize": {"image": None, "dataset": IMAGENET, "imagenet": IMAGENET}}
    return TrainingBatches(
        Split(*(Rows(folder / "train" / f"{name}.npy") for name in ("images", "masks"))),
        make_plan(samples, params.augment),
        params.augment.combine,
        Normalizer.from_summary(params.preprocess.normalize, summary),
        seed=params.seed,
        batch_size=work.batch_size,
        device=device,
    )


def _compute(engine: Engine, batch: Batch, steps: int) -> None:
    engine.train(repeat(batch, steps), epoch=0, steps=steps, label="compute")


def _wait(device: torch.device, result: object = None) -> None:
    """Until everything that was started on ``device``, ``result`` perhaps, is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
