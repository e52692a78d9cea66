"""Start training: in this process, in one process per device, or as a rank of ``torchrun``."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from segkit.base import interrupts
from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.interrupts import Interrupted
from segkit.base.params import Params, Runtime, recipe_key
from segkit.base.stage import refuse_edited
from segkit.base.workspace import cores
from segkit.models.device import choose_device
from segkit.training import run
from segkit.training.distributed import World
from segkit.training.run import Trained

SILENT_SECONDS = 20


def train(name: str, params: Params, keys: Sequence[str] = ()) -> str:
    """Train the network ``name`` on as many devices as ``runtime.devices`` says; returns one line about it.

    Under ``torchrun`` this process is one of the ranks that it started, and ``runtime.devices`` is ignored. Returns an
    empty line on ranks other than 0. Raises InputError for more devices than there are, or if one of the parameters
    ``keys`` was edited meanwhile; the result then stays in the saved state.
    """
    parents = _parents()
    trained = _train(name, params)
    if trained.saved:
        refuse_edited(params, keys)
        # If DVC was killed, nobody records this result: the next run takes it from the state.
        if _parents() == parents:
            trained.saved.remove()
    return trained.line


def _parents() -> tuple[int, int]:
    """The parent of this process and the parent's parent (0 without /proc): DVC starts a stage through a shell, and
    some shells stay and wait."""
    parent = os.getppid()
    try:
        return parent, int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return parent, 0


def _train(name: str, params: Params) -> Trained:
    if dist.is_torchelastic_launched():
        if ":" in params.runtime.device and os.environ.get("LOCAL_WORLD_SIZE", "1") != "1":
            raise InputError(
                f"runtime.device: {params.runtime.device} is one GPU, but there are several processes; set it to auto"
            )
        return _train_as_rank(name, params, _torchrun_group)
    device = choose_device(params.runtime.device)
    count = how_many(params.runtime, device, getattr(params, name).train.batch_size)
    batch_size = getattr(params, name).train.batch_size
    run.refuse_batch_size(batch_size, batch_size, World(0, count), recipe_key(params, name, "batch_size"))
    if count > 1:
        return _spawn(name, params, count)
    with interrupts.deferred() as stop:
        return run.train(name, params, device, stop=stop)


def how_many(runtime: Runtime, device: torch.device, batch_size: int) -> int:
    """Processes to start, with ``auto`` no more than there are samples in a batch; raises InputError if more GPUs are
    requested than there are."""
    many = device.type == "cuda" and device.index is None
    available = torch.cuda.device_count() if many else 1
    wanted = min(available, batch_size) if runtime.devices == "auto" else runtime.devices
    if device.type != "cpu" and wanted > available:
        raise InputError(f"runtime.devices: {wanted} requested, {available} available with {device}; set it to auto")
    return wanted


def _spawn(name: str, params: Params, count: int) -> Trained:
    """Start ``count`` ranks on this machine and wait for them. All ranks end if this process ends or one of
    them fails; the exit status is that of the first failure."""
    # it would log the processes that are terminated because another one failed
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
    results = processes.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, interrupts.deferred(patient=True) as stop:
        arguments = (os.getpid(), count, f"file://{Path(folder) / 'store'}", name, params, results)
        ranks = processes.spawn(_rank, arguments, nprocs=count, join=False)
        try:
            while not ranks.join(timeout=0.2):
                if stop.number:  # the signal may have reached this process alone
                    for process in ranks.processes:
                        process.terminate()
        except processes.ProcessExitedException as error:
            if error.signal_name is None:
                sys.exit(error.exit_code)
            if stop.number:
                raise Interrupted(stop.number) from None
            raise InputError(
                f"{name}: process {error.error_index} of {count} was ended by {error.signal_name}; if memory ran out, "
                "lower train.batch_size; then run it again"
            ) from None
    return results.get()


def _rank(rank: int, parent: int, count: int, store: str, name: str, params: Params, results: Any) -> None:
    if os.getppid() != parent:  # it was killed before torch asked to be told of that
        sys.exit(1)
    os.environ["LOCAL_RANK"] = str(rank)
    if params.runtime.device in ("auto", "cpu"):
        torch.set_num_threads(max(1, cores() // count))

    def work() -> None:
        group = {"init_method": store, "rank": rank, "world_size": count}
        trained = _train_as_rank(name, params, lambda: group)
        if rank == 0:
            results.put(trained)

    status = run_command(f"train_{name}", work)
    if status:
        sys.exit(status)


def _torchrun_group() -> dict[str, Any]:
    """The process group of ``torchrun``. It restarts a failed job with the store that still holds the addresses of
    the ended processes, so each attempt gets its own prefix."""
    store, rank, world_size = next(dist.rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return {"store": dist.PrefixStore(f"attempt {attempt}", store), "rank": rank, "world_size": world_size}


def _train_as_rank(name: str, params: Params, group: Callable[[], dict[str, Any]]) -> Trained:
    """Train in a process group. Bad input, signals and the loss of a rank concern all ranks alike, so one on each
    machine reports them; the others wait to be terminated with it, and report them too if they are not."""
    reports = os.environ.get("LOCAL_RANK", "0") == "0"
    # A terminal sends Ctrl-C to every process, and the one that waits for them also sends SIGTERM.
    with interrupts.deferred(patient=True) as stop:
        try:
            device = choose_device(params.runtime.device)
            with _process_group(device, **group()):
                return run.train(name, params, device, stop=stop)
        except Interrupted as interrupted:
            if reports:
                raise
            sys.exit(interrupted.status)
        except (InputError, OSError, RuntimeError):
            deadline = time.monotonic() + SILENT_SECONDS
            while not reports and time.monotonic() < deadline:
                if stop.number:
                    sys.exit(128 + stop.number)
                time.sleep(0.1)
            raise


@contextmanager
def _process_group(device: torch.device, **group: Any) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", **group)
    yield
    # Not after a failure: the other ranks would report a lost connection before this one reports the cause.
    dist.destroy_process_group()
