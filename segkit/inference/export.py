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

from segkit.base.errors import InputError, brief, counted
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
ROUNDS, BATCHES, SECONDS = 5, (1, 8), 0.2  # of a measurement of speed, which has at least one call
CPU = torch.device("cpu")

Run = Callable[[Tensor], Tensor]


class Program(nn.Module):
    """A predictor as one module."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model, self.normalizer = predictor.model, predictor.normalizer

    def forward(self, images: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` to ``float32 (N, H, W)``."""
        # ONNX Runtime sums in the type it is given, and float32 loses digits over the pixels of a large image.
        return heads.probabilities(self.model(self.normalizer(to_float(images, CPU).double()).float()))


@dataclass
class Variant:
    """One way to run the network, what it says of the samples, and how fast; ``content``: of its file."""

    name: str
    size: int
    run: Run
    found: Tensor
    content: bytes = b""
    speeds: dict[int, list[float]] = field(default_factory=lambda: {batch: [] for batch in BATCHES})


def export(path: Path, kind: str, target: Path | None, samples: Samples) -> None:
    """Export the checkpoint ``path`` as ``onnx`` or ``torch`` beside it or to ``target``, and print what came out.

    Raises InputError for a checkpoint that cannot be used, and, before anything is written, if the result differs from
    the original by more than ``MOST``.
    """
    if target and target.suffix.lower() != ENDINGS[kind]:
        raise InputError(f"--out {target}: the name of this format ends in {ENDINGS[kind]}")
    predictor = Predictor(load_checkpoint(path), CPU)
    target, example = target or path.with_suffix(ENDINGS[kind]), torch.zeros(EXAMPLE, dtype=torch.uint8)
    predictor.probabilities(example)  # the normaliser keeps its numbers as tensors, which must be made before tracing
    with _silence():
        program = torch.export.export(Program(predictor).eval(), (example,), dynamic_shapes={"images": _FREE})
        _forget_sources(program)
        content = _as_onnx(program, predictor.metadata) if kind == "onnx" else _as_torch(program, predictor.metadata)
    run = predictor.probabilities
    original = Variant("checkpoint, torch", path.stat().st_size, run, samples.probabilities(run))
    exported = _variant(target.name, content, _runner(kind, content), samples)
    difference = largest_difference(original, exported, samples.check)
    if not difference <= MOST:  # nor if it is no number
        raise InputError(
            f"{path}: its export differs by {difference:.1e} from it, more than {MOST:g}; nothing was written"
        )
    variants = [original, exported]
    if kind == "onnx" and len(samples.calibration):
        variants.append(_quantised(content, target, samples))
    print(f"{target}: largest difference of a probability {difference:.1e}, on {samples.words}")
    _measure(variants, samples.check)
    # Without masks, those of the checkpoint: how far the others agree with it.
    masks = heads.predict(original.found, samples.threshold).byte() if samples.masks is None else samples.masks
    dice = [samples.dice(variant.found, masks) for variant in variants]
    print(_table(variants, dice), flush=True)
    _write(target, exported)
    if kind == "onnx":
        _keep(target, variants[2:], dice, samples.masks is None)


def largest_difference(original: Variant, exported: Variant, images: Tensor) -> float:
    """On ``images`` ``uint8 (N, H, W, 3)`` at their own size, and on three and one at a size that is no multiple."""
    height, width = images.shape[1:3]
    larger = images[:3].repeat(1, 2, 2, 1)[:, : height + 7, : width + 13]
    again = (original.run(each) - exported.run(each) for each in (larger, larger[:1]))
    return torch.stack([each.abs().max() for each in (original.found - exported.found, *again)]).max().item()


_FREE = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)


def _forget_sources(program: torch.export.ExportedProgram) -> None:
    """Without the lines of code that each step comes from, which name folders of this machine."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)


def _as_onnx(program: torch.export.ExportedProgram, metadata: dict[str, Any]) -> bytes:
    names = {"input_names": ["images"], "output_names": ["probabilities"]}
    model = torch.onnx.export(program, dynamo=True, verbose=False, **names).model_proto
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            dimension.dim_param = name
    del model.graph.value_info[:]  # sizes in between, under the names that were replaced
    for part in (model.graph, *model.graph.node):
        del part.metadata_props[:]  # of torch's exporter
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

    running = session(content, torch.get_num_threads())  # as many as the checkpoint has
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


def _variant(name: str, content: bytes, run: Run, samples: Samples) -> Variant:
    return Variant(name, len(content), run, samples.probabilities(run), content)


def _quantised(content: bytes, target: Path, samples: Samples) -> Variant:
    from segkit.inference.quantise import quantise

    with _silence():
        smaller = quantise(content, samples.calibration)
    return _variant(_smaller(target).name, smaller, _runner("onnx", smaller), samples)


def _smaller(target: Path) -> Path:
    return target.with_suffix(".int8.onnx")


def _keep(target: Path, quantised: list[Variant], dice: list[float], agreement: bool) -> None:
    """Write the quantised variant, if there is one and it loses little; else remove that of an earlier network."""
    path, loss = _smaller(target), dice[1] - dice[-1]
    kept = quantised and loss <= LOSS
    if kept:
        _write(path, quantised[0])
    else:
        path.unlink(missing_ok=True)
    if quantised:
        change = (
            f"its masks agree with the checkpoint's to Dice {dice[-1]:.4f}"
            if agreement
            else f"Dice changes by {-loss:+.4f}"
        )
        print(f"{path.name}: {change}; {'kept' if kept else f'not kept, {LOSS:g} may be lost'}")


def _measure(variants: list[Variant], images: Tensor) -> None:
    """Images per second on this CPU, in turns."""
    for _ in bar(range(ROUNDS), label="measure", unit="round"):
        for variant in variants:
            for batch in BATCHES:
                variant.speeds[batch].append(_speed(variant.run, images[:batch]))


def _speed(run: Run, images: Tensor) -> float:
    done, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS or not done:
        run(images)
        done += len(images)
    return done / seconds


def _table(variants: list[Variant], dice: list[float]) -> str:
    threads = counted(torch.get_num_threads(), "thread")
    rows = [(threads, "MB", *(f"images/s, {batch} at once" for batch in BATCHES), "Dice")]
    for variant, score in zip(variants, dice, strict=True):
        speeds = (f"{statistics.median(speed):.1f}" for speed in variant.speeds.values())
        rows.append((variant.name, f"{variant.size / 1e6:.1f}", *speeds, f"{score:.4f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


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
