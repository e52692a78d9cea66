"""Weights that a ResNet34 encoder starts from: torchvision's ImageNet weights, or a file of the user's own.

``resnet34_unet.pretrained`` says which. Of the user no pickle is read, only safetensors. torchvision publishes its
weights in pickle format alone: torch's restricted unpickler, which builds only tensors and plain containers, reads them
after their SHA-256 was compared, at every load.
"""

import hashlib
import io
import socket
import sys
from http.client import HTTPException
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors.torch import load
from torch import Tensor, nn
from torchvision.models import ResNet, ResNet34_Weights, resnet34

from segkit.base.errors import InputError, brief, few
from segkit.base.workspace import user_path
from segkit.models.blocks import load_weights

IMAGENET_URL = ResNet34_Weights.IMAGENET1K_V1.url
TIMEOUT = 30.0  # seconds without data from the server
MAX_BYTES = 2**30  # of a file of the user's; a ResNet34 takes 87 MB

_SETTING = "resnet34_unet.pretrained"
_WITHOUT = f"or set {_SETTING} to false"
_FIX = f"save the state_dict of a torchvision resnet34, as float32, with safetensors, {_WITHOUT}"


class Start(NamedTuple):
    """A ResNet34 with weights, and what a checkpoint's metadata say of them: true for torchvision's ImageNet weights,
    of a file its name without folders (``file``) and its SHA-256 (``sha256``)."""

    trunk: ResNet
    record: bool | dict[str, str]


def read(setting: Literal[True] | str, weights_dir: str) -> Start:
    """The weights that ``resnet34_unet.pretrained`` names; ``weights_dir``: the folder of downloads, or ``auto`` for
    torch's. Raises InputError if the file is not reachable, damaged, or not a ResNet34."""
    return _own(setting) if isinstance(setting, str) else Start(_imagenet(weights_dir), True)


def normalization(setting: bool | str, wanted: str) -> str:
    """The kind of normalisation to train with: ImageNet weights need ImageNet's, whatever ``preprocess.normalize``
    (``wanted``) says. What the user's own file needs only the user knows."""
    return "imagenet" if setting is True else wanted


def _imagenet(weights_dir: str) -> ResNet:
    folder = Path(torch.hub.get_dir(), "checkpoints")
    if weights_dir != "auto":
        folder = _user_path(weights_dir, "runtime.weights_dir")
    path = folder / IMAGENET_URL.rsplit("/", 1)[-1]
    prefix = path.stem.rsplit("-", 1)[-1]  # the digits that its SHA-256 begins with
    if not path.is_file():
        _download(path, prefix)
    content = path.read_bytes()
    try:
        if not hashlib.sha256(content).hexdigest().startswith(prefix):
            raise ValueError(f"its SHA-256 does not begin with {prefix}")
        return _filled(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:  # what torch raises depends on which part of the file is damaged
        raise InputError(
            f"{_SETTING}: {path} is damaged ({brief(error, 300)}); delete it and run the same command again, {_WITHOUT}"
        ) from None


def _download(path: Path, prefix: str) -> None:
    """Atomically, and only with the right hash."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub sets none
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(IMAGENET_URL, str(path), prefix, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        raise InputError(
            f"{_SETTING}: ImageNet weights not available ({brief(error, 200) or repr(error)}); put the file from "
            f"{IMAGENET_URL} at {path} (runtime.weights_dir sets the folder), {_WITHOUT}"
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _own(text: str) -> Start:
    path = _user_path(text, _SETTING)
    content = _content(path)
    try:
        weights = load(content)
    except Exception as error:  # safetensors and torch raise nearly anything for a malicious header
        raise InputError(f"{_SETTING}: {path} is damaged or not safetensors ({brief(error)}); {_FIX}") from None
    try:
        _refuse_others(weights)
        trunk = _filled(weights)
    except ValueError as error:
        raise InputError(f"{_SETTING}: {path} holds no weights of a ResNet34: {error}; {_FIX}") from None
    return Start(trunk, {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()})


def _content(path: Path) -> bytes:
    fault = "is missing or not a file"
    try:
        if path.is_file():  # opening a named pipe would block
            if path.stat().st_size <= MAX_BYTES:
                return path.read_bytes()
            fault = "is far larger than the weights of a ResNet34"
    except OSError as error:
        fault = f"cannot be read ({brief(error.strerror)})"
    raise InputError(f"{_SETTING}: {path} {fault}; name another file, {_WITHOUT}")


def _user_path(text: str, key: str) -> Path:
    try:
        return user_path(text)
    except InputError as error:
        raise InputError(f"{key}: {error}") from None


def _refuse_others(weights: dict[str, Tensor]) -> None:
    """Raises ValueError for names and shapes that are not those of a ResNet34, in plainer words than torch's."""
    expected, found = _empty().state_dict(), _encoder(weights)
    if missing := [name for name in expected if name not in found and not _is_count(name)]:
        raise ValueError(f"{few(missing)} missing")
    if foreign := [name for name in found if name not in expected]:
        raise ValueError(f"{few(foreign)} unknown")
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(f"{name} has the shape {list(tensor.shape)}, not {list(expected[name].shape)}")


def _filled(weights: dict[str, Tensor]) -> ResNet:
    """A ResNet34 with these weights, but without its classifier; raises ValueError if they do not fit."""
    trunk = _empty()
    # Old files of torchvision count no batches, and nothing here uses the count.
    counts = {name: torch.tensor(0) for name in trunk.state_dict() if _is_count(name)}
    load_weights(trunk, counts | _encoder(weights))
    return trunk


def _empty() -> ResNet:
    with torch.device("meta"):  # nothing to draw, as weights follow
        trunk = resnet34(weights=None)
    trunk.fc = nn.Identity()
    return trunk


def _encoder(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}


def _is_count(name: str) -> bool:
    return name.endswith("num_batches_tracked")
