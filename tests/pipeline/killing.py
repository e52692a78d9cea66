"""Kill stages with SIGKILL at random moments, run the same command again, and compare with an undisturbed run.

``python -m tests.pipeline.killing`` does it at length and prints what it did; test_killing.py does a little of it.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.pipeline.forking import start_stage
from tests.pipeline.workspace import Workspace, environment, plain_copy

SECONDS = 120  # after which a run is taken to hang
POLL = 0.0005
RESUMED = re.compile("; resuming in epoch ")
EDITS = {
    "unet.width": 8,
    "train.epochs": 3,
    "train.batch_size": 4,
    "train.precision": "auto",
    "runtime.save_every_seconds": 0.1,
}


@dataclass(frozen=True)
class Job:
    """A stage, what it writes, and the moments to kill it at."""

    stage: str
    arguments: tuple[str, ...]
    outs: tuple[str, ...]
    moments: tuple[str, ...]
    model: str | None = None

    @property
    def name(self) -> str:
        """As people call it."""
        return " ".join([self.stage, *self.arguments])


def training(model: str) -> Job:
    """The training of one network."""
    outs = (f"models/{model}.safetensors", f"metrics/curves/{model}.csv", f"metrics/training/{model}.json")
    moments = ("during a step", "between epochs", "during a save", "during the final write")
    return Job(f"train_{model}", (), outs, moments, model)


def evaluation(model: str) -> Job:
    """The evaluation of one network."""
    files = (f"metrics/{model}.json", f"metrics/scores/{model}.json", f"metrics/per_image/{model}.csv")
    outs = (*files, f"metrics/pictures/{model}", f"metrics/analysis/{model}")
    return Job("evaluate", (model,), outs, ("at a random moment", "during the final write"), model)


MODELS = ("unet", "resnet34_unet")
TRAININGS = tuple(training(model) for model in MODELS)
JOBS = (
    Job("download", (), ("data/raw/download",), ("at a random moment", "during the final write")),
    Job("preprocess", (), ("data/processed",), ("at a random moment", "during the final write")),
    Job("augment", (), ("data/augmented",), ("at a random moment", "during the final write")),
    *TRAININGS,
    *(evaluation(model) for model in MODELS),
)


def jobs(model: str | None) -> list[Job]:
    """All stages, or those of one network."""
    return [job for job in JOBS if job.model in (None, model or job.model)]


@dataclass
class Report:
    """What was done to one stage."""

    job: Job
    kills: Counter = field(default_factory=Counter)
    runs: int = 0
    resumed: int = 0
    different: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For a table."""
        kinds = ", ".join(f"{times} {moment}" for moment, times in sorted(self.kills.items()))
        same = f"DIFFERENT: {', '.join(self.different)}" if self.different else "identical"
        return (
            f"{self.job.name:22} {self.kills.total():3} kills ({kinds}), {self.resumed} runs resumed inside the "
            f"training, {self.runs} completed, all {same}"
        )


class Run:
    """One run of a stage, watched."""

    def __init__(self, workspace: Workspace, job: Job) -> None:
        self.start, self.lines = time.monotonic(), []
        self.process = start_stage(
            workspace, job.stage, *job.arguments,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    def output(self) -> str:
        """All that it has printed."""
        return "".join(line for _, line in self.lines)

    def until(self, moment: Callable[["Run"], bool]) -> bool:
        """Kill it with all its processes at ``moment``; whether it came, before the run had ended."""
        killed = False
        while self.process.poll() is None:
            hangs = time.monotonic() - self.start > SECONDS
            if hangs or moment(self):
                os.killpg(self.process.pid, signal.SIGKILL)
                assert not hangs, f"{self.process.args} takes too long\n{self.output()}"
                killed = True
                break
            time.sleep(POLL)
        self.process.wait()
        self._reader.join()
        if not killed and self.process.returncode:
            raise AssertionError(f"{self.process.args} exited with {self.process.returncode}\n{self.output()}")
        return killed and self.process.returncode == -signal.SIGKILL


def make_moment(kind: str, job: Job, root: Path, length: float, chance: random.Random) -> Callable[[Run], bool]:
    """When to kill. ``length``: seconds that a whole run takes."""
    if kind == "at a random moment":
        delay = chance.uniform(0, length)
        return lambda run: time.monotonic() - run.start > delay
    if kind == "during a step":
        delay = chance.uniform(0, length / 2)
        return lambda run: bool(run.lines) and time.monotonic() - run.lines[0][0] > delay
    if kind == "between epochs":
        epochs = chance.randint(1, 3)
        return lambda run: len(re.findall(r"^epoch ", run.output(), re.MULTILINE)) >= epochs
    if kind == "during a save":
        saves = chance.randint(1, 8)
        seen: set[tuple[int, int]] = set()

        def saving(run: Run) -> bool:
            for path in (root / ".segkit/training").glob(".*.partial"):
                try:
                    seen.add((path.stat().st_ino, path.stat().st_ctime_ns))
                except FileNotFoundError:
                    continue
                if len({inode for inode, _ in seen}) >= min(saves, 2) and len(seen) >= saves:
                    return True
            return False

        return saving
    out = root / chance.choice(job.outs)
    partial = out.with_name(f".{out.name}.partial")
    late = chance.random() < 0.5
    return lambda run: out.exists() if late and out.suffix == ".json" else partial.exists()


def digests(root: Path, outs: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of every file among ``outs``."""
    found = [path for out in outs for path in (root / out, *sorted((root / out).rglob("*"))) if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def run_undisturbed(workspace: Workspace, job: Job) -> tuple[dict[str, str], float]:
    """What the stage makes, and the seconds it takes."""
    remove_outs(workspace.root, job.outs)
    run = Run(workspace, job)
    run.until(lambda run: False)
    return digests(workspace.root, job.outs), time.monotonic() - run.start


def remove_outs(root: Path, outs: tuple[str, ...]) -> None:
    """As DVC does before it runs a stage."""
    for out in outs:
        shutil.rmtree(root / out) if (root / out).is_dir() else (root / out).unlink(missing_ok=True)


def disturb(workspace: Workspace, job: Job, kills: int, chance: random.Random) -> Report:
    """Kill the stage ``kills`` times in all, some times in a row, let it end, and compare each time it ends."""
    expected, length = run_undisturbed(workspace, job)
    report = Report(job)
    while report.kills.total() < kills:
        for _ in range(chance.randint(1, min(kills, 4))):
            remove_outs(workspace.root, job.outs)
            kind = job.moments[report.kills.total() % len(job.moments)]
            run = Run(workspace, job)
            killed = run.until(make_moment(kind, job, workspace.root, length, chance))
            report.resumed += bool(RESUMED.search(run.output()))
            report.kills[kind] += killed
            if not killed:
                break
        else:
            remove_outs(workspace.root, job.outs)
            run = Run(workspace, job)
            run.until(lambda run: False)
            report.resumed += bool(RESUMED.search(run.output()))
        report.runs += 1
        found = digests(workspace.root, job.outs)
        report.different += [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
        report.different += leftovers(workspace.root)
    return report


def leftovers(root: Path) -> list[str]:
    """Files that a finished stage must not leave: partial ones and states of finished trainings."""
    places = (*root.rglob("*.partial*"), *(root / ".segkit").rglob("*"))
    return sorted(
        path.relative_to(root).as_posix() for path in places if path.is_file() and path.parent.name != "locks"
    )


def main() -> int:
    """Print a line a stage; the exit status is 1 where anything differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40, help="of each training; default: 40")
    parser.add_argument("--others", type=int, default=10, help="of each other stage; default: 10")
    parser.add_argument("--seed", type=int, default=0, help="of the moments; default: 0")
    parser.add_argument("--model", choices=MODELS, help="one network; without it both")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = plain_copy(Path(folder) / "tree", environment(Path(folder)))
        workspace.edit(EDITS)
        reports = []
        for job in jobs(options.model):
            kills = options.kills if job in TRAININGS else options.others
            reports.append(disturb(workspace, job, kills, random.Random(f"{options.seed} {job.name}")))
            print(reports[-1].line(), flush=True)
    total = sum(report.kills.total() for report in reports)
    trained = sum(report.kills.total() for report in reports if report.job in TRAININGS)
    different = sum(bool(report.different) for report in reports)
    print(f"{total} kills, {trained} of them of trainings; {different} stages differ from an undisturbed run")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
