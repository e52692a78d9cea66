"""Training from weights that others trained: how images are normalised, what is recorded, the encoder's own rate."""

import hashlib
import io
import json

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet34

from segkit.base.interrupts import Stop
from segkit.base.workspace import Paths
from segkit.models import pretrained
from segkit.models.checkpoint import load_checkpoint
from segkit.training import launch, run
from segkit.training.distributed import World
from segkit.training.fit import Fit
from segkit.training.logbook import Logbook
from tests.tiny import make_project, small_params
from tests.training.conftest import Recorder

CPU = torch.device("cpu")
NAME = "resnet34_unet"
OWN = "own.safetensors"


@pytest.fixture(scope="module")
def start() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return resnet34().state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, start):
    """Data, the weights as torchvision publishes them in ``weights``, and as a user's file."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    file = io.BytesIO()
    torch.save(start, file)
    (folder / "weights").mkdir()
    name = f"resnet34-{hashlib.sha256(file.getvalue()).hexdigest()[:8]}.pth"
    (folder / "weights" / name).write_bytes(file.getvalue())
    save_file(start, folder / OWN)
    return folder


@pytest.fixture
def project(folder, tmp_path, monkeypatch):
    for name in ("data", "weights", OWN):
        (tmp_path / name).symlink_to(folder / name)
    (file,) = (folder / "weights").iterdir()
    monkeypatch.setattr(pretrained, "IMAGENET_URL", f"http://127.0.0.1:9/{file.name}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return tmp_path


def params(pretrained: bool | str = False, encoder_lr: float = 1.0, normalize: str = "image", **changes):
    """Two steps an epoch."""
    own = {"resnet34_unet.pretrained": pretrained, "resnet34_unet.encoder_lr": encoder_lr}
    plain = {"runtime.weights_dir": "weights", "train.batch_size": 12, "train.epochs": 1}
    return small_params(**plain | own | {"preprocess.normalize": normalize} | changes)


def batches(name: str, chosen) -> list[torch.Tensor]:
    _, given, _ = run.read_data(name, chosen, Paths(), CPU, World())
    return [batch.images for batch in given.epoch(0)]


def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def metadata_of(chosen, name: str = NAME) -> dict:
    summary, given, _ = run.read_data(name, chosen, Paths(), CPU, World())
    return run.describe(name, chosen, summary, given, run.build_engine(name, chosen, CPU), Paths())


def test_imagenet_weights_get_imagenet_s_normalisation_and_the_other_network_keeps_its_own(project):
    imagenet, image = (batches(NAME, params(normalize=kind)) for kind in ("imagenet", "image"))
    assert same(batches(NAME, params(True)), imagenet) and not same(image, imagenet)
    assert same(batches("unet", params(True)), image)
    assert same(batches(NAME, params(OWN)), image)
    assert same(batches(NAME, params(OWN, normalize="imagenet")), imagenet)


@pytest.mark.slow
def test_the_checkpoint_records_imagenet_s_normalisation_and_the_first_lines_say_so(project, capsys):
    launch.train(NAME, params(True))
    out = capsys.readouterr().out
    assert f"\n{NAME}: normalised as its pretrained weights need it (imagenet), not as preprocess.normalize" in out
    metadata = load_checkpoint(project / f"models/{NAME}.safetensors").metadata
    summary = json.loads((project / "data/processed/summary.json").read_text())
    assert metadata["normalize"] == {"kind": "imagenet"} | summary["normalize"]["imagenet"]
    assert (metadata["pretrained"], metadata["encoder_lr"], metadata["architecture"]) == (True, 1.0, {"bridge": 256})


def test_a_network_starts_with_the_weights_of_the_file(project, start):
    for setting in (True, OWN):
        model = run.create(NAME, params(setting))
        assert torch.equal(model.stem[0].weight, start["conv1.weight"])
        assert torch.equal(model.stages[3][2].bn2.running_var, start["layer4.2.bn2.running_var"])
    fresh = run.create(NAME, params())
    assert not torch.equal(fresh.stem[0].weight, start["conv1.weight"])


def test_a_file_is_recorded_by_name_and_content_and_no_folder(project, start):
    first = metadata_of(params(str(project / OWN)))
    assert first["pretrained"] == {"file": OWN, "sha256": hashlib.sha256((project / OWN).read_bytes()).hexdigest()}
    assert str(project) not in json.dumps(first)
    (project / OWN).unlink()
    save_file(start | {"bn1.bias": start["bn1.bias"] + 1}, project / OWN)
    second = metadata_of(params(str(project / OWN)))
    assert run._fingerprint(second) != run._fingerprint(first)
    assert first["normalize"]["kind"] == second["normalize"]["kind"] == "image"


def test_the_encoder_s_rate_is_part_of_the_fingerprint_and_the_folder_of_downloads_is_not(project):
    first = metadata_of(params())
    assert (first["pretrained"], first["encoder_lr"]) == (False, 1.0)
    assert run._fingerprint(metadata_of(params(encoder_lr=0.5))) != run._fingerprint(first)
    assert metadata_of(params(**{"runtime.weights_dir": "elsewhere"})) == first
    assert "encoder_lr" not in metadata_of(params(), "unet")


def fitted(chosen, saver=None, state=None) -> Fit:
    """A whole training in memory, or the rest of one."""
    _, given, validation = run.read_data(NAME, chosen, Paths(), CPU, World())
    fit = Fit(
        NAME, run.build_engine(NAME, chosen, CPU), chosen.resnet34_unet.train, Logbook(None, None, 1), saver, Stop()
    )
    if state:
        fit.restore(state)
    fit.run(given, validation)
    return fit


@pytest.mark.slow
def test_a_training_with_two_rates_resumes_exactly_and_its_curve_shows_that_of_the_rest(project):
    chosen, recorder = params(OWN, 0.1, **{"train.schedule": "cosine", "train.epochs": 2}), Recorder()
    whole = fitted(chosen, recorder)
    rest, encoder = whole.engine.optimizer.param_groups
    assert encoder["lr"] == rest["lr"] * 0.1
    assert whole.logbook.rows[-1][-1] == rest["lr"]
    assert len(recorder.states) == 6  # after each of two steps, and at the end of each epoch
    for state in (recorder.states[0], recorder.states[4]):  # within each epoch
        resumed = fitted(chosen, state=state)
        assert resumed.logbook.rows == whole.logbook.rows
        for part in ("model", "optimizer", "stopping"):
            assert bits(resumed.state()[part]) == bits(whole.state()[part]), part


def bits(value: object) -> object:
    """Nested values with each tensor as its bytes."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(inner) for key, inner in value.items()}
    return [bits(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_a_frozen_encoder_keeps_its_weights_and_the_rest_learns(project, start):
    before = run.create(NAME, params(OWN)).head.weight.clone()
    model = fitted(params(OWN, 0.0)).engine.model
    assert torch.equal(model.stem[0].weight, start["conv1.weight"])
    assert torch.equal(model.stages[3][2].conv2.weight, start["layer4.2.conv2.weight"])
    assert not torch.equal(model.head.weight, before)
