"""Any bytes as a checkpoint, in most inputs under a right checksum.

The first byte of an input is a sum of the flags below. The rest is a whole file, or three parts with NUL between
them: the metadata, the table of tensors, and the tensors' bytes. An empty part is replaced by that of a valid file.
"""

import hashlib
import json
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path

import torch

from segkit.base.errors import InputError
from segkit.base.params import MODEL_NAMES
from segkit.models import build
from segkit.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from segkit.models.normalize import Normalizer
from tests.fuzz.target import Target

START = b'{"__metadata__":{"segkit_sha256":"'
DIGEST = slice(8 + len(START), 8 + len(START) + 64)
WHOLE, UNSEALED, OWN_TABLE, OWN_DATA = 1, 2, 4, 8

METADATA = {
    "model": "unet",
    "architecture": {"width": 1},
    "input_size": [32, 32],
    "normalize": {"kind": "dataset", "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
    "threshold": 0.5,
    "border": "foreground",
    "valid": {"loss": 0.5},
}


@cache
def _sound() -> tuple[bytes, bytes, bytes]:
    """Metadata, table and tensors' bytes of the smallest checkpoint."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder, "x"), build("unet", width=1).state_dict(), METADATA)
        content = Path(folder, "x").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    text = header.pop("__metadata__")["segkit"]
    return text.encode(), json.dumps(header, separators=(",", ":"))[1:-1].encode(), content[end:]


def _put_together(metadata: bytes, table: bytes, data: bytes) -> bytes:
    text = json.dumps(metadata.decode("utf-8", errors="replace")).encode()
    header = START + b"0" * 64 + b'","segkit":' + text + b"}," + table + b"}"
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


def _sealed(content: bytes) -> bytes:
    zeroed = content[: DIGEST.start] + b"0" * 64 + content[DIGEST.stop :]
    return zeroed.replace(b"0" * 64, hashlib.sha256(zeroed).hexdigest().encode(), 1)


def _file(content: bytes) -> bytes:
    flags, rest = content[0] if content else 0, content[1:]
    if flags & WHOLE:
        return rest if flags & UNSEALED else _sealed(rest)
    parts = [*rest.split(b"\0", 2), b"", b""]
    metadata, table, data = _sound()
    metadata = parts[0] or metadata
    if parts[1]:  # of a duplicate name the second counts, so a few bytes replace one tensor
        table = parts[1] if flags & OWN_TABLE else table + b"," + parts[1]
    data = parts[2] if flags & OWN_DATA else parts[2] + data[len(parts[2]) :]
    return _sealed(_put_together(metadata, table, data))


def _seeds() -> list[bytes]:
    metadata, table, data = _sound()
    other = json.dumps({"format": 1} | METADATA | {"model": "resnet34_unet", "architecture": {}}).encode()
    bias = b'"head.bias":{"dtype":"F32","shape":[2],"data_offsets":[%d,%d]}'
    small = _put_together(metadata, b'"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}', bytes(4))
    at = json.loads(b"{" + table + b"}")["head.bias"]["data_offsets"]
    return [
        bytes([0]),
        bytes([0]) + metadata,
        bytes([0]) + b"\0" + bias % tuple(at),
        bytes([0]) + metadata + b"\0\0" + data[:16],
        bytes([0]) + other,
        bytes([OWN_TABLE]) + b"\0" + table,
        bytes([OWN_TABLE | OWN_DATA]) + b"\0" + bias % (0, 8) + b"\0" + bytes(8),
        bytes([WHOLE]) + small,
        bytes([WHOLE | UNSEALED]) + _sealed(small),
    ]


def _run(content: bytes, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(_file(content))
    checkpoint = load_checkpoint(path)
    assert isinstance(checkpoint, Checkpoint)
    assert all(not tensor.is_meta and tensor.isfinite().all() for tensor in checkpoint.model.state_dict().values())
    Normalizer.from_metadata(checkpoint.metadata["normalize"])


WORDS = (
    *(f'"{name}"' for name in ("dtype", "shape", "data_offsets", "__metadata__", "segkit", "format", *METADATA)),
    *(f'"{kind}"' for kind in ("F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "F4", "C64", "U64")),
    *("NaN", "Infinity", "1e999", "-1", "null", "true", "[]", "{}", "[0,0]", "9223372036854775808"),
    *("\\ud800", "\\u0000", '"head.bias":', '"image"', '"imagenet"', '"ignore"', '"resnet34_unet"', "\0"),
)
# What writes when it is first used does so here, unwatched: torchvision makes a folder when a network imports it.
for name in MODEL_NAMES:
    import_module(f"segkit.models.{name}")
_sound()
TARGET = Target(_seeds, _run, InputError, longest=2000, max_len=8000, memory=2048, words=WORDS)
