"""Study files: whole or refused in one line, and every run's parameters checked before anything is queued."""

from pathlib import Path

import pytest

from benchmarks.accuracy import REPORT
from segkit.base.errors import InputError
from segkit.base.overrides import flattened
from segkit.base.yaml_file import read_yaml
from segkit.reporting.studies.definition import read_study, used_by
from tests.reporting.studies.made import study
from tests.tiny import ROOT, raw_params

PUBLISHED = {
    ("unet", 1e-3, "none"): 0.7839,
    ("resnet34_unet", 1e-3, "none"): 0.9211,
    ("unet", 1e-3, "combine 1"): 0.9134,
    ("resnet34_unet", 1e-3, "combine 1"): 0.9479,
    ("unet", 1e-3, "flip 1"): 0.9288,
    ("resnet34_unet", 1e-3, "flip 1"): 0.9337,
    ("unet", 1e-3, "combine 2"): 0.9299,
    ("resnet34_unet", 1e-3, "combine 2"): 0.9390,
    ("unet", 1e-4, "combine 1"): 0.9309,
    ("resnet34_unet", 1e-4, "combine 1"): 0.9323,
    ("unet", 1e-4, "combine 2"): 0.9282,
}


def fault(folder, text: str, *settings: str) -> str:
    with pytest.raises(InputError) as caught:
        study(folder, text, *settings)
    return str(caught.value).replace(f"{folder}/mine.yaml", "FILE")


def test_experiments_are_named_after_study_run_and_seed(tmp_path):
    made = study(tmp_path, "seeds: [0, 7]\nruns:\n  a: {model: unet}\n  b: {model: unet, seeds: [3]}\n")
    assert [each.name for each in made.experiments] == ["mine-a-s0", "mine-a-s7", "mine-b-s3"]
    assert [each.settings["seed"] for each in made.experiments] == [0, 7, 3]


def test_the_run_overrides_the_study_and_the_command_line_overrides_both(tmp_path):
    text = "set: {train.lr: 1e-2, train.epochs: 9}\nruns: {a: {model: unet, set: {train.lr: 1e-4, train.patience: 3}}}"
    (row,) = study(tmp_path, text, "train.patience=5").rows
    assert row.settings == {"train.lr": 1e-4, "train.epochs": 9, "train.patience": 5}
    assert row.experiments[0].used["unet.train.lr"] == 1e-4


def test_parameters_that_cannot_change_a_result_are_not_compared():
    raw = raw_params()
    raw["data"]["source"] = "oxford_pet"
    used = used_by("unet", raw)
    assert {"seed", "data.source", "preprocess.size", "augment.combine.blur", "unet.width", "unet.train.lr"} <= set(
        used
    )
    others = ("runtime", "resnet34_unet", "data.synthetic", "data.folder", "data.oxford_pet.urls")
    assert not [key for key in used if key.startswith(others)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "FILE is empty; a study lists runs"),
        ("seeds: [0]", "FILE: runs: missing"),
        ("runs: [a]", "FILE: runs: must be a mapping of keys, not ['a']"),
        ("runs: {}", "FILE: runs: there are none; name at least one"),
        ("run: {a: {model: unet}}", "run: unknown key; did you mean runs?"),
        (
            "runs: {a: {model: unett}}",
            "FILE: runs.a.model: must be 'unet' or 'resnet34_unet', not 'unett' (did you mean",
        ),
        ("runs: {a: {modell: unet}}", "runs.a.modell: unknown key; did you mean runs.a.model?"),
        ("runs: {a: {model: unet, published: 78.4}}", "FILE: runs.a.published: must be less than or equal to 1"),
        ("runs: {a: {model: unet}, a: {model: unet}}", "FILE: line 1: duplicate key a"),
        ("runs: {a b: {model: unet}}", "FILE: 'a b' cannot be part of an experiment's name"),
        ("seeds: []\nruns: {a: {model: unet}}", "FILE: seeds: must have at least 1 value, not []"),
        ("seeds: [1, 1]\nruns: {a: {model: unet}}", "FILE: runs.a: seeds [1, 1] has one number twice"),
        ("runs: {a: {model: unet, set: {seed: 3}}}", "FILE: runs.a: seed is set; list the seeds under 'seeds'"),
        ("runs: {a: {model: unet, set: {train.l: 3}}}", "FILE: runs.a: train.l: unknown key; did you mean train.lr?"),
        ("runs: {a: {model: unet, set: {train.lr: -3}}}", "FILE: runs.a: train.lr: must be greater than 0, not -3"),
        (
            "runs: {a: {model: unet, set: {seed.x: 3}}}",
            "FILE: runs.a: seed.x: seed is a value and not a section of params.yaml",
        ),
        ("runs: {a: {model: unet, set: {train: {lr: 1}}}}", "FILE: set: train is a section; write train.lr: VALUE"),
        ("runs: {a: {model: unet, set: {train: 3}}}", "FILE: runs.a: train: must be a mapping"),
    ],
)
def test_faults_of_the_file_are_named(tmp_path, text, said):
    assert said in fault(tmp_path, text)


@pytest.mark.parametrize("text", ["train.lr", "=3", "train.lr=[", "train.lr=-1", "nothing.at.all=3", "train={lr: 1}"])
def test_faults_of_the_command_line_are_named(tmp_path, text):
    assert text.split("=")[0].split(".")[0] in fault(tmp_path, "runs: {a: {model: unet}}", text)


def test_a_setting_that_params_yaml_would_override_is_refused(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text().replace("  train: {} ", "  train: {lr: 0.5} ", 1))
    path = tmp_path / "mine.yaml"
    path.write_text("runs: {a: {model: unet, set: {train.lr: 1e-3}}}")
    with pytest.raises(
        InputError, match=r"runs.a: train.lr is set, but params.yaml has unet.train.lr, which overrides"
    ):
        read_study(path, base=params)
    read_study(path, ["unet.train.lr=1e-3"], params)


@pytest.mark.parametrize("name", ["report", "quick"])
def test_the_runs_of_the_report_are_those_that_it_prints(name):
    made = read_study(ROOT / "studies" / f"{name}.yaml", base=ROOT / "params.yaml")
    printed = {}
    for row in made.rows:
        used = row.experiments[0].used
        copies = used["augment.n_aug"]
        augmentation = f"{used['augment.type']} {copies}" if copies else "none"
        printed[row.model, used[f"{row.model}.train.lr"], augmentation] = row.published
    assert printed == PUBLISHED


def test_the_study_of_the_report_has_its_recipe():
    text, _ = read_yaml(ROOT / "studies/report.yaml")
    assert {key: value for key, value in text["set"].items() if key in REPORT} | {"augment.n_aug": 1} == REPORT
    described = {"data.source": "oxford_pet", "preprocess.size": 256, "unet.width": 64, "train.batch_size": 15}
    assert described.items() <= text["set"].items()
    left = flattened(raw_params()).keys() - text["set"].keys() - {"augment.n_aug", "augment.combine.blur_probability"}
    assert not {key for key in left if key.split(".")[0] in ("train", "augment", "unet", "evaluate")} - {
        *("augment.combine.noise_probability", "train.optimizer", "train.precision", "unet.train")
    }  # all else is said, so that other defaults change nothing


def test_the_quick_study_is_the_report_s_but_for_what_makes_it_quick():
    report, quick = (read_yaml(ROOT / f"studies/{name}.yaml")[0] for name in ("report", "quick"))
    assert report["runs"] == quick["runs"]
    changed = {key for key, value in report["set"].items() if quick["set"][key] != value}
    assert changed == {"preprocess.size", "train.epochs", "unet.width"} and report["set"].keys() == quick["set"].keys()


def test_the_full_size_study_is_valid():
    made = read_study(ROOT / "studies/oxford_pet.yaml", base=ROOT / "params.yaml")
    assert len(made.experiments) == 9


def test_a_study_that_is_not_there_names_those_that_are(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=r"there is no study nope\.yaml; there are: studies/oxford_pet"):
        read_study(Path("nope.yaml"))
