"""TensorBoard's HParams tab, asked as its page asks it: a row per experiment and network."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.hparams import api_pb2, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context

from segkit.base.files import read_json
from segkit.base.interrupts import Interrupted, Stop
from segkit.evaluation.evaluate import evaluate
from segkit.training import run
from segkit.training.launch import train
from tests.tiny import make_project, small_params

SHOWN = {"best/valid_dice", "best/valid_loss", "test/dice", "test/iou", "test/dice_original"}
CURVES = {"train/loss", "train/dice", "valid/loss", "valid/dice", "lr", "images_per_second"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    return folder / "data"


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    """A project with data; it is the working directory."""
    (tmp_path / "data").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segkit.evaluation.evaluate.PICTURES", 2)
    for name in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def tab(logs) -> dict[str, tuple[dict, dict[str, float]]]:
    """Settings and scores of each row of the tab, by the row's name."""
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logs))
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=api_pb2.Status.values(),
        aggregation_type=api_pb2.AGGREGATION_AVG,
        include_metrics=True,
    )
    context = Context(SimpleNamespace(data_provider=provider))
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    assert all(len(group.sessions) == 1 for group in groups)
    return {
        group.name: (
            {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
            {value.name.tag: value.value for value in group.metric_values},
        )
        for group in groups
    }


def test_a_training_and_its_evaluation_are_one_row(project):
    params = small_params(train__lr=0.01)
    train("unet", params)
    ((name, (settings, scores)),) = tab(project / "runs").items()
    assert name == "workspace/unet" and set(scores) == CURVES | {"best/valid_dice", "best/valid_loss"}
    evaluate("unet", params)
    ((name, (settings, scores)),) = tab(project / "runs").items()
    assert name == "workspace/unet" and set(scores) == CURVES | SHOWN
    assert settings.items() >= {"model": "unet", "train.lr": 0.01, "train.optimizer": "adamw", "seed": 0}.items()
    assert settings["architecture.width"] == 4 and settings["input_size"] == "32x32" and len(settings["data"]) == 8
    assert not [value for value in settings.values() if not isinstance(value, float | str)]
    metrics, training = (read_json(project / f"metrics/{path}unet.json") for path in ("", "training/"))
    expected = {f"test/{key}": metrics[key] for key in ("dice", "iou", "dice_original")}
    expected |= {f"best/valid_{key}": training[f"best_valid_{key}"] for key in ("dice", "loss")}
    assert {key: scores[key] for key in SHOWN} == pytest.approx(expected)


def test_a_resumed_or_repeated_run_stays_one_row(project, monkeypatch):
    stop, steps = Stop(), []
    forward = run.Engine._forward

    def counting(engine, *arguments):
        steps.append(1)
        stop.number = 15 if len(steps) == 9 else 0
        return forward(engine, *arguments)

    with monkeypatch.context() as context, pytest.raises(Interrupted):
        context.setattr(run.Engine, "_forward", counting)
        run.train("unet", small_params(), torch.device("cpu"), stop=stop)
    for _ in range(2):
        train("unet", small_params())
    for threshold in (0.5, 0.2):
        line = evaluate("unet", small_params(evaluate__threshold=threshold))
        assert "TensorBoard" not in line
    ((name, (_, scores)),) = tab(project / "runs").items()
    assert name == "workspace/unet"
    assert scores["test/dice"] == pytest.approx(read_json(project / "metrics/unet.json")["dice"])
    folder = project / "runs/workspace/unet"
    assert len(list(folder.glob("*.evaluate"))) == 1 and [path for path in folder.iterdir() if path.is_dir()] == []


def test_every_experiment_has_its_rows_and_the_tab_all_columns(project, monkeypatch):
    for name, settings in (("amber-newt", {}), ("wider", {"unet__width": 8})):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        train("unet", small_params(**settings))
        evaluate("unet", small_params(**settings))
    rows = tab(project / "runs")
    assert {name: row[0]["architecture.width"] for name, row in rows.items()} == {"amber-newt/unet": 4, "wider/unet": 8}
    assert all(set(scores) > SHOWN for _, scores in rows.values())


def test_a_checkpoint_without_a_log_gets_a_row_without_curves(project):
    train("unet", small_params())
    expected = tab(project / "runs")["workspace/unet"][0]
    shutil.rmtree(project / "runs")
    evaluate("unet", small_params())
    settings, scores = tab(project / "runs")["workspace/unet"]
    assert settings == expected and set(scores) == SHOWN


def test_the_log_of_another_training_is_left_alone(project):
    train("unet", small_params())
    checkpoint = (project / "models/unet.safetensors").read_bytes()
    train("unet", small_params(train__lr=0.01))
    before = tab(project / "runs")
    (project / "models/unet.safetensors").write_bytes(checkpoint)
    line = evaluate("unet", small_params())
    assert line.endswith("; not added to TensorBoard, as runs/workspace/unet is the log of another training")
    assert tab(project / "runs") == before
    (project / "runs/workspace/unet/hparams.json").unlink()  # as of a training that has not ended
    assert "the log of another training" in evaluate("unet", small_params())
