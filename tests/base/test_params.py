"""params.yaml: whole or refused, all faults at once, each in plain words with its full path."""

import math
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from segkit.base import params, stage
from segkit.base.command import run_command
from segkit.base.errors import InputError
from tests.tiny import ROOT, changed, few, many, raw_params, spelled


def faults(raw) -> list[str]:
    """The faults that ``parse`` names, one by one."""
    with pytest.raises(InputError) as caught:
        params.parse(raw)
    where, _, listed = str(caught.value).partition(": ")
    assert where == "params.yaml"
    assert "\n" not in listed
    return listed.split("; ")


@pytest.fixture
def written(tmp_path):
    """Write a text as a params.yaml and give its path."""

    def write(text: str):
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_repository_s_own_file_is_valid_and_frozen():
    loaded = params.load(ROOT / "params.yaml")
    assert isinstance(loaded, params.Params)
    with pytest.raises(ValidationError, match="frozen"):
        loaded.seed = 1


def test_height_and_width_may_differ():
    assert params.parse(changed({"preprocess.size": [96, 128]})).preprocess.size == (96, 128)


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("train.lerning_rate", 1, "train.lerning_rate: unknown key; valid keys are epochs, batch_size, loss,"),
        ("train.batchsize", 1, "train.batchsize: unknown key; did you mean train.batch_size?"),
        ("agument", {}, "agument: unknown key; did you mean augment?"),
        ("unet.train.epoch", 1, "unet.train.epoch: unknown key; did you mean unet.train.epochs?"),
        ("lr", 0.1, "lr: unknown key; did you mean train.lr?"),
        ("unet.lr", 0.1, "unet.lr: unknown key; did you mean train.lr?"),
        ("train.width", 8, "train.width: unknown key; did you mean unet.width?"),
        ("data.samples", 50, "data.samples: unknown key; did you mean data.synthetic.samples?"),
        ("treshold", 0.5, "treshold: unknown key; did you mean evaluate.threshold?"),
        ("epochs", 5, "epochs: unknown key; did you mean train.epochs?"),
        ("unet.train", {"x" * 10**6: 1}, f"unet.train.{'x' * 57}...: unknown key; valid keys are epochs,"),
        ("train", {"": 1}, "train.'': unknown key; valid keys are epochs,"),
        ("seed", True, "seed: must be a valid integer, not True"),
        ("seed", 1.0, "seed: must be a valid integer, not 1.0"),
        ("seed", None, "seed: must be a valid integer, not None"),
        ("seed", -1, "seed: must be greater than or equal to 0, not -1"),
        ("train.lr", True, "train.lr: must be a valid number, not True"),
        ("train.lr", "fast", "train.lr: must be a valid number, not 'fast'"),
        ("train.lr", 0, "train.lr: must be greater than 0, not 0"),
        ("train.lr", 11, "train.lr: must be less than or equal to 10, not 11"),
        ("train.lr", math.nan, "train.lr: must be a finite number, not nan"),
        ("train.lr", math.inf, "train.lr: must be a finite number, not inf"),
        ("train.lr", 10**400, "train.lr: must be a valid number, not 1000"),
        ("train.epochs", 0, "train.epochs: must be greater than or equal to 1, not 0"),
        (
            "train.precision",
            "bf32",
            "train.precision: must be 'auto', 'fp32' or 'bf16', not 'bf32' (did you mean fp32?)",
        ),
        ("train.precision", ["fp32"], "train.precision: must be 'auto', 'fp32' or 'bf16', not ['fp32']"),
        ("train", [1], "train: must be a mapping of keys, not [1]"),
        ("unet.width", "64", "unet.width: must be a valid integer, not '64'"),
        ("unet.train", [], "unet.train: must be a mapping of keys, not []"),
        ("unet.train", {"a:b": 2}, "unet.train.a:b: unknown key; valid keys are epochs,"),
        ("resnet34_unet.pretrained", 1, "resnet34_unet.pretrained: must be true, false or the path of a file"),
        ("resnet34_unet.pretrained", "enc.pth", "of a file NAME.safetensors, not 'enc.pth'"),
        ("resnet34_unet.pretrained", "a/.safetensors", "of a file NAME.safetensors, not 'a/.safetensors'"),
        ("resnet34_unet.pretrained", "a\n.safetensors", "resnet34_unet.pretrained: must be one line without control"),
        ("resnet34_unet.encoder_lr", -0.1, "resnet34_unet.encoder_lr: must be greater than or equal to 0, not -0.1"),
        ("resnet34_unet.encoder_lr", 1001, "resnet34_unet.encoder_lr: must be less than or equal to 1000, not 1001"),
        ("runtime.weights_dir", "", "runtime.weights_dir: must be auto or a folder, not empty"),
        ("runtime.weights_dir", None, "runtime.weights_dir: must be a valid string, not None"),
        ("data.oxford_pet.urls", "https://x", "data.oxford_pet.urls: must be a list, not 'https://x'"),
        ("data.oxford_pet.urls", [1], "data.oxford_pet.urls[0]: must be a valid string, not 1"),
        ("data.folder.images", None, "data.folder.images: must be a valid string, not None"),
        ("data.folder.images", "a\nb", "data.folder.images: must be one line without control characters, not 'a\\nb'"),
        ("data.folder.masks", "a\0", "data.folder.masks: must be one line without control characters, not 'a\\x00'"),
        ("data.folder.masks", "\ud800", "data.folder.masks: must be one line without control characters"),
        ("data.oxford_pet.urls", ["a", "\x1b[31m"], "data.oxford_pet.urls[1]: must be one line without control"),
        ("preprocess.size", 0, "preprocess.size: must be an int from 16 to 8192 or [height, width], not 0"),
        ("preprocess.size", 8, "preprocess.size: must be an int from 16 to 8192 or [height, width], not 8"),
        ("preprocess.size", [64], "preprocess.size: must be an int from 16 to 8192 or [height, width]"),
        ("preprocess.size", [64, True], "preprocess.size: must be an int from 16 to 8192 or [height, width]"),
        ("runtime.device", "gpu", "runtime.device: must be auto, cpu, mps, cuda or cuda:N, not 'gpu'"),
        ("runtime.device", "meta", "runtime.device: must be auto, cpu, mps"),
        ("runtime.device", "cuda:one", "runtime.device: must be auto, cpu, mps"),
        ("runtime.devices", 0, "runtime.devices: must be auto or a whole number from 1 to 1024, not 0"),
        ("runtime.devices", "all", "runtime.devices: must be auto or a whole number from 1 to 1024, not 'all'"),
        ("runtime.devices", True, "runtime.devices: must be auto or a whole number from 1 to 1024, not True"),
        ("evaluate.threshold", 1.5, "evaluate.threshold: must be less than or equal to 1, not 1.5"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_fault_is_named_by_its_path(path, value, fault):
    found = "; ".join(faults(changed({path: value})))
    assert fault in found


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"augment.type": "flip", "augment.n_aug": 3}, "augment.n_aug: flip makes at most 2 copies"),
        ({"data.synthetic.min_side": 177}, "data.synthetic.max_side: must not be below min_side"),
        ({"data.source": "folder", "data.folder.masks": ""}, "data.folder: set images and masks to the two folders"),
        ({"data.source": "oxford_pet", "data.oxford_pet.urls": []}, "data.oxford_pet: urls needs at least one"),
    ],
)
def test_values_that_contradict_each_other_are_refused(changes, fault):
    assert faults(changed(changes))[0].startswith(fault)


def test_flip_may_have_two_copies_and_combine_many():
    assert params.parse(changed({"augment.type": "flip", "augment.n_aug": 2})).augment.n_aug == 2
    assert params.parse(changed({"augment.n_aug": 30})).augment.n_aug == 30


def test_all_faults_are_reported_together():
    raw = changed({"seed": "x", "train.lr": -1, "evaluate.treshold": 0.5, "unet.width": 0})
    del raw["evaluate"]["threshold"], raw["runtime"]
    paths = [fault.partition(":")[0] for fault in faults(raw) if ": " in fault]
    assert sorted(paths) == ["evaluate.threshold", "evaluate.treshold", "runtime", "seed", "train.lr", "unet.width"]


@pytest.mark.parametrize("key", sorted(raw_params()))
def test_every_section_is_needed(key):
    raw = raw_params()
    del raw[key]
    assert faults(raw) == [f"{key}: missing"]


def test_contradictions_are_reported_with_everything_else():
    raw = changed({"augment.type": "flip", "augment.n_aug": 3, "data.synthetic.min_side": 200})
    raw["data"]["source"], raw["data"]["folder"]["images"] = "folder", ""
    raw["sed"], raw["data"]["synthetic"]["samples"] = raw.pop("seed"), "x"
    paths = [fault.partition(":")[0] for fault in faults(raw) if ": " in fault]
    assert sorted(paths) == [
        "augment.n_aug", "data.folder", "data.synthetic.max_side", "data.synthetic.samples", "sed", "seed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", " is empty; restore it with 'git checkout "),
        ("# nothing\n\n---\n", " is empty; restore it with 'git checkout "),
        ("- seed\n- 1\n", "the file: must be a mapping of keys, not ['seed', 1]"),
        ("seed: [1\n", "cannot be read"),
        ("seed: 1\n\tdata: 2\n", "cannot be read"),
        ("seed: 2024-02-30\n", "seed: must be a valid integer, not '2024-02-30'"),
        ("seed: 1\ndata: {}\nseed: 2\n", "line 3: duplicate key seed"),
        ("[1, 2]: 1\n", "cannot be read"),
    ],
    ids=["empty", "comments", "list", "open bracket", "tab", "no such date", "a key twice", "a list as key"],
)
def test_a_file_of_another_shape_is_one_line_and_exit_2(written, capsys, text, fault):
    path = written(text)
    assert run_command("stage", lambda: params.load(path)) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith(f"stage: {path}") and fault in line


def test_a_missing_file_says_how_to_mend_it(tmp_path):
    with pytest.raises(
        InputError, match=r"params.yaml cannot be read: No such file or directory; run from the repository's root"
    ):
        params.load(tmp_path / "params.yaml")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"seed: \xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        params.load(path)


@pytest.mark.parametrize("spelling", ["1e-4", "1e-04", "1E-4", "+1e-4", "0.0001", "1.e-4", ".1e-3", "0.1e-3", "100e-6"])
def test_every_spelling_of_a_float_is_a_float(written, spelling):
    assert params.load(written(spelled("train.weight_decay", spelling))).train.weight_decay == 0.0001


@pytest.mark.parametrize(
    ("spelling", "value"), [("1e-05", 1e-5), ("5E-5", 5e-5), ("5e0", 5.0), ("1e+0", 1.0), ("3", 3.0)]
)
def test_floats_as_dvc_writes_them(written, spelling, value):
    loaded = params.load(written(spelled("train.weight_decay", spelling))).train.weight_decay
    assert loaded == value
    assert type(loaded) is float


@few
@given(
    st.floats(0, 10),
    st.sampled_from([repr, str, "{:.17g}".format, "{:.16e}".format, "{:.16E}".format, "{:+.17g}".format]),
)
def test_a_float_is_read_back_as_it_was_written(tmp_path_factory, value, spell):
    path = tmp_path_factory.mktemp("floats") / "params.yaml"
    path.write_text(spelled("train.weight_decay", spell(value)), encoding="utf-8")
    assert params.load(path).train.weight_decay == value


@pytest.mark.parametrize("spelling", [".nan", ".inf", "-.inf", "nan", "inf", "1e999", "1e", "e-4", "1e-4x", "true"])
def test_what_is_no_finite_number_is_refused(written, spelling):
    with pytest.raises(InputError, match=r"train\.weight_decay: must be a (finite|valid) number"):
        params.load(written(spelled("train.weight_decay", spelling)))


@pytest.mark.parametrize("name", params.MODEL_NAMES)
def test_a_model_may_override_single_keys_of_the_recipe(name):
    parsed = params.parse(changed({f"{name}.train": {"lr": 0.5, "epochs": 3}}))
    other = next(other for other in params.MODEL_NAMES if other != name)
    assert (getattr(parsed, name).train.lr, getattr(parsed, name).train.epochs) == (0.5, 3)
    assert getattr(parsed, name).train.batch_size == parsed.train.batch_size
    assert getattr(parsed, other).train == parsed.train


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:1"])
def test_devices_are_named_as_torch_names_them(device):
    assert params.parse(changed({"runtime.device": device})).runtime.device == device


@pytest.mark.parametrize(("value", "count"), [("auto", "auto"), (1, 1), (8, 8)])
def test_the_number_of_devices_is_a_number_or_auto(value, count):
    assert params.parse(changed({"runtime.devices": value})).runtime.devices == count


def test_a_model_without_overrides_may_leave_them_empty():
    assert params.parse(changed({"unet.train": None})).unet.train == params.parse(raw_params()).train


def test_a_fault_in_the_common_recipe_is_reported_once():
    assert len(faults(changed({"train.lr": -1}))) == 1
    raw = raw_params()
    del raw["train"]["patience"]
    assert faults(raw) == ["train.patience: missing"]


def test_a_fault_in_an_override_is_reported_with_its_path():
    found = faults(changed({"unet.train": {"lr": -1}, "train.epochs": 0}))
    assert [fault.partition(":")[0] for fault in found] == ["train.epochs", "unet.train.lr"]


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PATHS = ["seed", "data", "preprocess.size", "train", "train.lr", "train.lr2", "unet.train", "runtime.device"]


@many
@given(ANY_VALUE, st.sampled_from(PATHS))
def test_any_value_anywhere_is_accepted_or_refused_in_words(value, path):
    try:
        parsed = params.parse(changed({path: value}))
    except InputError as error:
        assert path.partition(".")[0] in str(error)
    else:
        assert path in ("seed", "preprocess.size", "train.lr", "unet.train", "runtime.device")
        assert isinstance(parsed, params.Params)


def test_an_edit_of_a_declared_parameter_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(spelled("evaluate.threshold", "0.25"), encoding="utf-8")
    before = params.parse(raw_params())
    stage.refuse_edited(before, ("seed", "train", "unet"))
    for key in ("evaluate", "evaluate.threshold"):
        with pytest.raises(InputError, match=rf"{key} was edited while this stage ran"):
            stage.refuse_edited(before, ("seed", key))


def test_parameters_come_out_as_they_stand_in_the_file():
    """base/ is declared by no stage, so it must not change a value: but for the two spellings of one, and each
    network's recipe, which is the common one with its own keys in place."""
    raw = changed({"unet.train": {"lr": 0.5, "loss": {"dice": 2.0}}, "preprocess.size": 48, "runtime.devices": "auto"})
    expected = deepcopy(raw) | {"resnet34_unet": raw["resnet34_unet"] | {"train": raw["train"]}}
    own = raw["train"] | {"lr": 0.5, "loss": raw["train"]["loss"] | {"dice": 2.0}}
    expected |= {"unet": raw["unet"] | {"train": own}}
    expected["preprocess"]["size"], expected["runtime"]["devices"] = (48, 48), "auto"
    expected["data"]["oxford_pet"]["urls"] = tuple(raw["data"]["oxford_pet"]["urls"])
    expected["data"]["folder"]["ignore"] = tuple(raw["data"]["folder"]["ignore"])
    assert params.parse(raw).model_dump() == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train.loss": 3, "unet.train": {"loss": {"dice": 1.0}}}, ["train.loss"]),
        ({"train.loss.dice": -1.0, "unet.train": {"loss": {"dice": 1.0}}}, ["train.loss.dice"]),
        ({"unet.train": {"loss": {"dice": -1.0}}}, ["unet.train.loss.dice"]),
        ({"train.loss": {"cross_entropy": 0.0, "dice": 1.0}, "unet.train": {"loss": {"dice": 0.0}}},
         ["unet.train.loss"]),
        ({"unet.train": {"loss": 3}}, ["unet.train.loss"]),
    ],
)  # fmt: skip
def test_a_fault_of_a_section_that_is_overridden_in_part_is_named_once(changes, named):
    assert [fault.partition(": ")[0] for fault in faults(changed(changes))] == named


def test_advice_names_the_key_that_counts():
    parsed = params.parse(changed({"unet.train": {"lr": 0.5}}))
    assert params.recipe_key(parsed, "unet", "lr") == "unet.train.lr"
    assert params.recipe_key(parsed, "resnet34_unet", "lr") == "train.lr"
