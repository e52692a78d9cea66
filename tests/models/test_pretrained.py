"""ImageNet weights: torchvision's file into the encoder, or plain words why not. No test leaves the machine."""

import hashlib
import io
import os
import pickle
import socket
from email.message import Message
from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet34_Weights, resnet34

from segkit.base.command import run_command
from segkit.models import build, resnet34_unet

URL = ResNet34_Weights.IMAGENET1K_V1.url


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's cache of weights, empty, and no network behind it; a function that gives a file's place there."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path)
    (tmp_path / "checkpoints").mkdir()

    def unreachable(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


@pytest.fixture
def put(cache, monkeypatch):
    """Put a file into the cache whose name holds the digits that it begins with, as torchvision's does."""

    def write(content: bytes):
        path = cache / f"resnet34-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        path.write_bytes(content)
        monkeypatch.setattr(resnet34_unet, "IMAGENET_URL", f"{URL.rsplit('/', 1)[0]}/{path.name}")
        return path

    return write


def refusal(capsys) -> str:
    with torch.device("meta"):
        model = build("resnet34_unet")
    assert run_command("train", model.load_imagenet_encoder) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train: resnet34_unet.pretrained: ")
    assert line.endswith(", or set resnet34_unet.pretrained to false") and len(line) < 700
    return line


def pickled(value, **options) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return resnet34().state_dict()


def without_counts(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As torch wrote it before 2018: plain, with parameters, and no batches counted."""
    kept = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    return {name: tensor if "running" in name else torch.nn.Parameter(tensor) for name, tensor in kept.items()}


def test_the_address_is_torchvision_s():
    assert resnet34_unet.IMAGENET_URL == URL


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_encoder_holds_the_weights_of_the_file(put, old, zipped):
    state = weights(7)
    put(pickled(without_counts(state) if old else state, _use_new_zipfile_serialization=zipped))
    model = build("resnet34_unet").eval()
    decoder = {name: tensor.clone() for name, tensor in model.state_dict().items() if "stages" not in name}
    model.load_imagenet_encoder()
    for theirs, ours in {
        "conv1": "stem.0",
        "bn1": "stem.1",
        **{f"layer{i + 1}": f"stages.{i}" for i in range(4)},
    }.items():
        found = model.get_submodule(ours).state_dict()
        expected = {name: tensor for name, tensor in state.items() if name.startswith(f"{theirs}.")}
        assert {f"{theirs}.{name}" for name in found} == set(expected)
        assert all(torch.equal(found[name.partition(".")[2]], tensor) for name, tensor in expected.items())
    for name, tensor in decoder.items():
        if not name.startswith("stem"):
            assert torch.equal(model.state_dict()[name], tensor), name


def test_the_loaded_encoder_computes_what_torchvision_computes(put):
    trunk = resnet34().eval()
    put(pickled(trunk.state_dict()))
    model = build("resnet34_unet")
    model.load_imagenet_encoder()
    model.eval()
    images = torch.randn(1, 3, 32, 64)
    with torch.inference_mode():
        features = model.stem(images)
        for stage in model.stages:
            features = stage(features)
        pooled = features.mean((2, 3))
        torch.testing.assert_close(trunk.fc(pooled), trunk(images), atol=1e-4, rtol=1e-4)


class Response(io.BytesIO):
    """What a server answers."""

    def info(self) -> Message:
        return Message()


def test_a_download_is_cached_once_its_hash_is_right(cache, put, monkeypatch):
    content = pickled(weights(5))
    put(content).unlink()  # the address now asks for these digits
    asked = []
    monkeypatch.setattr("torch.hub.urlopen", lambda _: asked.append(socket.getdefaulttimeout()) or Response(content))
    model = build("resnet34_unet")
    for _ in range(2):
        model.load_imagenet_encoder()
    assert asked == [resnet34_unet.TIMEOUT] and socket.getdefaulttimeout() is None
    assert [path.read_bytes() for path in cache.iterdir()] == [content]


@pytest.mark.parametrize("damage", [lambda content: b"<html>sign in</html>", lambda content: content[:-1]])
def test_a_download_that_is_not_the_file_is_refused_and_not_cached(cache, put, monkeypatch, capsys, damage):
    """torch.hub would take it from there without a look."""
    content = pickled(weights(5))
    put(content).unlink()
    monkeypatch.setattr("torch.hub.urlopen", lambda _: Response(damage(content)))
    assert "ImageNet weights not available (invalid hash value (expected " in refusal(capsys)
    assert list(cache.iterdir()) == []


def test_an_unreachable_network_says_where_to_put_the_file(cache, capsys):
    line = refusal(capsys)
    assert "ImageNet weights not available (" in line and "Name or service not known" in line
    assert f"put the file from {URL} at {cache / URL.rsplit('/', 1)[-1]}, or set" in line


def test_a_server_that_says_nothing_is_left(cache, capsys, monkeypatch):
    monkeypatch.undo()  # the real download, from here
    torch.hub.set_dir(cache.parent)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/resnet34-b627a593.pth"
        monkeypatch.setattr(resnet34_unet, "IMAGENET_URL", address)
        monkeypatch.setattr(resnet34_unet, "TIMEOUT", 0.2)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert "timed out" in refusal(capsys)
    assert socket.getdefaulttimeout() is None
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no weights", pickled({"a": torch.zeros(2)}), pickled(weights())])
def test_a_file_in_the_cache_with_another_hash_is_refused_unread(cache, capsys, monkeypatch, content):
    """torch.hub would take it: it compares hashes only while it downloads."""
    path = cache / URL.rsplit("/", 1)[-1]
    path.write_bytes(content)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read before it was verified"))
    assert f"{path} is damaged (its SHA-256 does not begin with b627a593); delete it and run" in refusal(capsys)


def test_a_flipped_bit_in_the_cache_is_refused(put, capsys):
    path = put(pickled(weights()))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert f"{path} is damaged (its SHA-256" in refusal(capsys)


class Trap:
    """Unpickling this would make a folder."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("dump", [pickled, pickle.dumps, lambda v: pickled(v, _use_new_zipfile_serialization=False)])
def test_a_pickle_with_the_right_hash_still_runs_nothing(put, capsys, tmp_path, dump):
    path = put(dump({"conv1.weight": Trap(tmp_path / "sprung")}))
    assert f"{path} is damaged (" in refusal(capsys)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda state: {"a": torch.zeros(2)}, "Missing key"),
        (lambda state: state | {"fc.bias": torch.zeros(7)}, "size mismatch for fc.bias"),
        (lambda state: state | {"fc.bias": torch.zeros(1000).half()}, "fc.bias is not a finite float32 tensor"),
        (lambda state: state | {"fc.bias": "text"}, '"fc.bias", expected torch.Tensor'),
        (lambda state: state | {"fc.bias": torch.full((1000,), torch.nan)}, "fc.bias is not a finite float32 tensor"),
        (lambda state: state | {5: torch.zeros(1)}, "'int' object has no"),
    ],
    ids=["another network", "shape", "type", "text", "nan", "extra"],
)
def test_weights_of_something_else_are_refused(put, capsys, change, fault):
    path = put(pickled(change(dict(weights()))))
    line = refusal(capsys)
    assert f"{path} is damaged (" in line and fault in line and "; delete it and run" in line


def test_a_file_without_named_tensors_is_refused(put, capsys):
    path = put(pickled([1, 2]))
    assert f"{path} is damaged (unsupported operand" in refusal(capsys)
