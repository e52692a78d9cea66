"""Checkpoints: the same bytes for the same weights, no pickle, and plain words for anything else."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import save

from segkit.command import run_command
from segkit.errors import InputError
from segkit.models import build
from segkit.models.checkpoint import load_checkpoint, save_checkpoint

METADATA = {"model": "unet", "architecture": {"width": 2}, "b": 1, "a": [0.5, None, "x"]}


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return build("unet", width=2).state_dict()


@pytest.fixture
def path(tmp_path, weights):
    save_checkpoint(tmp_path / "x.safetensors", weights, METADATA)
    return tmp_path / "x.safetensors"


def refusal(path, capsys) -> str:
    """The one line with which a command that loads ``path`` ends."""
    assert run_command("segkit", lambda: load_checkpoint(path)) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    return line


def test_saving_twice_gives_the_same_bytes_whatever_the_order_of_keys(path, tmp_path, weights):
    reordered = {key: METADATA[key] for key in reversed(METADATA)}
    save_checkpoint(tmp_path / "again", dict(reversed(weights.items())), reordered)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_header_holds_the_metadata_as_json(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert json.loads(header["__metadata__"]["segkit"]) == METADATA


def test_channels_last_weights_are_saved_as_they_are(path, tmp_path, weights):
    strided = {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in weights.items()
    }
    save_checkpoint(tmp_path / "again", strided, METADATA)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_no_pickle_is_read(path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something is being unpickled")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    assert load_checkpoint(path).metadata == METADATA


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("write", [lambda value, file: torch.save(value, file), pickle.dump])
def test_a_pickle_is_refused_and_not_run(tmp_path, capsys, write):
    with open(tmp_path / "x.safetensors", "wb") as file:
        write({"weights": Trap(tmp_path / "sprung")}, file)
    assert "is damaged" in refusal(tmp_path / "x.safetensors", capsys)
    assert not (tmp_path / "sprung").exists()


def test_nan_in_the_metadata_is_refused_and_the_old_file_stays(path, weights):
    before = path.read_bytes()
    with pytest.raises(ValueError):
        save_checkpoint(path, weights, METADATA | {"loss": float("nan")})
    assert path.read_bytes() == before


def test_a_missing_checkpoint_says_how_to_get_one(tmp_path, capsys):
    line = refusal(tmp_path / "x.safetensors", capsys)
    assert "x.safetensors is missing; train it with 'dvc repro', or fetch it with 'dvc pull'" in line


def test_a_truncated_checkpoint_is_damaged_wherever_it_ends(path, capsys):
    whole = path.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "is damaged" in refusal(path, capsys)


def test_a_checkpoint_of_another_program_is_foreign(tmp_path, weights, capsys):
    (tmp_path / "x").write_bytes(save(weights, metadata={"format": "pt"}))
    assert "was not written by segkit: its header has no key 'segkit'" in refusal(tmp_path / "x", capsys)


@pytest.mark.parametrize(
    "header",
    [
        "no json",
        "[1]",
        "{}",
        json.dumps({"model": "unet"}),
        json.dumps({"model": "vnet", "architecture": {}}),
        json.dumps({"model": "unet", "architecture": {"depth": 3}}),
        json.dumps({"model": "unet", "architecture": {"width": "wide"}}),
        json.dumps({"model": "unet", "architecture": {"width": 4}}),
        json.dumps({"model": ["unet"], "architecture": {"width": 2}}),
    ],
)
def test_a_header_that_names_no_network_that_fits_is_refused(tmp_path, weights, capsys, header):
    (tmp_path / "x").write_bytes(save(weights, metadata={"segkit": header}))
    assert refusal(tmp_path / "x", capsys).startswith("segkit: ")


@pytest.mark.parametrize("change", ["lost", "extra"])
def test_weights_that_do_not_fit_are_refused(tmp_path, weights, capsys, change):
    weights = dict(weights)
    if change == "lost":
        del weights["head.bias"]
    else:
        weights["head.extra"] = torch.zeros(1)
    save_checkpoint(tmp_path / "x", weights, METADATA)
    line = refusal(tmp_path / "x", capsys)
    assert "does not fit the network 'unet'" in line and f"head.{'bias' if change == 'lost' else 'extra'}" in line


def test_a_failed_write_keeps_the_last_good_checkpoint(path, weights, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("segkit.files.os.fsync", full)
    with pytest.raises(OSError):
        save_checkpoint(path, {name: tensor + 1 for name, tensor in weights.items()}, METADATA)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["x.safetensors"]


def test_loading_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        load_checkpoint(tmp_path)
