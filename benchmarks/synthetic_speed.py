"""How many synthetic images one core draws and writes per second.

    python -m benchmarks.synthetic_speed [--samples 400] [--repeats 3]

Prints JSON. ``images_per_second_per_core`` is the best of the repeats in one process, with writing the files. It is
based on processor time, so that other work on the machine disturbs it little. ``images_per_second`` is the same,
based on wall time.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL

from segkit.base.command import run_command
from segkit.base.params import Synthetic
from segkit.sources import synthetic


def rates(options: Synthetic, repeats: int) -> list[tuple[float, float]]:
    """Images per second of (processor time, wall time) in one process for each repeat, after a warm-up."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        warm_up = options.model_copy(update={"samples": 20})
        synthetic.write(Path(folder) / "warm-up", warm_up, seed=1, workers=1)
        for repeat in range(repeats):
            busy, wall = time.process_time(), time.perf_counter()
            synthetic.write(Path(folder) / str(repeat), options, seed=0, workers=1)
            busy, wall = time.process_time() - busy, time.perf_counter() - wall
            found.append((options.samples / busy, options.samples / wall))
    return found


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400, help="images in each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--min-side", type=int, default=96, help="shortest longer side, pixels")
    parser.add_argument("--max-side", type=int, default=176, help="longest longer side, pixels")
    arguments = parser.parse_args()

    def work() -> None:
        options = Synthetic(
            samples=arguments.samples, test_share=0.25, min_side=arguments.min_side, max_side=arguments.max_side
        )
        found = rates(options, arguments.repeats)
        result = {
            "images_per_second_per_core": round(max(busy for busy, _ in found), 1),
            "images_per_second": round(max(wall for _, wall in found), 1),
            "repeats": len(found),
            "samples": arguments.samples,
            "sides": [arguments.min_side, arguments.max_side],
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "Pillow": PIL.__version__,
            },
            "machine": platform.machine(),
        }
        print(json.dumps(result, indent=2))

    return run_command("synthetic_speed", work)


if __name__ == "__main__":
    sys.exit(main())
