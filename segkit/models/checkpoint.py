"""Self-contained checkpoints: weights as safetensors, everything else as JSON in the header.

The header's key ``segkit`` holds the metadata, one JSON object. Its key ``segkit_sha256`` comes first and holds the
SHA-256 of the whole file with these 64 digits as zeros: safetensors has no checksum of its own, and a flipped bit in
a weight would go unnoticed. No pickle is read or written.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field, create_model
from safetensors.torch import load, save
from torch import Tensor, nn

from segkit.base.errors import InputError, brief
from segkit.base.files import atomic_write
from segkit.base.params import MODEL_NAMES, NETWORKS
from segkit.base.validation import FROM_LIST, Section, validate
from segkit.base.values import Border, Resize, Threshold, Tta
from segkit.models import build
from segkit.models.blocks import load_weights
from segkit.models.normalize import Normalizer

FORMAT = 1  # version of the metadata's format
METADATA_KEY = "segkit"
MAX_HEADER = 1_000_000  # bytes; the largest network's takes a tenth

# What every file begins with, after 8 bytes that give the header's length.
_START = b'{"__metadata__":{"segkit_sha256":"'
_DIGEST = slice(8 + len(_START), 8 + len(_START) + 64)
_ZEROS = b"0" * 64
Side = Annotated[int, Field(ge=16, le=8192)]
_FIX = "train it again with 'dvc repro', or fetch it with 'dvc pull'"


class Valid(Section):
    """The validation scores of the weights that were kept."""

    model_config = ConfigDict(extra="ignore")

    loss: float


class Needed(Section):
    """The metadata without which a network cannot be used; a file holds more, which is not checked."""

    model_config = ConfigDict(extra="ignore")

    model: Literal[*MODEL_NAMES]
    architecture: Any  # a Section, once the network is known
    input_size: Annotated[tuple[Side, Side], FROM_LIST]
    normalize: Normalizer
    threshold: Threshold
    border: Border
    resize: Resize = "stretch"  # missing, as the next, in files from before there was a choice
    tta: Tta = "none"
    valid: Valid


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, in evaluation mode, and the metadata that it was saved with.

    Of the metadata ``model``, ``architecture``, ``input_size`` ``[height, width]``, ``normalize``, ``threshold``,
    ``border``, ``valid`` (``loss``) and, if they are there, ``resize`` and ``tta`` are checked.
    """

    model: nn.Module
    metadata: dict[str, Any]


def save_checkpoint(path: str | Path, weights: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write ``weights`` and ``metadata`` (JSON types; ``load_checkpoint`` says what it needs; ``format`` is added) to
    one file, atomically. The same weights and metadata give the same bytes."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
    data = 8 + int.from_bytes(content[:8], "little")
    text = json.dumps({"format": FORMAT} | metadata, sort_keys=True, allow_nan=False)
    # safetensors would write its two keys in any order, and the checksum needs its place.
    rest = f'","{METADATA_KEY}":{json.dumps(text)}}},'.encode() + content[9:data]
    rest += b" " * (-(len(_START) + 64 + len(rest)) % 8)
    length = (len(_START) + 64 + len(rest)).to_bytes(8, "little")
    after = rest, memoryview(content)[data:]
    checksum = _sha256([length, _START, _ZEROS, *after])
    with atomic_write(path) as file:
        for piece in (length, _START, checksum, *after):
            file.write(piece)


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what ``save_checkpoint`` wrote.

    Raises InputError for a file that is missing, damaged, foreign or from a newer segkit, for incomplete
    or invalid metadata, and for weights that do not fit the network named there, or are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path} is missing; train it with 'dvc repro', or fetch it with 'dvc pull'")
    try:
        return _from_bytes(path.read_bytes(), device)
    except InputError as error:
        raise InputError(f"checkpoint {path} {error}") from None
    except MemoryError:
        raise InputError(f"checkpoint {path} is larger than the memory of this machine; {_FIX}") from None


def checked(metadata: Any) -> dict[str, Any]:
    """``metadata`` of a file in another format, if it is what a checkpoint holds; raises InputError."""
    if not isinstance(metadata, dict):
        raise InputError("has metadata that segkit does not write")
    _needed(metadata)
    return metadata


def _from_bytes(content: bytes, device: torch.device | str) -> Checkpoint:
    metadata = _metadata(_verified_header(content))
    needed = _needed(metadata)
    with torch.device("meta"):  # an architecture that the file does not fill costs no memory
        model = build(needed.model, **needed.architecture.model_dump())
    try:
        weights = load(content)
    except Exception as error:  # safetensors and torch raise nearly anything for a malicious header
        raise InputError(f"is damaged ({brief(error)}); {_FIX}") from None
    try:
        load_weights(model, weights)
    except ValueError as error:
        raise InputError(f"does not fit the network {needed.model!r} named in its metadata: {error}; {_FIX}") from None
    return Checkpoint(model.to(device).eval(), metadata)


def _verified_header(content: bytes) -> bytes:
    """The JSON of the header, after the SHA-256 of the file was verified."""
    view = memoryview(content)
    if content[8 : _DIGEST.start] != _START:
        raise InputError(f"was not written by this version of segkit, or its start is damaged; {_FIX}")
    if content[_DIGEST] != _sha256([view[: _DIGEST.start], _ZEROS, view[_DIGEST.stop :]]):
        raise InputError(f"is damaged: its SHA-256 does not match; {_FIX}")
    length = int.from_bytes(content[:8], "little")
    if length > MAX_HEADER:
        raise InputError(f"is damaged: no header has {length:,} bytes; {_FIX}")
    return content[8 : 8 + length]


def _metadata(header: bytes) -> dict[str, Any]:
    try:
        metadata = json.loads(json.loads(header)["__metadata__"][METADATA_KEY])
        version = metadata.get("format")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"holds no metadata under {METADATA_KEY!r} ({brief(repr(error))}); {_FIX}") from None
    if type(version) is not int or version < 1:
        raise InputError(f"has the unknown format {brief(version)}; {_FIX}")
    if version > FORMAT:
        raise InputError(f"was written by a newer segkit (format {brief(version)}, not {FORMAT}): update segkit")
    return metadata


def _needed(metadata: dict[str, Any]) -> Needed:
    """The part of the metadata that is used, checked."""
    kind, name = Needed, metadata.get("model")
    if name in MODEL_NAMES:
        kind = create_model("Needed", __base__=Needed, architecture=(NETWORKS[name].architecture(), ...))
        if isinstance(architecture := metadata.get("architecture"), dict):
            metadata = metadata | {"architecture": NETWORKS[name].earlier | architecture}
    try:
        return validate(kind, metadata)
    except ValueError as error:
        raise InputError(f"has metadata that segkit does not write: {error}; {_FIX}") from None


def _sha256(pieces: Iterable[bytes | memoryview]) -> bytes:
    checksum = hashlib.sha256()
    for piece in pieces:
        checksum.update(piece)
    return checksum.hexdigest().encode()
