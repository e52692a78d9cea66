"""One file that is enough to use a network: weights as safetensors, everything else as JSON in its header.

No pickle is read or written.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.files import atomic_write
from segkit.models import build

METADATA_KEY = "segkit"


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, in evaluation mode, and the metadata that it was saved with."""

    model: nn.Module
    metadata: dict[str, Any]


def save_checkpoint(path: str | Path, weights: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write ``weights`` and ``metadata`` (JSON types; needs ``model`` and ``architecture``) to one file, whole or
    not at all. The same weights and metadata give the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    header = {METADATA_KEY: json.dumps(metadata, sort_keys=True, allow_nan=False)}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=header))


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what ``save_checkpoint`` wrote; raises InputError for a missing, foreign or damaged file."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path} is missing; train it with 'dvc repro', or fetch it with 'dvc pull'")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(METADATA_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        mend = "train it again or fetch it with 'dvc pull'"
        raise InputError(f"checkpoint {path} is damaged ({error}); {mend}") from None
    if header is None:
        raise InputError(f"checkpoint {path} was not written by segkit: its header has no key {METADATA_KEY!r}")
    try:
        metadata = json.loads(header)
        model = build(metadata["model"], **metadata["architecture"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"checkpoint {path}: its header names no network known here ({error!r})") from None
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"checkpoint {path} does not fit the network {metadata['model']!r}: {error}") from None
    return Checkpoint(model.to(device).eval(), metadata)
