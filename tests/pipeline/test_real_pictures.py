"""All six stages on real photographs in the layout of Oxford-IIIT Pet, by parameters alone."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from segkit.base.params import MODEL_NAMES
from tests.pipeline.import_graph import ROOT
from tests.pipeline.workspace import Workspace, stages_run

PETS = Path(os.environ.get("SEGKIT_PETS3") or ROOT.parent / "shared" / "data" / "pets3")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PETS / "images.tar.gz").is_file(), reason="set SEGKIT_PETS3 to the folder of the archives"),
]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def pets(reproduced: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = reproduced.copy(tmp_path_factory.mktemp("pets") / "pets")
    settings = (
        "data.source=oxford_pet",
        f"data.oxford_pet.urls=['{PETS.resolve().as_uri()}']",
        "augment.n_aug=0",
        "train.epochs=1",
    )
    output = workspace.dvc("exp", "run", *(word for setting in settings for word in ("-S", setting))).stdout
    assert len(stages_run(output)) == 7
    return workspace


def test_official_split_is_kept_and_every_tenth_picture_validates(pets: Workspace):
    samples = table(pets.root / "data/processed/samples.csv")
    assert Counter(sample["split"] for sample in samples) == {"train": 270, "valid": 30, "test": 298}
    named = [
        line.split()[0] for line in (pets.root / "data/raw/download/annotations/trainval.txt").read_text().splitlines()
    ]
    assert [sample["name"] for sample in samples if sample["split"] == "valid"] == named[::10]
    assert all(sample["group"] for sample in samples)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_scores_of_real_pictures_are_scores(pets: Workspace, name: str):
    scores = json.loads((pets.root / f"metrics/scores/{name}.json").read_text())
    assert [scores[split]["images"] for split in ("valid", "test", "test_original")] == [30, 298, 298]
    for block in scores.values():
        assert all(0 <= value <= 1 for key, value in block.items() if key != "images")
        assert block["dice_global"] == pytest.approx(2 * block["iou_global"] / (1 + block["iou_global"]))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_real_test_picture_has_its_line_and_some_have_their_picture(pets: Workspace, name: str):
    lines = table(pets.root / f"metrics/per_image/{name}.csv")
    samples = table(pets.root / "data/processed/samples.csv")
    assert len(lines) == 298
    assert [line["name"] for line in lines] == [sample["name"] for sample in samples if sample["split"] == "test"]
    pictures = {path.name for path in (pets.root / "metrics/pictures" / name).iterdir()}
    assert {f"{kind}_{number:02d}.png" for kind in ("sample", "worst") for number in range(1, 13)} <= pictures
