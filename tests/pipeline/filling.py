"""Run stages on a file system that is full, make room, run the same command again, and compare.

``python -m tests.pipeline.filling`` does it at length and prints what it saw; test_filling.py does a little of it. The
file system is one in memory, mounted where no other process sees it, which Linux lets any user do.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.pipeline.forking import start_stage
from tests.pipeline.killing import EDITS, MODELS, SECONDS, Job, digests, jobs, leftovers, remove_outs
from tests.pipeline.workspace import Workspace, environment, plain_copy

SIZES = {"unet": "192m"}  # of memory, which a full file system uses up
UNSHARE = ("unshare", "--mount", "--map-root-user")
PATIENCE = 15  # seconds
REASON = "No space left on device"
SETTINGS = EDITS | {"train.epochs": 2, "train.precision": "fp32"}


@dataclass
class Report:
    """What became of one stage."""

    job: Job
    need: int  # bytes that an undisturbed run takes at most
    refused: int = 0
    completed: int = 0
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """For a table."""
        verdict = "; ".join(self.faults) or "former outputs whole, then identical"
        return (
            f"{self.job.name:22} needs {self.need / 1e6:5.1f} MB: {self.refused:3} runs refused in one line, "
            f"{self.completed} found room; {verdict}"
        )


def free(folder: Path) -> int:
    """Bytes that can still be written."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


@contextmanager
def lowest(folder: Path) -> Iterator[list[int]]:
    """Watch the free space; the list's only item is the least that there was."""
    least, done = [free(folder)], threading.Event()

    def watch() -> None:
        while not done.wait(0.0005):
            least[0] = min(least[0], free(folder))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield least
    finally:
        done.set()
        thread.join()


@contextmanager
def filled(folder: Path, left: int) -> Iterator[None]:
    """A file that leaves ``left`` bytes free."""
    ballast = folder / "ballast"
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free(folder) - left, 1))
    try:
        yield
    finally:
        ballast.unlink()


def run(workspace: Workspace, job: Job) -> subprocess.CompletedProcess[str]:
    """One run of the stage."""
    process = start_stage(workspace, job.stage, *job.arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, *output)


def starve(workspace: Workspace, job: Job, runs: int, chance: random.Random) -> Report:
    """Run the stage with less room than it needs, ``runs`` times from none to nearly all, and with room after each."""
    root = workspace.root
    before = free(root)
    with lowest(root) as least:
        done = run(workspace, job)
    assert done.returncode == 0, done.stderr
    expected, report = digests(root, job.outs), Report(job, before - least[0])
    if runs > 1:
        with lowest(root) as least:  # beside the former outputs it takes more than at first
            before = free(root)
            run(workspace, job)
        report.need = max(report.need, before - least[0])
    for number in range(runs):
        left = int(report.need * (number + chance.random() * (number > 0)) / runs)
        with filled(root, left):
            starved = run(workspace, job)
            report.faults += [f"{left} bytes: {fault}" for fault in _faults(job, starved)]
            report.faults += [f"{left} bytes: {path} left" for path in root.rglob("*.partial*")]
            if digests(root, job.outs) != expected:
                report.faults.append(f"{left} bytes: outputs spoilt")
        report.refused += starved.returncode == 2
        report.completed += starved.returncode == 0
        again = run(workspace, job)
        if again.returncode or digests(root, job.outs) != expected or leftovers(root):
            report.faults.append(f"{left} bytes: afterwards exit {again.returncode}, {leftovers(root)}, {again.stderr}")
    return report


def starve_dvc(workspace: Workspace, finished: list[Job], runs: int, chance: random.Random) -> str:
    """Run the pipeline by ``make repro``'s command, ``runs`` times with less room than it needs, then with enough.

    Returns a line for the table, which says "different" where the outputs are not those of ``finished``.
    """
    root, outs = workspace.root, tuple(out for job in finished for out in job.outs)
    expected = digests(root, outs)
    need = 2 * sum((root / name).stat().st_size for name in expected)
    remove_outs(root, outs)
    targets = ["@".join((job.stage, *job.arguments)) for job in finished]
    command, ends, removed = (sys.executable, "tools/repro.py", *targets), [], 0
    for number in range(runs + 1):
        room = int(need * ((number + chance.random()) / runs) ** 2) if number < runs else free(root)
        with filled(root, room):
            done = _impatiently(workspace, command, SECONDS if number == runs else PATIENCE)
        ends.append(done.returncode)
        removed += done.stdout.count("Removed .dvc/tmp/")
    identical = ends[-1] == 0 and digests(root, outs) == expected and not leftovers(root)
    return (
        f"{'dvc repro':22} needs {need / 1e6:5.1f} MB: {sum(end != 0 for end in ends[:-1]):3} runs failed, {removed} "
        f"unreadable lock files removed; afterwards {'identical' if identical else f'different: {done.stderr}'}"
    )


def _impatiently(workspace: Workspace, command: tuple[str, ...], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run ``command``, and kill it after ``seconds``: on a full disk DVC's data base tries again for minutes."""
    process = subprocess.Popen(
        command, cwd=workspace.root, env=workspace.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        output = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, *output)


def _faults(job: Job, done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = done.stderr.splitlines()
    if done.returncode == 0:
        return [f"exit 0, but said {done.stderr!r}"] if lines else []
    if done.returncode == 2 and len(lines) == 1 and lines[0].startswith(job.stage) and REASON in lines[0]:
        return []
    return [f"exit {done.returncode}, said {done.stderr!r}"]


def main() -> int:
    """Print a line a stage; the exit status is 1 where anything was lost or unclear."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each stage with too little room; default: 20")
    parser.add_argument("--seed", type=int, default=0, help="of how little; default: 0")
    parser.add_argument("--model", choices=MODELS, help="one network; without it both")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(
                [*UNSHARE, sys.executable, "-m", "tests.pipeline.filling", *sys.argv[1:], "--inside", folder],
                check=False,
            ).returncode
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZES.get(options.model, '1536m')}", "none", options.inside], check=True
    )
    workspace = plain_copy(options.inside / "tree", environment(options.inside))
    workspace.edit(SETTINGS)
    reports = []
    for job in jobs(options.model):
        reports.append(starve(workspace, job, options.runs, random.Random(f"{options.seed} {job.name}")))
        print(reports[-1].line(), flush=True)
    finished = [report.job for report in reports]
    if options.runs == 1:
        del finished[3:]  # a little of it: without the stages that load torch
    line = starve_dvc(workspace, finished, 2 * options.runs, random.Random(f"{options.seed} dvc"))
    print(line)
    return 1 if any(report.faults for report in reports) or "different" in line else 0


if __name__ == "__main__":
    sys.exit(main())
