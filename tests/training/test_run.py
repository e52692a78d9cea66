"""A whole training on a tiny set: what it writes, and that it writes the same again."""

import copy
import csv
import json
import shutil

import numpy as np
import pytest
import torch

import segkit
from segkit.augment.plan import make_plan, order, read_plan, write_plan
from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.base.files import digest, read_json
from segkit.base.packed import open_split, read_samples
from segkit.models.checkpoint import load_checkpoint
from segkit.models.device import choose_precision
from segkit.models.normalize import Normalizer
from segkit.training.batches import plain_batches
from segkit.training.launch import train
from segkit.training.logbook import CURVE_COLUMNS
from segkit.training.loop import Engine, Totals
from segkit.training.run import create, refuse_batch_size
from tests.packing import pack
from tests.tiny import augmentation, engine, make_project, small_params

CPU = torch.device("cpu")
TRACKED = ("models/unet.safetensors", "metrics/training/unet.json", "metrics/curves/unet.csv")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    return folder / "data"


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    """An empty project with data; it is the working directory."""
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return tmp_path


def curves(project, name: str = "unet") -> list[dict[str, float]]:
    with open(project / "metrics" / "curves" / f"{name}.csv", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_it_writes_checkpoint_metrics_and_curves_that_agree(project, capsys):
    line = train("unet", small_params(train__epochs=3))
    written = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert set(TRACKED) <= written
    assert all(name.startswith(("runs/workspace/unet/", ".segkit/locks/")) for name in written - set(TRACKED))
    rows = curves(project)
    assert tuple(rows[0]) == CURVE_COLUMNS == ("epoch", "train_loss", "valid_loss", "train_dice", "valid_dice", "lr")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {row["lr"] for row in rows} == {0.001}
    best = min(rows, key=lambda row: row["valid_loss"])
    metrics = read_json(project / "metrics/training/unet.json")
    assert metrics == {
        "epochs": 3,
        "best_epoch": best["epoch"],
        "best_valid_loss": pytest.approx(best["valid_loss"], rel=1e-5),
        "best_valid_dice": pytest.approx(best["valid_dice"], rel=1e-5),
        "stopped_early": False,
        "parameters": sum(p.numel() for p in create("unet", small_params()).parameters()),
    }
    assert "models/unet.safetensors: valid Dice" in line and "of 3" in line
    assert capsys.readouterr().out.count("\nepoch ") == 3


def test_the_checkpoint_says_everything_needed_to_use_it(project):
    params = small_params(preprocess__normalize="dataset", seed=5, unet__train={"lr": 0.01})
    train("unet", params)
    metadata = load_checkpoint(project / "models/unet.safetensors").metadata
    summary = read_json(project / "data/processed/summary.json")
    assert metadata["model"] == "unet"
    assert metadata["architecture"] == {"width": 4, "norm": "batch"}
    assert metadata["input_size"] == [32, 32]
    assert metadata["normalize"] == {"kind": "dataset"} | summary["normalize"]["dataset"]
    assert (metadata["threshold"], metadata["tta"]) == (0.5, params.evaluate.tta)
    assert metadata["classes"] == {"0": "background", "1": "foreground"}
    assert (metadata["border"], metadata["resize"], metadata["seed"]) == ("foreground", "stretch", 5)
    assert metadata["train"] == {
        "epochs": 2, "batch_size": 4, "loss": {"cross_entropy": 1.0, "dice": 0.0}, "optimizer": "adamw",
        "schedule": "constant", "warmup": 0.0, "small_images": params.train.small_images, "lr": 0.01,
        "weight_decay": params.train.weight_decay, "select": "loss", "patience": 7, "precision": "fp32",
    }  # fmt: skip
    assert metadata["precision"] == "fp32"
    assert metadata["pretrained"] is False
    assert metadata["samples"] == {"none": 12, "combine": 12}
    assert metadata["version"] == segkit.__version__
    assert metadata["combine"] == params.augment.combine.model_dump()
    assert len(metadata["data_fingerprint"]) == 64
    result = read_json(project / "metrics/training/unet.json")
    assert metadata["valid"] == {
        "loss": result["best_valid_loss"],
        "dice": result["best_valid_dice"],
        "epoch": result["best_epoch"],
    }


def test_the_same_training_elsewhere_writes_the_same_bytes(project, tmp_path_factory, monkeypatch):
    train("unet", small_params())
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(project / "data", elsewhere / "data")
    monkeypatch.chdir(elsewhere)
    train("unet", small_params())
    assert [digest(elsewhere / name) for name in TRACKED] == [digest(project / name) for name in TRACKED]


def test_another_seed_trains_other_weights(project):
    train("unet", small_params())
    first = digest(project / "metrics/curves/unet.csv")
    train("unet", small_params(seed=1))
    assert digest(project / "metrics/curves/unet.csv") != first


def test_the_fingerprint_of_the_data_follows_the_plan(project):
    train("unet", small_params())
    before = load_checkpoint(project / "models/unet.safetensors").metadata["data_fingerprint"]
    (project / "data").unlink()
    make_project(project, n_aug=2)
    train("unet", small_params(augment__n_aug=2))
    after = load_checkpoint(project / "models/unet.safetensors").metadata["data_fingerprint"]
    assert after != before


def test_the_weights_kept_are_those_of_the_lowest_validation_loss(project, monkeypatch):
    losses, weights = [0.9, 0.5, 0.7, 0.6, 0.4], []

    def validate(engine, batches):
        weights.append({name: tensor.clone() for name, tensor in engine.model.state_dict().items()})
        return Totals([torch.tensor([losses[len(weights) - 1], 0.1 * len(weights)])], [torch.tensor([1, 1])])

    monkeypatch.setattr(Engine, "validate", validate)
    train("unet", small_params(train__epochs=5, train__patience=2))
    result = read_json(project / "metrics/training/unet.json")
    assert (result["epochs"], result["best_epoch"], result["stopped_early"]) == (4, 2, True)
    assert (result["best_valid_loss"], result["best_valid_dice"]) == pytest.approx((0.5, 0.2))
    assert len(curves(project)) == 4
    saved = load_checkpoint(project / "models/unet.safetensors").model.state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in weights[1].items())
    assert any(not torch.equal(saved[name], tensor) for name, tensor in weights[3].items())


def test_the_saved_network_has_the_validation_loss_that_was_written(project):
    params = small_params(train__lr=0.01, train__epochs=3)
    train("unet", params)
    checkpoint = load_checkpoint(project / "models/unet.safetensors")
    learner = engine(checkpoint.model)
    normalizer = Normalizer.from_metadata(checkpoint.metadata["normalize"])
    valid = open_split(project / "data/processed", "valid")
    loss, dice = learner.means(learner.validate(plain_batches(valid, normalizer, batch_size=1, device=CPU)))
    assert checkpoint.metadata["valid"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert checkpoint.metadata["valid"]["dice"] == pytest.approx(dice, rel=1e-4)


def test_it_learns(project):
    train("unet", small_params(train__lr=0.01, train__epochs=12, unet__width=8))
    rows = curves(project)
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert max(row["valid_dice"] for row in rows) > 0.9


def test_the_other_network_trains_too(project):
    train("resnet34_unet", small_params(train__epochs=1))
    checkpoint = load_checkpoint(project / "models/resnet34_unet.safetensors")
    assert (checkpoint.metadata["model"], checkpoint.metadata["architecture"]) == ("resnet34_unet", {"bridge": 256})
    result = read_json(project / "metrics/training/resnet34_unet.json")
    assert (result["epochs"], result["best_epoch"], result["parameters"]) == (1, 1, 21_827_073)
    assert len(curves(project, "resnet34_unet")) == 1


def test_logs_and_timings_lie_in_the_main_checkout_of_the_experiment(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    monkeypatch.setenv("DVC_EXP_NAME", "tall-hare")
    train("unet", small_params(train__epochs=1))
    folder = tmp_path / "main" / "runs" / "tall-hare" / "unet"
    timing = read_json(folder / "timing.json")
    assert (timing["device"], timing["precision"], timing["epochs"]) == ("cpu", "fp32", 1)
    assert timing["seconds"] > 0 and timing["training_images_per_second"] > 0 and timing["peak_memory_bytes"] > 2**20
    assert any(path.name.startswith("events.out.tfevents") for path in folder.iterdir())
    assert not (project / "runs").exists()


def test_the_precision_that_auto_chose_is_recorded(project):
    train("unet", small_params(train__precision="auto", train__epochs=1))
    metadata = load_checkpoint(project / "models/unet.safetensors").metadata
    assert metadata["precision"] == choose_precision("auto", CPU)
    assert metadata["train"]["precision"] == "auto"


def test_weights_are_saved_in_float32_whatever_the_precision(project):
    train("unet", small_params(train__precision="bf16", train__epochs=1))
    weights = load_checkpoint(project / "models/unet.safetensors").model.state_dict()
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float32}


def test_a_training_that_diverges_is_one_line_and_leaves_no_checkpoint(project, capsys, monkeypatch):
    monkeypatch.setattr("segkit.training.run.create", diverging)
    assert run_command("train_unet", lambda: train("unet", small_params())) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("train_unet: unet, epoch 1, step 1 of train: the loss is no longer finite, with the sample")
    assert "no epoch was finished before" in line
    assert not (project / "models").exists()


def test_a_step_that_diverges_is_named_with_its_samples_and_the_best_weights_are_kept(project, monkeypatch):
    count, validated = Engine._count, []

    def validate(engine, batches):
        validated.append(copy.deepcopy(engine.model.state_dict()))
        return Totals([torch.tensor([1.0, 0.5])], [torch.tensor([1, 1])])

    def poisoned(engine, totals, sums, *rest):
        count(engine, totals, sums * float("inf") if validated and len(totals) == 4 else sums, *rest)

    monkeypatch.setattr(Engine, "validate", validate)
    monkeypatch.setattr(Engine, "_count", poisoned)
    with pytest.raises(InputError) as caught:
        train("unet", small_params(train__epochs=5))
    names = [row["name"] for row in read_samples(project / "data/processed", "train")]
    plan = read_plan(project / "data/augmented/plan.csv", len(names), small_params().augment)
    rows = plan.source_rows[order(plan, seed=0, epoch=1)[16:20]]
    assert "unet, epoch 2, step 5 of train: the loss is no longer finite, with the samples " in str(caught.value)
    assert f" {', '.join(dict.fromkeys(names[row] for row in rows))};" in str(caught.value)
    assert "the best weights so far, of epoch 1, are in" in str(caught.value)
    best = load_checkpoint(project / "runs/workspace/unet/best.safetensors")
    assert best.metadata["valid"]["epoch"] == 1
    assert all(torch.equal(tensor, validated[0][name]) for name, tensor in best.model.state_dict().items())
    assert not (project / "models").exists()


def test_windows_are_named_after_their_image_once(tmp_path, monkeypatch):
    numbers = np.random.default_rng(0)
    images = {
        split: [(str(n), numbers.integers(0, 256, (60, 70, 3), np.uint8), np.eye(60, 70, dtype=np.uint8))
                for n in range(count)]
        for split, count in (("train", 2), ("valid", 1), ("test", 1))
    }  # fmt: skip
    pack(tmp_path / "data/processed", "tile", (32, 32), **images)
    samples = len(open_split(tmp_path / "data/processed", "train"))
    write_plan(tmp_path / "data/augmented/plan.csv", make_plan(samples, augmentation("combine", 1)))
    monkeypatch.chdir(tmp_path)
    train("unet", small_params(train__epochs=1))
    assert load_checkpoint("models/unet.safetensors").metadata["resize"] == "tile"
    monkeypatch.setattr("segkit.training.run.create", diverging)
    with pytest.raises(InputError, match=r"with the samples train_\d(, train_\d)?;"):
        train("unet", small_params(train__epochs=2))


def test_a_network_that_has_learned_nothing_is_told_in_the_last_line(project, monkeypatch):
    assert "no better than" not in train("unet", small_params(train__lr=0.01, train__epochs=12, unet__width=8))
    zero = Totals([torch.tensor([0.5, 0.0])], [torch.tensor([1, 1])])
    monkeypatch.setattr(Engine, "validate", lambda engine, batches: zero)
    assert "; no better than predicting everything (Dice 0." in train("unet", small_params())


def test_a_validation_that_diverges_is_named_with_its_samples(project, monkeypatch):
    bad = [torch.tensor([0.0, 1.0]), torch.tensor([float("inf"), 0.0])]
    monkeypatch.setattr(Engine, "validate", lambda engine, batches: Totals(bad, [torch.tensor([1, 1])] * 2))
    last = read_samples(project / "data/processed", "valid")[1]["name"]
    with pytest.raises(InputError, match=rf"epoch 1, step 2 of valid: the loss is no longer finite, .* {last};"):
        train("unet", small_params(train__batch_size=1))


def test_a_batch_too_small_for_batch_normalisation_is_refused_before_training(project):
    with pytest.raises(InputError, match=r"train\.batch_size: a batch of 1 sample at 32x32 px"):
        train("resnet34_unet", small_params(train__batch_size=1))


def test_a_batch_larger_than_an_epoch_is_refused_before_training(project, capsys):
    assert run_command("train_unet", lambda: train("unet", small_params(train__batch_size=1000))) == 2
    expected = "train_unet: train.batch_size: 1,000 is larger than the 24 samples of an epoch; lower it\n"
    assert capsys.readouterr() == ("", expected)
    assert not (project / "models").exists()


def test_a_batch_may_be_the_whole_epoch():
    refuse_batch_size(24, 24)
    with pytest.raises(InputError, match="25 is larger than the 24 samples"):
        refuse_batch_size(25, 24)


def diverging(name, params):
    model = create(name, params)
    with torch.no_grad():
        model.head.bias.fill_(float("nan"))
    return model


@pytest.mark.parametrize("missing", ["processed/summary.json", "processed/train/images.npy", "augmented/plan.csv"])
def test_missing_data_are_named_with_what_to_run(project, tmp_path_factory, monkeypatch, missing):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(project / "data", elsewhere / "data")
    monkeypatch.chdir(elsewhere)
    (elsewhere / "data" / missing).unlink()
    with pytest.raises(InputError, match=rf"data/{missing}.*run 'dvc repro"):
        train("unet", small_params())


def test_a_plan_of_another_training_set_is_refused(project, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    make_project(elsewhere, trainval=8)
    shutil.copy(project / "data/augmented/plan.csv", elsewhere / "data/augmented/plan.csv")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(InputError, match="is not the plan for 7 training samples"):
        train("unet", small_params())


def test_tracked_files_name_no_place(project):
    train("unet", small_params())
    for name in TRACKED:
        content = (project / name).read_bytes()
        assert str(project).encode() not in content
    assert json.loads((project / TRACKED[1]).read_text()).keys() >= {"epochs", "parameters"}
