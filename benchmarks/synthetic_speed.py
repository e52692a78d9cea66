"""How many synthetic pictures one core draws and writes in a second.

    python -m benchmarks.synthetic_speed [--samples 400] [--repeats 3]

Prints JSON: ``images_per_second_per_core`` is the best of the repeats in one process, files included.
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

from segkit.command import run_command
from segkit.data import synthetic
from segkit.params import Synthetic


def rates(options: Synthetic, repeats: int) -> list[float]:
    """Pictures a second of wall time in one process, once for each repeat, after a warm-up."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        warm_up = Synthetic(20, options.test_share, options.min_side, options.max_side)
        synthetic.write(Path(folder) / "warm-up", warm_up, seed=1, workers=1)
        for repeat in range(repeats):
            start = time.perf_counter()
            synthetic.write(Path(folder) / str(repeat), options, seed=0, workers=1)
            found.append(options.samples / (time.perf_counter() - start))
    return found


def main() -> int:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400, help="pictures in each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--min-side", type=int, default=96, help="shortest longer side, pixels")
    parser.add_argument("--max-side", type=int, default=176, help="longest longer side, pixels")
    arguments = parser.parse_args()

    def work() -> None:
        options = Synthetic(arguments.samples, 0.25, arguments.min_side, arguments.max_side)
        found = rates(options, arguments.repeats)
        result = {
            "images_per_second_per_core": round(max(found), 1),
            "repeats": [round(rate, 1) for rate in found],
            "samples": arguments.samples,
            "sides": [arguments.min_side, arguments.max_side],
            "versions": {"python": platform.python_version(), "numpy": np.__version__, "Pillow": PIL.__version__},
            "machine": platform.machine(),
        }
        print(json.dumps(result, indent=2))

    return run_command("synthetic_speed", work)


if __name__ == "__main__":
    sys.exit(main())
