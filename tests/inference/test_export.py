"""Exported programs: equal to the checkpoint for any size and batch, with its metadata, or refused."""

import json

import numpy as np
import pytest
import torch

from segkit.base.errors import InputError
from segkit.inference import export as exporting
from segkit.inference import samples as sampling
from segkit.inference.export import export
from segkit.inference.model import load
from segkit.inference.samples import Samples, samples
from segkit.models import build
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from tests.inference.conftest import write_checkpoint
from tests.packing import pack
from tests.tiny import pet, usable

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

NORMALIZE = (
    {"kind": "image", "mean": [], "std": []},
    {"kind": "dataset", "mean": [0.2, 0.4, 0.6], "std": [0.1, 0.2, 0.3]},
)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(exporting, "ROUNDS", 1)
    monkeypatch.setattr(exporting, "TURN", 1e-9)


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(pet(number, width, height)[0]) for number in range(count)]))


def some(size: tuple[int, int] = (24, 32), masks: torch.Tensor | None = None) -> Samples:
    return Samples(pictures(3, *size), masks, pictures(3, *size)[:0], 0.5, "3 images")


def onnx_run(path, images: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path.read_bytes())
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    assert (found.name, found.type, found.shape) == ("probabilities", "tensor(float)", ["batch", "height", "width"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def torch_run(path, images: torch.Tensor) -> torch.Tensor:
    return torch.export.load(path).module()(images)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "run"), [("onnx", onnx_run), ("torch", torch_run)])
@pytest.mark.parametrize("normalize", NORMALIZE, ids=lambda normalize: normalize["kind"])
def test_any_size_and_batch_gives_what_the_checkpoint_gives(tmp_path, kind, run, normalize, capsys):
    path = write_checkpoint(tmp_path / "unet.safetensors", normalize=normalize)
    export(path, kind, None, some())
    network = load(path, "cpu").network
    for shape in ((1, 24, 32), (4, 33, 18), (2, 17, 48)):
        images = pictures(*shape)
        assert (
            run(tmp_path / f"unet{exporting.ENDINGS[kind]}", images) - network.probabilities(images)
        ).abs().max() < 1e-5
    out = capsys.readouterr().out
    assert "largest difference of a probability" in out
    assert "on 3 images" in out


@pytest.mark.slow
def test_the_other_network_too_and_through_load(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "resnet34_unet.safetensors"
    save_checkpoint(path, build("resnet34_unet").state_dict(), usable("resnet34_unet", {}, input_size=[32, 32]))
    export(path, "onnx", tmp_path / "other.onnx", some((32, 32)))
    original, exported = load(path, "cpu"), load(tmp_path / "other.onnx")
    assert exported.metadata == original.metadata
    image = pet(7, 70, 50)[0]
    assert np.abs(exported.predict(image).probabilities - original.predict(image).probabilities).max() < 1e-4


@pytest.mark.slow
def test_metadata_is_inside(tmp_path, checkpoint):
    export(checkpoint, "torch", tmp_path / "x.pt2", some())
    files = {"segkit": ""}
    torch.export.load(tmp_path / "x.pt2", extra_files=files)
    assert json.loads(files["segkit"]) == load_checkpoint(checkpoint).metadata


def test_a_program_that_torch_ties_to_its_example_is_refused(tmp_path):
    path = write_checkpoint(tmp_path / "unet.safetensors", size=(16, 16))
    with pytest.raises(InputError, match=r"cannot run at 16x16 px .*; use --format onnx"):
        export(path, "torch", None, some((16, 16)))
    assert not (tmp_path / "unet.pt2").exists()


def test_the_checkpoint_is_never_replaced(checkpoint):
    before = checkpoint.read_bytes()
    for kind, ending in exporting.ENDINGS.items():
        with pytest.raises(InputError, match=f"the name of this format ends in {ending}"):
            export(checkpoint, kind, checkpoint, some())
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_a_difference_is_refused_and_nothing_is_written(tmp_path, checkpoint, monkeypatch, value):
    monkeypatch.setattr(exporting, "_runner", lambda kind, content: lambda images: torch.full(images.shape[:3], value))
    with pytest.raises(InputError, match=r"differs by .* more than 0.001; nothing was written"):
        export(checkpoint, "torch", tmp_path / "x.pt2", some())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("allowed", [1.0, -1.0])
def test_a_quantised_variant_is_kept_if_it_keeps_dice(tmp_path, checkpoint, monkeypatch, capsys, allowed):
    monkeypatch.setattr(exporting, "LOSS", allowed)
    images = pictures(3, 24, 32)
    masks = torch.from_numpy(
        np.stack([np.asarray(pet(number, 32, 24)[1]) == 1 for number in range(3)]).astype(np.uint8)
    )
    (tmp_path / "x.int8.onnx").write_text("of an earlier export")
    export(checkpoint, "onnx", tmp_path / "x.onnx", Samples(images, masks, images, 0.5, "3 images"))
    assert (tmp_path / "x.int8.onnx").exists() == (allowed > 0)
    assert ("kept" if allowed > 0 else "not kept") in capsys.readouterr().out
    if allowed > 0:
        assert load(tmp_path / "x.int8.onnx").predict(pet(1)[0]).mask.any()


def test_samples_are_those_of_the_packed_test_set_or_of_a_folder(tmp_path, checkpoint):
    sample = ("a", np.asarray(pet(0)[0]), (np.asarray(pet(0)[1]) == 1).astype(np.uint8))
    pack(tmp_path / "processed", "stretch", (24, 32), valid=[sample], test=[sample])
    found = samples(checkpoint, None, tmp_path / "processed")
    assert found.check.shape[1:] == (24, 32, 3)
    assert found.masks.shape == found.check.shape[:3]
    assert found.dice(torch.ones(found.check.shape[:3])) < 1
    assert found.words == f"1 of 1 test image of {tmp_path / 'processed'}"

    pet(0)[0].save(tmp_path / "photo.png")
    ours = samples(checkpoint, str(tmp_path / "photo.png"))
    assert ours.check.shape == (1, 24, 32, 3)
    assert ours.dice(ours.check) is None


def test_samples_are_from_all_over_the_splits(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(sampling, "CHECKED", 3)
    monkeypatch.setattr(sampling, "CALIBRATION", 2)
    shades = []
    for number in range(1, 8):
        image, mask = np.full((24, 32, 3), 20 * number, np.uint8), np.eye(24, 32, dtype=np.uint8)
        image[-1] = 0  # an image of one colour would not be packed
        shades.append((str(number), image, mask))
    pack(tmp_path / "processed", "stretch", (24, 32), valid=shades, test=shades)
    found = samples(checkpoint, None, tmp_path / "processed")
    assert found.check[:, 0, 0, 0].tolist() == [20, 80, 140]
    assert found.calibration[:, 0, 0, 0].tolist() == [20, 140]
    assert found.words.startswith("3 of 7 test images of ")
    assert samples(checkpoint, str(tmp_path / "processed_raw")).check.shape[0] == 3


def test_data_packed_in_another_way_than_the_network_saw_is_refused(tmp_path, checkpoint):
    sample = ("a", np.asarray(pet(0)[0]), (np.asarray(pet(0)[1]) == 1).astype(np.uint8))
    pack(tmp_path / "processed", "fit", (24, 32), valid=[sample], test=[sample])
    with pytest.raises(InputError, match=r"no packed data of 24x32 px, preprocess.resize: stretch, in "):
        samples(checkpoint, None, tmp_path / "processed")


def test_an_export_is_not_exported_again(tmp_path):
    with pytest.raises(InputError, match=r"x.onnx is an export itself; name the checkpoint, NAME.safetensors"):
        export(tmp_path / "x.onnx", "torch", None, some())


def test_without_images_the_way_to_name_some_is_said(tmp_path, checkpoint):
    with pytest.raises(InputError, match=r"no packed data of 24x32 px.*; name a folder of images with --images"):
        samples(checkpoint, None, tmp_path / "processed")
    (tmp_path / "broken.png").write_text("no image")
    with pytest.raises(InputError, match=r"--images .*broken.png: not one of"):
        samples(checkpoint, str(tmp_path / "broken.png"))
