"""A network that ``segkit export`` wrote as an ONNX file, in ONNX Runtime on the CPU."""

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from onnx import ModelProto, TensorProto
from torch import Tensor

from segkit.base.errors import InputError, brief
from segkit.models.checkpoint import METADATA_KEY, checked

INPUT, OUTPUT = "images", "probabilities"
_FIX = "make it again with 'python -m segkit export'"


class OnnxNetwork:
    """A ``Network`` (see ``segkit.inference.networks``); ``threads``: of one call; None: one per core.

    Raises InputError for a file that is missing, damaged, or was not written by ``segkit export``.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        if not path.is_file():
            raise InputError(f"{brief(path, 300)}: no such file; {_FIX}")
        try:
            content = path.read_bytes()
            self.metadata = _metadata(content)
            self._session = session(content, threads)
        except InputError as fault:
            raise InputError(f"{brief(path, 300)} {fault}; {_FIX}") from None

    def probabilities(self, pictures: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` to foreground probabilities ``float32 (N, H, W)``."""
        (found,) = self._session.run([OUTPUT], {INPUT: pictures.cpu().numpy()})
        return torch.from_numpy(found)


def session(content: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime; raises InputError if it cannot run the file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one per core
    options.log_severity_level = 3  # errors, which are raised as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        raise InputError(f"cannot be run by ONNX Runtime ({brief(error, 200)})") from None


def _metadata(content: bytes) -> dict[str, Any]:
    """The checkpoint's metadata; raises InputError."""
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own classes
        raise InputError(f"is not an ONNX file, or damaged ({brief(error)})") from None
    # Weights in other files would be looked for in whatever folder this process runs in.
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise InputError("keeps weights in other files")
    text = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if text is None or names != [INPUT, OUTPUT]:
        raise InputError("is an ONNX file of another program")
    try:
        return checked(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"holds damaged metadata ({brief(error)})") from None


def _tensors(model: ModelProto) -> list[TensorProto]:
    """All tensors of a model, also those of attributes."""
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    inner = [attribute.t for attribute in attributes] + [each for attribute in attributes for each in attribute.tensors]
    return [*model.graph.initializer, *inner]
