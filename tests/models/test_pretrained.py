"""ImageNet weights: torchvision's file into the encoder, or plain words why not. No test goes to the network."""

import io
from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet34_Weights, resnet34

from segkit.command import run_command
from segkit.models import build

FILE_NAME = ResNet34_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's cache of weights, empty, and no network behind it."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path)
    (tmp_path / "checkpoints").mkdir()

    def unreachable(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    yield tmp_path / "checkpoints" / FILE_NAME
    torch.hub.set_dir(before)


def refusal(capsys) -> str:
    with torch.device("meta"):
        model = build("resnet34_unet")
    assert run_command("train", model.load_imagenet_encoder) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("train: resnet34_unet.pretrained: ImageNet weights not available (")
    assert "set resnet34_unet.pretrained to false" in line
    return line


def test_the_encoder_holds_the_weights_of_the_file(cache):
    torch.manual_seed(7)
    trunk = resnet34().eval()
    torch.save(trunk.state_dict(), cache)
    model = build("resnet34_unet").eval()
    decoder = {name: tensor.clone() for name, tensor in model.state_dict().items() if "stages" not in name}
    model.load_imagenet_encoder()
    for theirs, ours in {
        "conv1": "stem.0",
        "bn1": "stem.1",
        **{f"layer{i + 1}": f"stages.{i}" for i in range(4)},
    }.items():
        expected, found = trunk.get_submodule(theirs).state_dict(), model.get_submodule(ours).state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    for name, tensor in decoder.items():
        if not name.startswith("stem"):
            assert torch.equal(model.state_dict()[name], tensor), name


def test_the_loaded_encoder_computes_what_torchvision_computes(cache):
    trunk = resnet34().eval()
    torch.save(trunk.state_dict(), cache)
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


def test_an_unreachable_network_says_where_to_put_the_file(cache, capsys):
    line = refusal(capsys)
    assert "Name or service not known" in line
    assert f"put the file from {ResNet34_Weights.IMAGENET1K_V1.url} at {cache}" in line


def pickled(value) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no weights", pickled({"a": torch.zeros(2)})[:-50], pickled({"a": torch.zeros(2)}), pickled([1, 2])],
    ids=["empty", "text", "truncated", "another network", "no dict"],
)
def test_a_damaged_file_in_the_cache_is_one_line(cache, capsys, content):
    cache.write_bytes(content)
    assert refusal(capsys).count("\n") == 0
