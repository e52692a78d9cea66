"""Exported programs: equal to the checkpoint for any size and batch, with its metadata, or refused."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from segkit.base.errors import InputError
from segkit.dataset.findings import IMAGENET
from segkit.inference import export as exporting
from segkit.inference.export import export
from segkit.inference.model import load
from segkit.inference.samples import Samples, samples
from segkit.models import build
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from tests.inference.conftest import write_checkpoint
from tests.packing import pack
from tests.tiny import ROOT, pet, usable

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

NORMALIZE = (
    {"kind": "image", "mean": [], "std": []},
    {"kind": "dataset", "mean": [0.2, 0.4, 0.6], "std": [0.1, 0.2, 0.3]},
    {"kind": "imagenet"} | IMAGENET,
)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(exporting, "ROUNDS", 1)
    monkeypatch.setattr(exporting, "SECONDS", 0)


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
@pytest.mark.parametrize(
    ("kind", "run", "normalize"),
    [*[("onnx", onnx_run, normalize) for normalize in NORMALIZE], ("torch", torch_run, NORMALIZE[0])],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_any_size_and_batch_gives_what_the_checkpoint_gives(tmp_path, kind, run, normalize, capsys):
    path = write_checkpoint(tmp_path / "unet.safetensors", normalize=normalize)
    made = path.with_suffix(exporting.ENDINGS[kind])
    export(path, kind, None, some())
    network = load(path, "cpu").network
    # Over a large image, the checkpoint's own sums in float32 lose digits; the program's are in float64.
    for shape, most in (
        ((1, 24, 32), 1e-5),
        ((4, 33, 18), 1e-5),
        ((2, 17, 48), 1e-5),
        ((1, 800, 1000), exporting.MOST),
    ):
        images = pictures(*shape)
        assert (run(made, images) - network.probabilities(images)).abs().max() < most
    out, err = capsys.readouterr()
    first, *table = out.splitlines()
    assert first.startswith(f"{made}: largest difference of a probability ") and first.endswith(", on 3 images")
    assert [line.split()[0] for line in table[1:]] == ["checkpoint,", made.name]
    assert err == ""
    content = made.read_bytes()
    assert not [name for name in (ROOT, tmp_path, "site-packages", "export.py") if str(name).encode() in content]


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


def test_a_difference_is_refused_and_nothing_is_written(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(exporting, "_runner", lambda kind, content: lambda images: torch.zeros(images.shape[:3]))
    with pytest.raises(InputError, match=r"differs by .* more than 0.001; nothing was written"):
        export(checkpoint, "torch", tmp_path / "x.pt2", some())
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_no_number_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(
        exporting, "_runner", lambda kind, content: lambda images: torch.full(images.shape[:3], torch.nan)
    )
    with pytest.raises(InputError, match=r"differs by nan .* nothing was written"):
        export(checkpoint, "torch", tmp_path / "x.pt2", some())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("known", "allowed"), [(True, 1.0), (False, 1.0), (True, -1.0)])
def test_a_quantised_variant_is_kept_if_it_keeps_dice(tmp_path, checkpoint, monkeypatch, capsys, known, allowed):
    monkeypatch.setattr(exporting, "LOSS", allowed)
    (tmp_path / "x.int8.onnx").write_text("of an earlier network")
    images = pictures(3, 24, 32)
    masks = torch.from_numpy(
        np.stack([np.asarray(pet(number, 32, 24)[1]) == 1 for number in range(3)]).astype(np.uint8)
    )
    export(checkpoint, "onnx", tmp_path / "x.onnx", Samples(images, masks if known else None, images, 0.5, "3 images"))
    assert (tmp_path / "x.int8.onnx").exists() == (allowed > 0)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(
        "x.int8.onnx: Dice changes by " if known else "x.int8.onnx: its masks agree with the checkpoint's to Dice "
    )
    assert ("; kept" if allowed > 0 else "; not kept") in last
    if allowed > 0:
        assert load(tmp_path / "x.int8.onnx").predict(pet(1)[0]).mask.any()


def test_samples_are_those_of_the_packed_test_set(tmp_path, checkpoint):
    sample = ("a", np.asarray(pet(0)[0]), (np.asarray(pet(0)[1]) == 1).astype(np.uint8))
    pack(tmp_path / "processed", "stretch", (24, 32), valid=[sample], test=[sample])
    found = samples(checkpoint, None, tmp_path / "processed")
    assert found.check.shape[1:] == (24, 32, 3)
    assert found.masks.shape == found.check.shape[:3]
    assert found.dice(torch.ones(found.masks.shape), found.masks) < found.dice(found.masks.float(), found.masks) == 1
    assert len(found.calibration) == 1


def test_of_a_folder_every_second_image_is_for_calibration(tmp_path, checkpoint):
    for number in range(5):
        Image.new("RGB", (32, 24), (50 * number, 0, 0)).save(tmp_path / f"{number}.png")
    found = samples(checkpoint, str(tmp_path))
    assert found.check[:, 0, 0, 0].tolist() == [0, 100, 200]
    assert found.calibration[:, 0, 0, 0].tolist() == [50, 150]
    assert (found.masks, found.words) == (None, f"3 images of {tmp_path}")
    assert samples(checkpoint, str(tmp_path / "0.png")).calibration.shape == (0, 24, 32, 3)


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_an_export_is_not_exported_again(tmp_path, ending):
    (tmp_path / f"x{ending}").write_bytes(b"")
    with pytest.raises(InputError, match=rf"x\{ending} is an export already; name the checkpoint"):
        samples(tmp_path / f"x{ending}", None)


def test_without_images_the_way_to_name_some_is_said(tmp_path, checkpoint):
    with pytest.raises(InputError, match=r"no packed data of 24x32 px, .*; name a folder of images with --images"):
        samples(checkpoint, None, tmp_path / "processed")
    (tmp_path / "broken.png").write_text("no image")
    with pytest.raises(InputError, match=r"--images .*broken.png: not one of"):
        samples(checkpoint, str(tmp_path / "broken.png"))
