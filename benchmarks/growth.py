"""Time per epoch and resident memory while the data set grows to 16 times its size, beyond the memory limit.

    python -m benchmarks.growth [--samples 5000] [--size 128] [--limit-gb 2] [--plot FILE.png] [--json FILE]

Each data set is packed noise. A U-Net of width 2 is trained on it for one epoch in its own process, with augmentation
and normalisation as in ``params.yaml``. The process may not hold more than ``--limit-gb`` of data (RLIMIT_DATA), which
the largest data set exceeds. Sizes increase, then decrease (1, 2, 4, 8, 16, 16, 8, …), so that a drift of the machine's
speed favours none. The plot needs matplotlib.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.common import make_engine, median, params_at, report, seconds
from segkit.augment.plan import make_plan
from segkit.base.command import run_command
from segkit.base.packed import Rows, Split
from segkit.models.normalize import Normalizer
from segkit.training.batches import TrainingBatches
from segkit.training.logbook import peak_memory

FACTORS = (1, 2, 4, 8, 16)
BLOCK = 1000


def write_noise(folder: Path, samples: int, size: int) -> None:
    """Pack ``samples`` images of noise and masks, with plain writes."""
    noise = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    for name, shape, values in (("images", (size, size, 3), 256), ("masks", (size, size), 2)):
        with open(folder / "train" / f"{name}.npy", "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (samples, *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, samples, BLOCK):
                file.write(noise.integers(0, values, (min(BLOCK, samples - start), *shape), np.uint8).tobytes())


def epoch(folder: Path, factor: int, samples: int, size: int, limit: int) -> tuple[float, int]:
    """Seconds of one epoch over the first ``factor * samples`` images, and the peak of resident memory in bytes."""
    params = params_at(size)
    params = params.model_copy(update={"unet": params.unet.model_copy(update={"width": 2})})
    engine = make_engine("unet", params)
    split = Split(*(Rows(folder / "train" / f"{name}.npy") for name in ("images", "masks")))
    plan = make_plan(factor * samples, params.augment.model_copy(update={"n_aug": 0, "type": "combine"}))
    plan.transforms[::2] = 1  # half of the samples are transformed, as with n_aug: 1
    batches = TrainingBatches(
        split,
        plan,
        params.augment.combine,
        Normalizer("image"),
        seed=0,
        batch_size=params.unet.train.batch_size,
        device=engine.device,
    )
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return seconds(lambda: engine.train(batches.epoch(0), epoch=0, steps=len(batches), label="epoch")), peak_memory()


def plot(rows: list[dict], path: Path) -> None:
    """Seconds per epoch and memory over the number of samples."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    samples = [row["samples"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    left.plot(samples, [row["seconds"] for row in rows], "o-", label="measured")
    proportional = [rows[0]["seconds"] * count / samples[0] for count in samples]
    left.plot(samples, proportional, "--", color="grey", label="in proportion")
    left.set(title="Time an epoch", xlabel="samples", ylabel="seconds", xlim=0, ylim=0)
    left.legend()
    right.plot(samples, [row["peak_memory_bytes"] / 1e9 for row in rows], "o-", label="resident memory, peak")
    right.plot(samples, [row["data_bytes"] / 1e9 for row in rows], "--", color="grey", label="size of the data")
    right.set(title="Memory", xlabel="samples", ylabel="GB", xlim=0, ylim=0)
    right.legend()
    figure.savefig(path, dpi=110)


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5000, help="of the smallest data set")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--limit-gb", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="where the noise is written; default: a temporary folder")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    def work() -> None:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            write_noise(folder, options.samples * FACTORS[-1], options.size)
            found: dict[int, list[tuple[float, int]]] = {factor: [] for factor in FACTORS}
            for factor in (*FACTORS, *reversed(FACTORS)):
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                    limit = int(options.limit_gb * 1e9)
                    arguments = (folder, factor, options.samples, options.size, limit)
                    found[factor].append(pool.submit(epoch, *arguments).result())
                print(f"{factor:3d} x: {found[factor][-1][0]:.1f} s", file=sys.stderr, flush=True)
        rows = [
            {
                "samples": factor * options.samples,
                "data_bytes": factor * options.samples * options.size**2 * 4,
                "seconds": median([time for time, _ in runs]),
                "peak_memory_bytes": max(memory for _, memory in runs),
            }
            for factor, runs in found.items()
        ]
        per_sample = [row["seconds"] / row["samples"] for row in rows]
        memory = [row["peak_memory_bytes"] for row in rows]
        result = {
            "rows": rows,
            "seconds_a_sample_largest_over_smallest": round(per_sample[-1] / per_sample[0], 4),
            "memory_growth_bytes": max(memory) - min(memory),
            "data_limit_bytes": int(options.limit_gb * 1e9),
        }
        if options.plot:
            plot(rows, options.plot)
        report(result, options.json)

    return run_command("growth", work)


if __name__ == "__main__":
    sys.exit(main())
