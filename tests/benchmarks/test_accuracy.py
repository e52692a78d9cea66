"""The benchmark of accuracy: the report's recipe is that of the documentation, and the plain loop is plain."""

import re

import torch
import yaml
from torch import nn

from benchmarks.accuracy import REPORT, _as_torch_initialises, _table
from segkit.models import build
from tests.tiny import ROOT


def test_the_documented_command_for_the_report_s_recipe_is_that_of_the_benchmark():
    text = (ROOT / "docs/explanation/recipe.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"dvc exp run -n report (.*?)\n```", text, flags=re.DOTALL)
    settings = dict(setting.split("=") for setting in re.findall(r"-S (\S+)", command))
    of_the_data = {"data.source": "oxford_pet", "preprocess.size": "256"}
    found = {key: float(value) if value[0].isdigit() else yaml.safe_load(value) for key, value in settings.items()}
    assert found == REPORT | {key: yaml.safe_load(value) for key, value in of_the_data.items()}


def test_the_plain_loop_s_networks_are_initialised_as_torch_does_outside_the_encoder():
    network = build("resnet34_unet")
    encoder = {name: tensor.clone() for name, tensor in network.stages.state_dict().items()}
    _as_torch_initialises(network)
    assert all(torch.equal(tensor, encoder[name]) for name, tensor in network.stages.state_dict().items())
    layers = [module for module in network.decoder.modules() if isinstance(module, nn.Conv2d)]
    for layer in layers:  # uniform within 1 / sqrt(fan-in), where He's normal goes beyond
        assert layer.weight.abs().max() <= layer.weight[0].numel() ** -0.5


def test_the_table_has_mean_and_deviation_over_seeds():
    scores = {"dice_global": 0.8, "pixel_accuracy_batch": 0.9, "epochs": 3, "seconds": 10.0}
    runs = [{"recipe": "plain", "model": "unet", "seed": seed, "dice": dice, **scores}
            for seed, dice in enumerate((0.7, 0.8, 0.9))]  # fmt: skip
    assert _table(runs).splitlines()[2:] == [
        "| unet | plain | 3 | 3 | 10 | 0.8000 ± 0.1000 | 0.8000 ± 0.0000 | 0.9000 ± 0.0000 |"
    ]
