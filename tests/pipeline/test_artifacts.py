"""A model leaves the repository by its name, and works elsewhere with its file alone."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.pipeline.workspace import Workspace
from tests.tiny import ROOT, pet


def test_a_registered_model_predicts_in_an_empty_folder(private: Workspace, tmp_path: Path):
    private.git("tag", "--annotate", "resnet34-unet@v1.0.0", "--message", "First")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere = dataclasses.replace(private, root=folder, env=private.env | {"PYTHONPATH": str(ROOT)})
    elsewhere.dvc("artifacts", "get", str(private.root), "resnet34-unet")
    assert [path.name for path in folder.iterdir()] == ["resnet34_unet.safetensors"]

    pet(0, 70, 50)[0].save(folder / "photo.jpg")
    command = (sys.executable, "-m", "segkit", "predict", "resnet34_unet.safetensors", "photo.jpg", "--out", "masks")
    done = elsewhere.run(*command)
    assert done.stdout.startswith("segkit predict: 1 image in masks")
    mask = np.asarray(Image.open(folder / "masks/photo_mask.png"))
    assert mask.shape == (50, 70)
    assert set(np.unique(mask)) <= {0, 255}
