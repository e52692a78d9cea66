"""What the bench reports, on a network and pictures small enough for a test."""

import json
import subprocess
import sys

import pytest
import torch
import yaml

from segkit.base.errors import InputError
from segkit.reporting import bench
from segkit.reporting.bench import Workload, describe, measure
from tests.tiny import ROOT, changed, small_params

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result():
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "PRODUCT_SIDE", 512)
        measured = measure("unet", small_params(train__batch_size=4), Workload((32, 48), 4, 0.02))
    yield measured
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(deterministic)


def test_rates_are_medians_of_the_rounds(result):
    for name in ("data", "compute", "train"):
        rates = sorted(rounds[name] for rounds in result["rounds"])
        assert result[f"{name}_images_per_second"] == pytest.approx(rates[len(rates) // 2], rel=0.01)
    shares = sorted(rounds["train"] / rounds["compute"] for rounds in result["rounds"])
    assert result["train_share_of_compute"] == pytest.approx(shares[len(shares) // 2], abs=1e-3)
    assert 0 < result["share_of_peak"] < 1.5


def test_floating_point_operations_are_those_of_the_layers(result):
    """A 3×3 convolution of C to K channels takes 2·9·C·K a pixel; backward as much again for weights, and for inputs,
    but for those of the first layer."""
    pixels, width, forward = 32 * 48, 4, 0
    inputs = 3
    for level in range(5):
        outputs = width << level
        forward += 2 * 9 * (inputs + outputs) * outputs * pixels >> 2 * level
        inputs = outputs
    for level in range(4):
        outputs = width << level
        forward += 2 * (2 * outputs) * outputs * pixels >> 2 * level  # up: four output pixels share 2C·K·4
        forward += 2 * 9 * (2 * outputs + outputs) * outputs * pixels >> 2 * level
    forward += 2 * width * 2 * pixels
    first = 2 * 9 * 3 * width * pixels
    assert result["flops_per_image"] == pytest.approx(3 * forward - first, rel=1e-3)


def test_it_says_what_was_measured_on_what(result):
    assert (result["model"], result["size"], result["batch_size"]) == ("unet", [32, 48], 4)
    assert (result["precision"], result["device"], result["threads"]) == ("fp32", "cpu", 1)
    assert result["peak_memory_bytes"] > 2**20
    text = describe(result)
    for part in ("unet, 32x48 px, batch 4, fp32, cpu, 1 threads", "images/s", "GFLOP/s", "GB", "torch"):
        assert part in text


def test_the_command_writes_json(tmp_path):
    tiny = {"unet.width": 2, "preprocess.size": 32, "train.precision": "fp32", "runtime.device": "cpu"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed(tiny)), encoding="utf-8")
    command = [sys.executable, "-m", "segkit", "bench", "--model", "unet", "--size", "16x32", "--batch", "3"]
    done = subprocess.run(
        [*command, "--seconds", "0.02", "--profile", "--json", "bench.json"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    for key in ("data_images_per_second", "compute_images_per_second", "train_images_per_second"):
        assert written[key] > 0
    assert (written["size"], written["batch_size"]) == ([16, 32], 3)
    assert "unet, time by operator" in done.stdout and "convolution_backward" in done.stdout


def test_pretrained_weights_are_not_fetched_for_a_measurement(monkeypatch):
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "PRODUCT_SIDE", 512)
    params = small_params(train__batch_size=2)
    params = params.model_copy(update={"resnet34_unet": params.resnet34_unet.model_copy(update={"pretrained": True})})
    assert measure("resnet34_unet", params, Workload((32, 32), 2, 0.01))["compute_images_per_second"] > 0


def test_a_batch_too_small_for_batch_normalisation_is_refused():
    with pytest.raises(InputError, match=r"a batch of 1 sample at 32x32 px"):
        measure("resnet34_unet", small_params(), Workload((32, 32), 1, 0.01))
