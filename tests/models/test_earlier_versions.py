"""Checkpoints that earlier versions wrote load and give the same logits.

``data/unet.safetensors`` is one of version 0.1.0. Of resnet34_unet (87 MB) the header is kept; the weights, drawn by
``drawn``, are made again, and the checksum in the header says whether they are the same. The logits are those that
version 0.1.0 gave.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.models.checkpoint import load_checkpoint

DATA = Path(__file__).parent / "data"


def drawn(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Weights of a network with batch normalisation by name, exact in float32: multiples of powers of two."""
    numbers = np.random.default_rng(0)

    def values(name: str, shape: list[int]) -> np.ndarray:
        if not shape:
            return np.int64(3)
        steps = numbers.integers(0, 1024, shape) / 1024
        if len(shape) == 4:
            fan_in = shape[0] if "up" in name else shape[1] * shape[2] * shape[3]
            return np.float32((2 * steps - 1) * 2.0 ** np.floor(np.log2((3 / fan_in) ** 0.5)))
        return np.float32(0.5 + steps if name.endswith(("weight", "var")) else (steps - 0.5) / 8)

    return {name: values(name, shapes[name]) for name in sorted(shapes)}


def resnet34_unet() -> bytes:
    """The whole file."""
    header = (DATA / "resnet34_unet.header").read_bytes()
    entries = {name: entry for name, entry in json.loads(header[8:]).items() if name != "__metadata__"}
    weights = drawn({name: entry["shape"] for name, entry in entries.items()})
    stored = sorted(entries, key=lambda name: entries[name]["data_offsets"])
    return header + b"".join(weights[name].tobytes() for name in stored)


@pytest.mark.parametrize("name", ["unet", "resnet34_unet"])
def test_a_checkpoint_of_version_0_1_0_gives_the_logits_that_it_gave(name, tmp_path):
    path = DATA / f"{name}.safetensors"
    if name == "resnet34_unet":
        path = tmp_path / "x.safetensors"
        path.write_bytes(resnet34_unet())
    checkpoint = load_checkpoint(path)
    assert (checkpoint.metadata["model"], checkpoint.metadata["version"]) == (name, "0.1.0")
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 1024, (1, 3, 24, 40)) / 512 - 1).float()
    with torch.inference_mode():
        logits = checkpoint.model(images)
    expected = torch.from_numpy(np.load(DATA / f"{name}.logits.npy"))
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
