"""Weights that others trained, into the encoder, or plain words why not. No test leaves the machine."""

import hashlib
import io
import os
import pickle
import socket
from email.message import Message
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import ResNet34_Weights, resnet34

from segkit.base.command import run_command
from segkit.models import build, pretrained

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
        monkeypatch.setattr(pretrained, "IMAGENET_URL", f"{URL.rsplit('/', 1)[0]}/{path.name}")
        return path

    return write


def refusal(capsys, setting: bool | str = True, weights_dir: str = "auto") -> str:
    assert run_command("train", lambda: pretrained.read(setting, weights_dir)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train: resnet34_unet.pretrained: ")
    assert line.endswith(", or set resnet34_unet.pretrained to false") and len(line) < 800
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


def decoder_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of everything that is not the encoder's."""
    kept = {n: tensor for n, tensor in model.state_dict().items() if not n.startswith(("stem.", "stages."))}
    return {name: tensor.clone() for name, tensor in kept.items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name, tensor in found.items() if not torch.equal(tensor, expected[name])] == []


def assert_encoder(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """The encoder's tensors are those of a ResNet34's ``state``, under the names of its layers."""
    layers = {"stem.0": "conv1", "stem.1": "bn1", **{f"stages.{i}": f"layer{i + 1}" for i in range(4)}}
    for ours, theirs in layers.items():
        expected = {n.removeprefix(f"{theirs}."): t for n, t in state.items() if n.startswith(f"{theirs}.")}
        assert_same(model.get_submodule(ours).state_dict(), expected)


def test_the_address_is_torchvision_s():
    assert pretrained.IMAGENET_URL == URL


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_encoder_holds_the_weights_of_the_file(put, old, zipped):
    state = weights(7)
    put(pickled(without_counts(state) if old else state, _use_new_zipfile_serialization=zipped))
    model = build("resnet34_unet").eval()
    decoder = decoder_of(model)
    model.load_encoder(pretrained.read(True, "auto"))
    assert model.started_from is True
    assert_encoder(model, state)
    assert_same(decoder_of(model), decoder)


def test_the_loaded_encoder_computes_what_torchvision_computes(put):
    trunk = resnet34().eval()
    put(pickled(trunk.state_dict()))
    model = build("resnet34_unet")
    model.load_encoder(pretrained.read(True, "auto"))
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
        model.load_encoder(pretrained.read(True, "auto"))
    assert asked == [pretrained.TIMEOUT] and socket.getdefaulttimeout() is None
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
    assert (
        f"put the file from {URL} at {cache / URL.rsplit('/', 1)[-1]} (runtime.weights_dir sets the folder), or" in line
    )


def test_a_server_that_says_nothing_is_left(cache, capsys, monkeypatch):
    monkeypatch.undo()  # the real download, from here
    torch.hub.set_dir(cache.parent)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/resnet34-b627a593.pth"
        monkeypatch.setattr(pretrained, "IMAGENET_URL", address)
        monkeypatch.setattr(pretrained, "TIMEOUT", 0.2)
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
        (lambda state: state | {"bn1.bias": torch.zeros(7)}, "size mismatch for bn1.bias"),
        (lambda state: state | {"bn1.bias": torch.zeros(64).half()}, "bn1.bias is not a finite float32 tensor"),
        (lambda state: state | {"bn1.bias": "text"}, '"bn1.bias", expected torch.Tensor'),
        (lambda state: state | {"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias is not a finite float32 tensor"),
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
    assert f"{path} is damaged ('list' object has no" in refusal(capsys)


def test_downloads_go_where_the_user_says(cache, put, monkeypatch, tmp_path):
    content = pickled(weights(5))
    name = put(content).name
    (cache / name).unlink()
    monkeypatch.setattr("torch.hub.urlopen", lambda _: Response(content))
    pretrained.read(True, str(tmp_path / "shared/weights"))
    assert (tmp_path / "shared/weights" / name).read_bytes() == content and list(cache.iterdir()) == []


def test_a_folder_filled_by_hand_needs_no_network(cache, put, tmp_path, monkeypatch):
    """A relative one starts at the repository, also in DVC's temporary folders."""
    state = weights(5)
    path = put(pickled(state))
    (tmp_path / "by_hand").mkdir()
    path.rename(tmp_path / "by_hand" / path.name)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    model = build("resnet34_unet")
    model.load_encoder(pretrained.read(True, "by_hand"))
    assert_encoder(model, state)


def test_without_a_network_the_line_names_the_place_in_the_user_s_folder(cache, capsys, tmp_path):
    line = refusal(capsys, weights_dir=str(tmp_path / "mine"))
    assert f"put the file from {URL} at {tmp_path / 'mine' / URL.rsplit('/', 1)[-1]} (runtime.weights_dir sets" in line


@pytest.mark.parametrize("content", [b"", b"no weights", pickled(weights())])
def test_what_lies_in_the_user_s_folder_is_verified_before_it_is_read(cache, capsys, monkeypatch, tmp_path, content):
    path = tmp_path / URL.rsplit("/", 1)[-1]
    path.write_bytes(content)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read before it was verified"))
    assert f"{path} is damaged (its SHA-256 does not" in refusal(capsys, weights_dir=str(tmp_path))


def test_a_folder_that_cannot_be_made_is_named(cache, capsys, tmp_path):
    (tmp_path / "file").touch()
    assert f"File exists: '{tmp_path / 'file'}'" in refusal(capsys, weights_dir=str(tmp_path / "file"))


def test_the_home_of_an_unknown_user_is_refused_with_its_key(capsys):
    for key, setting, folder in (
        ("runtime.weights_dir", True, "~nobody-here/x"),
        ("resnet34_unet.pretrained", "~nobody-here/x.safetensors", "auto"),
    ):
        assert run_command("train", lambda setting=setting, folder=folder: pretrained.read(setting, folder)) == 2
        assert f"{key}: ~nobody-here/x" in capsys.readouterr().err


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write tensors to ``mine/enc.safetensors`` below the main checkout; gives the file's place."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    path = tmp_path / "mine/enc.safetensors"
    path.parent.mkdir()

    def write(state: dict[str, torch.Tensor]):
        save_file(state, path)
        return path

    return write


OWN = "mine/enc.safetensors"


@pytest.mark.parametrize("form", ["torchvision", "without classifier", "other classifier", "without counts"])
def test_the_encoder_holds_the_weights_of_the_user_s_file(own, form, monkeypatch):
    state = given = weights(9)
    if form == "without classifier":
        given = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    elif form == "other classifier":
        given = state | {"fc.weight": torch.ones(7, 512).half(), "fc.bias": torch.full((7,), torch.nan)}
    elif form == "without counts":
        given = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    path = own(given)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle is read"))
    model = build("resnet34_unet")
    decoder = decoder_of(model)
    model.load_encoder(pretrained.read(OWN, "auto"))
    assert_encoder(model, state)
    assert_same(decoder_of(model), decoder)
    assert model.started_from == {
        "file": "enc.safetensors",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda s: {"a": torch.zeros(2)}, "conv1.weight, bn1.weight, bn1.bias, ... missing"),
        (lambda s: {n: t for n, t in s.items() if n != "layer4.2.bn2.bias"}, "layer4.2.bn2.bias missing"),
        (lambda s: s | {"head.weight": torch.zeros(1)}, "head.weight unknown"),
        (lambda s: s | {"bn1.bias": torch.zeros(7)}, "bn1.bias has the shape [7], not [64]"),
        (lambda s: s | {"bn1.bias": torch.zeros(64).half()}, "bn1.bias is not a finite float32 tensor"),
        (lambda s: s | {"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias is not a finite float32 tensor"),
        (
            lambda s: s | {"bn1.running_var": torch.full((64,), torch.inf)},
            "bn1.running_var is not a finite float32 tensor",
        ),
    ],
    ids=["another network", "missing", "unknown", "shape", "type", "nan", "inf"],
)
def test_a_file_of_the_user_s_that_is_no_resnet34_is_refused(own, capsys, change, fault):
    path = own(change(weights()))
    line = refusal(capsys, OWN)
    assert f"{path} holds no weights of a ResNet34: {fault}; save the state_dict of a torchvision" in line


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: c[:-1], lambda c: c[8:], lambda c: pickled(weights())])
def test_a_damaged_file_of_the_user_s_and_a_pickle_are_refused(own, capsys, monkeypatch, damage):
    path = own({"conv1.weight": torch.zeros(64, 3, 7, 7)})
    path.write_bytes(damage(path.read_bytes()))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle is read"))
    assert f"{path} is damaged or not safetensors (" in refusal(capsys, OWN)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: None, "is missing or not a file"),
        (lambda path: path.mkdir(), "is missing or not a file"),
        (os.mkfifo, "is missing or not a file"),
        (lambda path: path.touch() or os.truncate(path, pretrained.MAX_BYTES + 1), "is far larger than the weights"),
    ],
    ids=["nothing", "folder", "pipe", "huge"],
)
def test_what_is_no_file_of_weights_is_refused_unread(tmp_path, monkeypatch, capsys, make, fault):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    make(tmp_path / "x.safetensors")
    line = refusal(capsys, "x.safetensors")
    assert f"{tmp_path / 'x.safetensors'} {fault}" in line and "; name another file, or set" in line


def test_imagenet_weights_alone_switch_the_normalisation():
    assert [pretrained.normalization(setting, "image") for setting in (True, False, OWN)] == [
        *("imagenet", "image", "image"),
    ]


def test_the_encoder_s_parameters_are_those_that_are_replaced(own):
    own(weights(9))
    model = build("resnet34_unet")
    before = set(map(id, model.encoder_parameters()))
    everything = set(map(id, model.parameters()))
    model.load_encoder(pretrained.read(OWN, "auto"))
    assert before == everything - set(map(id, model.parameters()))
    assert sum(parameter.numel() for parameter in model.encoder_parameters()) == 21_284_672
