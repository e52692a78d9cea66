"""A network that ``segkit export`` wrote as an ONNX file, in ONNX Runtime on the CPU."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import Message
from onnx import TensorProto
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
        self._name = brief(path, 300)
        if not path.is_file():
            raise InputError(f"{self._name}: no such file; {_FIX}")
        try:
            content = path.read_bytes()
            self.metadata = _metadata(content)
            self._session = session(content, threads)
        except InputError as fault:
            raise InputError(f"{self._name} {fault}; {_FIX}") from None

    def probabilities(self, pictures: Tensor) -> Tensor:
        """``uint8 (N, H, W, 3)`` to foreground probabilities ``float32 (N, H, W)``.

        Raises InputError if the file computes something else, RuntimeError if memory runs out.
        """
        try:
            (found,) = self._session.run([OUTPUT], {INPUT: pictures.cpu().numpy()})
        except Exception as error:  # its exceptions have no common class
            if "alloc" in str(error):
                raise RuntimeError(f"ONNX Runtime can't allocate memory ({brief(error)})") from None
            raise InputError(f"{self._name} fails in ONNX Runtime ({brief(error, 200)}); {_FIX}") from None
        if (found.dtype, found.shape) != (np.float32, pictures.shape[:3]):
            raise InputError(f"{self._name} returns {found.dtype} {found.shape}, no probabilities; {_FIX}")
        return torch.from_numpy(found)


def session(content: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime; raises InputError if it cannot run the file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one per core
    options.log_severity_level = 4  # none of its own lines: errors are raised as well
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


def _tensors(message: Message) -> Iterator[TensorProto]:
    """All tensors of a model, wherever they are: also those of attributes, branches and functions."""
    if isinstance(message, TensorProto):
        yield message
    for field, value in message.ListFields():
        if field.message_type:
            for each in value if isinstance(value, Sequence) else [value]:
                yield from _tensors(each)
