"""``segkit export``: a checkpoint as a program for other runtimes, with everything around the network inside.

The program takes ``images``, ``uint8 (N, H, W, 3)`` RGB of any size, and returns ``probabilities`` of foreground,
``float32 (N, H, W)``. Normalisation, padding and the meaning of the head are part of it.
"""

import io
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segkit.base.errors import InputError, brief
from segkit.base.files import atomic_write
from segkit.base.progress import bar
from segkit.inference.samples import Samples
from segkit.models import heads
from segkit.models.checkpoint import METADATA_KEY, load_checkpoint
from segkit.models.normalize import to_float
from segkit.models.predictor import Predictor

ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}
EXAMPLE = (2, 50, 70, 3)  # any size: all but the 3 are free
MOST = 1e-3  # difference of a probability
LOSS = 0.002  # of Dice that a quantised variant may have
BATCHES = (1, 8)  # to measure the speed of, in
ROUNDS, TURN, SECONDS = 5, 0.2, 20.0  # rounds, with so long a turn of each variant, until so many have passed
CPU = torch.device("cpu")

Run = Callable[[Tensor], Tensor]


class Program(nn.Module):
    """A predictor as one module."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model, self.normalizer = predictor.model, predictor.normalizer

    def forward(self, images: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` to ``float32 (N, H, W)``."""
        return heads.probabilities(self.model(self.normalizer(to_float(images, CPU))))


@dataclass
class Variant:
    """One way to run the network; ``content``: of its file; ``found``: its probabilities of the samples; ``dice``: None
    where there are no masks."""

    name: str
    size: int
    run: Run
    content: bytes = b""
    found: Tensor = field(default_factory=lambda: torch.empty(0))
    dice: float | None = None
    speeds: dict[int, list[float]] = field(default_factory=lambda: {batch: [] for batch in BATCHES})

    def look_at(self, samples: Samples) -> None:
        """Run the network on all samples."""
        with bar(samples.check.split(8), label=self.name, unit="batch") as batches:
            self.found = torch.cat([self.run(images) for images in batches])
        self.dice = samples.dice(self.found)


def export(path: Path, kind: str, target: Path | None, samples: Samples) -> None:
    """Export the checkpoint ``path`` as ``onnx`` or ``torch`` beside it or to ``target``, and print what came out.

    Raises InputError for a checkpoint that cannot be used, and, before anything is written, if the result differs from
    the original by more than ``MOST``.
    """
    if path.suffix.lower() in ENDINGS.values():
        raise InputError(f"{path} is an export itself; name the checkpoint, NAME.safetensors")
    if target and target.suffix.lower() != ENDINGS[kind]:
        raise InputError(f"--out {target}: the name of this format ends in {ENDINGS[kind]}")
    predictor = Predictor(load_checkpoint(path), CPU)
    target, example = target or path.with_suffix(ENDINGS[kind]), torch.zeros(EXAMPLE, dtype=torch.uint8)
    predictor.probabilities(example)  # the normaliser keeps its numbers as tensors, which must be made before tracing
    with _silence():
        program = torch.export.export(Program(predictor).eval(), (example,), dynamic_shapes={"images": _FREE})
        content = _as_onnx(program, predictor.metadata) if kind == "onnx" else _as_torch(program, predictor.metadata)
    original = Variant("checkpoint, torch", path.stat().st_size, predictor.probabilities)
    exported = Variant(target.name, len(content), _runner(kind, content), content)
    difference = largest_difference(original, exported, samples)
    if not difference <= MOST:  # nor if it is no number
        raise InputError(
            f"{path}: its export differs by {difference:.1e} from it, more than {MOST:g}; nothing was written"
        )
    variants = [original, exported]
    if kind == "onnx" and samples.masks is not None:
        variants.append(_quantised(content, target, samples))
    print(f"{target}: largest difference of a probability {difference:.1e}, on {samples.words}")
    _measure(variants, samples.check)
    print(_table(variants), flush=True)
    _write(target, exported)
    for variant in variants[2:]:
        _keep_if_as_good(variant, exported, target.with_name(variant.name))


def largest_difference(original: Variant, exported: Variant, samples: Samples) -> float:
    """Over all samples at their own size, and a few at one that is no multiple."""
    for variant in (original, exported):
        variant.look_at(samples)
    height, width = samples.check.shape[1:3]
    larger = samples.check[:3].repeat(1, 2, 2, 1)[:, : height + 7, : width + 13]
    differences = [original.run(each) - exported.run(each) for each in (larger, larger[:1])]
    differences.append(original.found - exported.found)
    return torch.stack([difference.abs().max() for difference in differences]).max().item()


def _keep_if_as_good(smaller: Variant, exported: Variant, path: Path) -> None:
    change = smaller.dice - exported.dice
    if -change <= LOSS:
        _write(path, smaller)
        fate = "kept"
    else:
        path.unlink(missing_ok=True)  # an earlier export's would pass for a variant of this one
        fate = f"not kept, {LOSS:g} may be lost"
    print(f"{path.name}: Dice changes by {change:+.4f}; {fate}")


_FREE = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)


def _as_onnx(program: torch.export.ExportedProgram, metadata: dict[str, Any]) -> bytes:
    names = {"input_names": ["images"], "output_names": ["probabilities"]}
    model = torch.onnx.export(program, dynamo=True, verbose=False, **names).model_proto
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            dimension.dim_param = name
    del model.graph.value_info[:]  # sizes in between, under the names that were replaced
    model.doc_string = "Foreground probabilities of RGB images. Made by segkit."
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(metadata, sort_keys=True)
    return model.SerializeToString()


def _as_torch(program: torch.export.ExportedProgram, metadata: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    return content.getvalue()


def _runner(kind: str, content: bytes) -> Run:
    """What the exported file computes, read back from its bytes."""
    if kind == "torch":
        return _torch_runner(content)
    from segkit.inference.onnx_network import INPUT, OUTPUT, session

    running = session(content)
    return lambda images: torch.from_numpy(running.run([OUTPUT], {INPUT: images.numpy()})[0])


def _torch_runner(content: bytes) -> Run:
    with _silence():
        program = torch.export.load(io.BytesIO(content)).module()

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        try:
            return program(images)
        except AssertionError as fault:  # where the coarsest level would have one pixel
            height, width = images.shape[1:3]
            raise InputError(
                f"torch's program cannot run at {height}x{width} px ({brief(fault)}); use --format onnx, or a network "
                "with a larger input size"
            ) from None

    return run


def _quantised(content: bytes, target: Path, samples: Samples) -> Variant:
    from segkit.inference.quantise import quantise

    with _silence():
        smaller = quantise(content, samples.calibration)
    variant = Variant(f"{target.stem}.int8.onnx", len(smaller), _runner("onnx", smaller), smaller)
    variant.look_at(samples)
    return variant


def _measure(variants: list[Variant], images: Tensor) -> None:
    """Images per second on this CPU, in turns."""
    end = time.perf_counter() + SECONDS
    for _ in bar(range(ROUNDS), label="speed", unit="round"):
        for variant in variants:
            for batch in BATCHES:
                variant.speeds[batch].append(_speed(variant.run, images[:batch]))
        if time.perf_counter() > end:
            break


def _speed(run: Run, images: Tensor) -> float:
    """Images per second, over one turn, which ends with whole calls."""
    run(images)
    start, calls, seconds = time.perf_counter(), 0, 0.0
    while seconds < TURN:
        run(images)
        calls, seconds = calls + 1, time.perf_counter() - start
    return calls * len(images) / seconds


def _table(variants: list[Variant]) -> str:
    scored = ["Dice"] * (variants[0].dice is not None)
    rows = [("", "MB", *(f"images/s, {batch} at once" for batch in BATCHES), *scored)]
    for variant in variants:
        speeds = (f"{statistics.median(speed):.1f}" for speed in variant.speeds.values())
        dice = [f"{variant.dice:.4f}"] if scored else []
        rows.append((variant.name, f"{variant.size / 1e6:.1f}", *speeds, *dice))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )


def _write(target: Path, variant: Variant) -> None:
    with atomic_write(target) as file:
        file.write(variant.content)


@contextmanager
def _silence() -> Iterator[None]:
    """Without the exporters' many lines, none of which a user can act on; what fails is raised."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
