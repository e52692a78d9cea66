"""``python -m tests.fuzz``: fuzz one target or all, one after another, and print a line of figures for each.

Needs atheris, which is no part of the locked environment: ``pip install -e '.[fuzz]'``.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.target import SLOWEST, TARGETS, Target, hold, load

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("target", "seconds", "executions", "a second", "edges", "peak MiB", "slowest s", "faults")
DONE = r"(?m)^Done \d+ runs in (\d+) second"


def main() -> int:
    """Returns 0, 1 where a target broke its contract, 2 where atheris is missing, 130 after Ctrl-C."""
    args = _arguments()
    if args.input:
        with tempfile.TemporaryDirectory() as scratch:
            accepted = hold(load(args.target), args.input.read_bytes(), Path(scratch))
        print(f"{args.target}: {'accepted' if accepted else 'refused'}, as it should be")
        return 0
    if not importlib.util.find_spec("atheris"):
        print("tests.fuzz: the package atheris is missing; run pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    print(_row(COLUMNS), flush=True)
    try:
        return max([_fuzz(name, args.minutes, args.seed) for name in ([args.target] if args.target else TARGETS)])
    except KeyboardInterrupt:
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="fuzz what reads bytes from outside")
    parser.add_argument("--target", choices=TARGETS, help="one target; without it all, one after another")
    parser.add_argument("--minutes", type=float, default=10, help="for each target (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations (default 1)")
    parser.add_argument("--input", type=Path, help="a saved input: hand it to --target once, without atheris")
    args = parser.parse_args()
    if args.input and not args.target:
        parser.error("--input needs --target")
    if args.input and not args.input.is_file():
        parser.error(f"--input {args.input}: no such file")
    if args.minutes <= 0 or args.seed < 1:
        parser.error("--minutes must be above 0 and --seed at least 1")
    return args


def _fuzz(name: str, minutes: float, seed: int) -> int:
    """Fuzz one target in a process of its own; print its figures, and where it failed, how."""
    target = load(name)
    with tempfile.TemporaryDirectory() as folder:
        log = _run_child(name, target, Path(folder), round(60 * minutes), seed)
        print(_row((name, *_figures(log))), flush=True)
        saved = [path for path in Path(folder, "faults").iterdir() if not path.name.startswith("slow-unit-")]
        if not saved and re.search(DONE, log):  # what ended before its time may not pass for a run without faults
            return 0
        kept = Path(tempfile.mkdtemp(prefix=f"segkit-fuzz-{name}-"))
        (kept / "log.txt").write_text(log, encoding="utf-8")
        for path in saved:
            path.rename(kept / path.name)
    shown = [line for line in log.splitlines() if re.match(r"\w*(\.\w+)*(Error|Exception|Fault)\b|==\d+==", line)]
    print(f"{name}: {' '.join(shown[:2])[:500] or 'ended before its time'}; see {kept}/log.txt", file=sys.stderr)
    for path in sorted(kept.glob("*-*")):
        print(f"{name}: saved as {path}; again: python -m tests.fuzz --target {name} --input {path}", file=sys.stderr)
    return 1


def _run_child(name: str, target: Target, folder: Path, seconds: int, seed: int) -> str:
    """Everything that the fuzzing process had to say."""
    for part in ("corpus", "faults", "scratch"):
        (folder / part).mkdir()
    for number, content in enumerate(target.seeds()):
        (folder / "corpus" / f"seed{number}").write_bytes(content)
    words = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in target.words)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words), encoding="ascii")
    options = {
        "max_total_time": seconds,
        "seed": seed,
        "rss_limit_mb": target.memory,
        "timeout": SLOWEST,
        "max_len": target.max_len,
        "dict": folder / "words",
        "artifact_prefix": f"{folder / 'faults'}/",
        "print_final_stats": 1,
        "detect_leaks": 0,
    }
    flags = [f"-{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-m", "tests.fuzz.child", name, folder / "scratch", *flags, folder / "corpus"]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 600, check=False
    )
    return done.stdout.decode(errors="replace")


def _figures(log: str) -> tuple[str, ...]:
    """The columns after the first; ? for what the log lacks, as when the process died."""

    def last(pattern: str, default: str = "?") -> str:
        return (re.findall(pattern, log) or [default])[-1]

    edges = re.findall(r" cov: (\d+)", log) or ["?"]
    return (
        last(DONE),
        last(r"stat::number_of_executed_units: +(\d+)"),
        last(r"stat::average_exec_per_sec: +(\d+)"),
        f"{edges[0]} to {edges[-1]}",
        last(r"stat::peak_rss_mb: +(\d+)"),
        last(r"slowest: ([\d.]+) s"),
        str(log.count("SUMMARY: libFuzzer")),
    )


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(f"{cell:>10}" for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
