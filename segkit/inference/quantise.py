"""8-bit integers in place of floats, in convolutions of an ONNX file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor

from segkit.inference.onnx_network import INPUT


class _Reader(CalibrationDataReader):
    def __init__(self, batches: Iterator[Tensor]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        images = next(self._batches, None)
        return None if images is None else {INPUT: images.numpy()}


def quantise(content: bytes, calibration: Tensor) -> bytes:
    """An ONNX file with 8-bit convolutions: weights per channel, activations in ranges that ``calibration``
    ``uint8 (N, H, W, 3)`` shows (Jacob et al., "Quantization and Training of Neural Networks", 2018, section 2)."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
        before.write_bytes(content)
        quantize_static(
            before,
            after,
            _Reader(iter(calibration.split(8))),
            op_types_to_quantize=["Conv", "ConvTranspose"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return after.read_bytes()
