"""What runs a trained network: torch, or ONNX Runtime."""

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from segkit.base.errors import InputError, brief
from segkit.models.checkpoint import load_checkpoint
from segkit.models.device import choose_device, choose_precision
from segkit.models.predictor import Predictor


class Network(Protocol):
    """A trained network; ``metadata``: that of its checkpoint (see ``segkit.models.checkpoint``)."""

    metadata: dict[str, Any]

    def probabilities(self, pictures: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` at the network's input size to foreground probabilities ``float32 (N, H, W)``."""


def open_network(path: Path, device: str = "auto", precision: str = "fp32", threads: int | None = None) -> Network:
    """A checkpoint (``.safetensors``) on ``device``, or an ONNX file that ``segkit export`` wrote, on the CPU.

    ``precision``: ``fp32``, ``bf16``, or ``auto`` (bf16 where the device supports it natively). ``threads``: of ONNX
    Runtime; None: one per core. Raises InputError for a file that is missing, damaged or of another program, and for a
    device or precision that is not available for it.
    """
    if path.is_dir():
        raise InputError(f"{brief(path, 300)} is a folder; name a checkpoint, such as models/unet.safetensors")
    if path.suffix.lower() == ".onnx":
        for option, value, possible in (("device", device, "cpu"), ("precision", precision, "fp32")):
            if value not in ("auto", possible):
                raise InputError(
                    f"--{option} {value}: ONNX files run with {possible} only; leave it out, or name the checkpoint"
                )
        from segkit.inference.onnx_network import OnnxNetwork

        return OnnxNetwork(path, threads)
    if path.suffix.lower() == ".pt2":
        raise InputError(f"{brief(path, 300)} runs in torch.export.load alone; name the checkpoint, or an ONNX file")
    chosen = choose_device(device, key="--device")
    return Predictor(load_checkpoint(path, chosen), chosen, choose_precision(precision, chosen, key="--precision"))
