"""Results to report on: tiny networks that the real ``evaluate`` scored, as the stages leave them."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from segkit.base.files import write_csv, write_json
from segkit.dataset.preprocess import preprocess
from segkit.evaluation.evaluate import evaluate
from segkit.models import build
from segkit.models.checkpoint import save_checkpoint
from segkit.reporting.page.collect import CURVES, Run
from segkit.training.logbook import EPOCH_COLUMNS
from tests.browser import browser  # noqa: F401
from tests.tiny import RawSet, changed, options, pet, small_params, usable

ODD = "Größe_<b>&amp;'1"  # shown as it is only if it is escaped
ARCHITECTURES = {"unet": {"width": 2}, "resnet34_unet": {"bridge": 16}}
EPOCHS = 5


def write_checkpoint(folder: Path, name: str, seed: int = 0, **more: object) -> None:
    """A network of random weights that calls about half of all pixels foreground."""
    torch.manual_seed(seed)
    model = build(name, **ARCHITECTURES[name]).eval()
    with torch.inference_mode():
        logits = model(torch.randn(4, 3, 32, 32))
        model.head.bias[-1] -= (logits[:, -1] - (logits[:, 0] if logits.shape[1] > 1 else 0)).median()
    metadata = usable(name, ARCHITECTURES[name], data_fingerprint="f" * 64, **more)
    save_checkpoint(folder / f"models/{name}.safetensors", model.state_dict(), metadata)


def write_training(folder: Path, name: str) -> None:
    """What a training leaves beside its checkpoint, and of the U-Net the run's own record."""
    epochs = range(1, EPOCHS + 1)
    curves = [[epoch, 1 / epoch, 1.2 / epoch, 1 - 0.4 / epoch, 1 - 0.5 / epoch, 0.001] for epoch in epochs]
    write_csv(folder / f"metrics/curves/{name}.csv", CURVES, curves)
    training = {"epochs": EPOCHS, "best_epoch": 4, "best_valid_dice": 0.875, "stopped_early": False, "parameters": 1234}
    write_json(folder / f"metrics/training/{name}.json", training)
    if name == "unet":
        rows = [[epoch, 10.5, 2.25, 30, int(epoch == 3)] for epoch in epochs]
        write_csv(folder / f"runs/workspace/{name}/epochs.csv", EPOCH_COLUMNS, rows)


def evaluated(folder: Path, names: tuple[str, ...], **more: object) -> None:
    """Evaluate networks on ``folder/data/processed``."""
    raw = yaml.safe_dump(changed({"preprocess.size": 32, "runtime.device": "cpu"}))
    (folder / "params.yaml").write_text(raw, encoding="utf-8")
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("segkit.evaluation.evaluate.PICTURES", 1)
        for name in names:
            write_checkpoint(folder, name, **more)
            write_training(folder, name)
            evaluate(name, small_params(evaluate__tta="flip"))
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """Both networks on 31 images, one of which has a name like HTML; made without git and DVC."""
    folder = tmp_path_factory.mktemp("reported")
    raw = RawSet(folder / "data/raw", trainval=14, test=30)
    raw.add("test", ODD, *pet(99))
    preprocess(raw.folder, folder / "data/processed", options(), workers=1, source="synthetic")
    evaluated(folder, ("unet", "resnet34_unet"))
    return folder


@pytest.fixture
def copy(project, tmp_path, monkeypatch) -> Path:
    """The same with the U-Net alone, for a test to change; it is the working directory."""
    folder = tmp_path / "copy"
    shutil.copytree(project, folder, ignore=lambda _, names: [name for name in names if "resnet34" in name])
    monkeypatch.chdir(folder)
    return folder


def changed_summary(run: Run, **changes) -> Run:
    """The same results of data whose summary says something else."""
    return Run(run.networks, run.summary | changes, run.paths)
