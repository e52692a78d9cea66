"""One target under atheris: ``python -m tests.fuzz.child TARGET SCRATCH [libFuzzer's options] CORPUS``.

A process of its own, since libFuzzer ends the one that it runs in.
"""

import sys
import time
from pathlib import Path

import atheris

from tests.fuzz.target import TARGETS, hold, load


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name, scratch = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=list(TARGETS[name])):
        target = load(name)
        for seed in target.seeds():  # Pillow imports its formats when they are first used
            hold(target, seed, scratch)
    slowest = 0.0

    def one(content: bytes) -> None:
        nonlocal slowest
        started = time.perf_counter()
        hold(target, content, scratch)
        seconds = time.perf_counter() - started
        if seconds > 1.05 * slowest:
            slowest = seconds
            print(f"slowest: {seconds:.3f} s", file=sys.stderr, flush=True)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
