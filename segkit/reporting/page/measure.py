"""What one prediction costs: parameters and FLOPs from the network, seconds and memory from a short measurement."""

import multiprocessing
import platform
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from segkit.models.checkpoint import Checkpoint, load_checkpoint
from segkit.models.predictor import Predictor

WARM_UP, MOST, SECONDS = 1, 20, 1.0  # predictions before the measurement, and in it; about how long it takes


@dataclass(frozen=True)
class Cost:
    """``flops`` of a forward pass on one picture; ``seconds`` a picture (median) and peak ``memory`` of a process in
    bytes on ``device``, or None where they were not measured."""

    parameters: int
    flops: int
    seconds: float | None = None
    memory: int | None = None
    device: str = ""


def cost(path: Path, checkpoint: Checkpoint, device: torch.device, timing: bool) -> Cost:
    """Cost of the network in ``path``; with ``timing`` measured in a process of its own, so that memory is its own."""
    parameters = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    flops = _flops(checkpoint)
    if not timing:
        return Cost(parameters, flops)
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            seconds, memory = pool.submit(_measure, path, str(device)).result()
    except BrokenProcessPool:  # out of memory: the rest of the page is worth having
        return Cost(parameters, flops)
    return Cost(parameters, flops, seconds, memory, device_words(device))


def device_words(device: torch.device) -> str:
    """The kind of device, and not which one of whose machine."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()} {device.type}, {threads} thread{'s' * (threads != 1)}"


@torch.inference_mode()
def _flops(checkpoint: Checkpoint) -> int:
    height, width = checkpoint.metadata["input_size"]
    device = next(checkpoint.model.parameters()).device
    with FlopCounterMode(display=False) as counter:
        checkpoint.model(torch.zeros(1, 3, height, width, device=device))
    return counter.get_total_flops()


def _measure(path: Path, device: str) -> tuple[float, int]:
    """Median seconds of a picture, and peak memory in bytes: of the GPU, or of this process."""
    predictor = Predictor(load_checkpoint(path), torch.device(device))
    height, width = predictor.metadata["input_size"]
    picture = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    seconds: list[float] = []
    while len(seconds) < WARM_UP + 3 or (len(seconds) < MOST and sum(seconds) < SECONDS):
        start = time.perf_counter()
        predictor.probabilities(picture).cpu()
        seconds.append(time.perf_counter() - start)
    if predictor.device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(predictor.device)
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return statistics.median(seconds[WARM_UP:]), memory
