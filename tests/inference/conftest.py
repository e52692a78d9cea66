"""A small network of random weights, and quiet torch."""

from pathlib import Path

import pytest
import torch

from segkit.models import build
from segkit.models.checkpoint import save_checkpoint
from tests.tiny import quiet_torch, usable  # noqa: F401


def write_checkpoint(path: Path, size: tuple[int, int] = (24, 32), **metadata) -> Path:
    """A network of random weights that calls about half of all pixels foreground."""
    torch.manual_seed(3)
    model = build("unet", width=4).eval()
    with torch.inference_mode():
        logits = model(torch.randn(8, 3, *size))
        model.head.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
        model.head.weight *= 4  # sure of itself
    save_checkpoint(path, model.state_dict(), usable("unet", {"width": 4}, input_size=list(size), **metadata))
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "unet.safetensors")
