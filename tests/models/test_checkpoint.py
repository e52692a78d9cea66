"""Checkpoints: the same bytes for the same weights, no pickle, and plain words for anything else."""

import hashlib
import json
import os
import pickle
import struct
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save

from segkit.base.command import run_command
from segkit.base.errors import InputError
from segkit.models import build
from segkit.models.checkpoint import load_checkpoint, save_checkpoint
from tests.tiny import many, usable

METADATA = usable("unet", {"width": 2}, b=1, a=[0.5, None, "x"])
FULL = METADATA | {"format": 1}
FIX = "; train it again with 'dvc repro', or fetch it with 'dvc pull'"


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return build("unet", width=2).state_dict()


@pytest.fixture
def path(tmp_path, weights):
    save_checkpoint(tmp_path / "x.safetensors", weights, METADATA)
    return tmp_path / "x.safetensors"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The smallest checkpoint, and a place to write what became of it."""
    folder = tmp_path_factory.mktemp("small")
    save_checkpoint(folder / "x", build("unet", width=1).state_dict(), usable("unet", {"width": 1}))
    return (folder / "x").read_bytes(), folder / "y"


def sealed(weights, text: str, **keys) -> bytes:
    """A file with this text for metadata and a right checksum, written another way than segkit does."""
    content = save(weights)
    (length,) = struct.unpack("<Q", content[:8])
    entries = {name: entry for name, entry in json.loads(content[8 : 8 + length]).items() if name != "__metadata__"}
    header = {"__metadata__": {"segkit_sha256": "0" * 64, "segkit": text}} | entries | keys
    written = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    written += b" " * (-len(written) % 8)
    whole = struct.pack("<Q", len(written)) + written + content[8 + length :]
    return whole.replace(b"0" * 64, hashlib.sha256(whole).hexdigest().encode(), 1)


def refusal(path, capsys) -> str:
    """The one line with which a command that loads ``path`` ends."""
    assert run_command("segkit", lambda: load_checkpoint(path)) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and len(line) < 600
    return line


def refused(path, content: bytes) -> str:
    """Why a file with these bytes is refused."""
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"checkpoint {path} ") and "\n" not in message and len(message) < 1000
    return message


def test_saving_twice_gives_the_same_bytes_whatever_the_order_of_keys(path, tmp_path, weights):
    reordered = {key: METADATA[key] for key in reversed(METADATA)}
    for _ in range(8):
        save_checkpoint(tmp_path / "again", dict(reversed(weights.items())), reordered)
        assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_header_holds_the_metadata_as_json(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert json.loads(header["__metadata__"]["segkit"]) == FULL
    assert length % 8 == 0


def test_the_header_holds_the_checksum_of_the_file_with_zeros_in_its_place(path):
    with safe_open(path, "pt") as file:
        checksum = file.metadata()["segkit_sha256"]
    zeroed = path.read_bytes().replace(checksum.encode(), b"0" * 64)
    assert hashlib.sha256(zeroed).hexdigest() == checksum


def test_any_reader_of_safetensors_reads_the_weights(path, weights):
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(weights)
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in weights.items())


def test_a_file_sealed_another_way_is_read_too(path, weights):
    path.write_bytes(sealed(weights, json.dumps(FULL)))
    assert load_checkpoint(path).metadata == FULL


def test_loaded_weights_can_be_trained_on(path, weights):
    model = load_checkpoint(path).model
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    model(torch.zeros(1, 3, 16, 16)).sum().backward()
    with torch.no_grad():
        model.head.bias += 1
    assert torch.equal(load_checkpoint(path).model.head.bias, weights["head.bias"])


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

    load_checkpoint(path)  # torch imports parts of itself at the first use, and one of them subclasses Unpickler
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    assert load_checkpoint(path).metadata == FULL


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "write",
    [torch.save, pickle.dump, lambda value, file: torch.save(value, file, _use_new_zipfile_serialization=False)],
    ids=["zip", "pickle", "legacy"],
)
def test_a_pickle_is_refused_and_not_run(tmp_path, capsys, write):
    with open(tmp_path / "x.safetensors", "wb") as file:
        write({"weights": Trap(tmp_path / "sprung")}, file)
    assert "was not written by this version of segkit" in refusal(tmp_path / "x.safetensors", capsys)
    assert not (tmp_path / "sprung").exists()


def test_nan_in_the_metadata_is_refused_and_the_old_file_stays(path, weights):
    before = path.read_bytes()
    with pytest.raises(ValueError):
        save_checkpoint(path, weights, METADATA | {"loss": float("nan")})
    assert path.read_bytes() == before


def test_a_missing_checkpoint_says_how_to_get_one(tmp_path, capsys):
    line = refusal(tmp_path / "x.safetensors", capsys)
    assert "x.safetensors is missing; train it with 'dvc repro', or fetch it with 'dvc pull'" in line


@many
@given(st.data())
def test_a_flipped_bit_is_refused_wherever_it_is(small, data):
    content, place = bytearray(small[0]), small[1]
    (header,) = struct.unpack("<Q", content[:8])
    start, stop = data.draw(st.sampled_from([(0, 8), (8, 106), (106, 8 + header), (8 + header, len(content))]))
    bit = data.draw(st.integers(8 * start, 8 * stop - 1))
    content[bit // 8] ^= 1 << bit % 8
    assert refused(place, bytes(content)).endswith(FIX)


@many
@given(st.data())
def test_a_file_cut_anywhere_is_refused(small, data):
    content, place = small
    length = data.draw(st.integers(0, 200) | st.integers(0, len(content) - 1))
    assert refused(place, content[:length]).endswith(FIX)


@many
@given(st.binary(min_size=1, max_size=100))
def test_bytes_added_at_the_end_are_refused(small, more):
    content, place = small
    assert "is damaged: its SHA-256 does not match" in refused(place, content + more)


def test_an_untouched_file_is_loaded_after_all_that(small):
    small[1].write_bytes(small[0])
    assert load_checkpoint(small[1]).metadata["architecture"] == {"width": 1}


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"segkit": json.dumps(FULL)}])
def test_a_checkpoint_without_checksum_is_foreign(tmp_path, weights, capsys, metadata):
    (tmp_path / "x").write_bytes(save(weights, metadata=metadata))
    line = refusal(tmp_path / "x", capsys)
    assert "was not written by this version of segkit, or its start is damaged" in line and line.endswith(FIX + "\n")


@pytest.mark.parametrize("version", [2, 10**30])
def test_a_newer_format_asks_for_a_newer_segkit(path, weights, capsys, version):
    path.write_bytes(sealed(weights, json.dumps({"format": version, "everything": "else"})))
    expected = f"was written by a newer segkit (format {version}, not 1): update segkit\n"
    assert refusal(path, capsys).endswith(expected)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None, [1], "missing"])
def test_a_format_that_is_none_is_refused(path, weights, capsys, version):
    metadata = METADATA if version == "missing" else METADATA | {"format": version}
    path.write_bytes(sealed(weights, json.dumps(metadata)))
    assert "has the unknown format " in refusal(path, capsys)


@pytest.mark.parametrize("text", ["no json", "", "[1]", "null", "1" * 5000, "[" * 100_000, '{"a":' * 100_000])
def test_metadata_that_is_not_a_json_object_is_refused(path, weights, capsys, text):
    path.write_bytes(sealed(weights, text))
    line = refusal(path, capsys)
    assert "holds no metadata under 'segkit'" in line


@pytest.mark.parametrize("key", ["model", "architecture", "input_size", "normalize", "threshold", "border", "valid"])
def test_every_key_that_is_used_is_needed(path, weights, capsys, key):
    metadata = {name: value for name, value in FULL.items() if name != key}
    path.write_bytes(sealed(weights, json.dumps(metadata)))
    assert f"has metadata that segkit does not write: {key}: missing{FIX}" in refusal(path, capsys)


HOSTILE = [
    ("architecture", {"width": 10**9}, "architecture.width: must be less than or equal to 1024, not 1000000000"),
    ("architecture", {"width": 10**4000}, "architecture.width: must be less than or equal to 1024, not 1000"),
    ("architecture", {"width": -2}, "architecture.width: must be greater than or equal to 1"),
    ("architecture", {"width": 0}, "architecture.width: must be greater than or equal to 1"),
    ("architecture", {"width": "2"}, "architecture.width: must be a valid integer, not '2'"),
    ("architecture", {"width": 2.0}, "architecture.width: must be a valid integer, not 2.0"),
    ("architecture", {"width": True}, "architecture.width: must be a valid integer, not True"),
    ("architecture", {"width": [2]}, "architecture.width: must be a valid integer, not [2]"),
    ("architecture", {"width": {"width": {"width": 2}}}, "architecture.width: must be a valid integer, not {"),
    ("architecture", {"width": 2, "depth": 3}, "architecture.depth: unknown key; did you mean architecture.width?"),
    ("architecture", {}, "architecture.width: missing"),
    ("architecture", [], "architecture: must be a mapping of keys, not []"),
    ("architecture", None, "architecture: must be a mapping of keys, not None"),
    ("model", "vnet", "model: must be 'unet' or 'resnet34_unet', not 'vnet' (did you mean unet?)"),
    ("model", ["unet"], "model: must be 'unet' or 'resnet34_unet', not ['unet']"),
    ("model", "x" * 500_000, "model: must be 'unet' or 'resnet34_unet', not 'xxx"),
    ("model", "resnet34_unet", "architecture.width: unknown key; valid keys are bridge"),
    ("input_size", 64, "input_size: must be a list, not 64"),
    ("input_size", [64], "input_size[1]: missing"),
    ("input_size", [64, 10**9], "input_size[1]: must be less than or equal to 8192, not 1000000000"),
    ("input_size", [64, "64"], "input_size[1]: must be a valid integer, not '64'"),
    ("threshold", 2, "threshold: must be less than or equal to 1, not 2"),
    ("threshold", float("nan"), "threshold: must be a finite number, not nan"),
    ("resize", "crop", "resize: must be 'stretch', 'fit' or 'tile', not 'crop'"),
    ("border", "black", "border: must be 'foreground', 'background' or 'ignore', not 'black'"),
    ("normalize", {"kind": "none", "mean": [], "std": []}, "normalize.kind: must be 'image', 'dataset' or 'imagenet'"),
    ("normalize", {"kind": "image", "mean": [0.5] * 3, "std": []}, "normalize: mean and std must hold 0 numbers"),
    ("normalize", {"kind": "dataset", "mean": [], "std": []}, "normalize: mean and std must hold 3 numbers"),
    (
        "normalize",
        {"kind": "dataset", "mean": [0, 0, 9], "std": [0, 1, 1]},
        "normalize.mean[2]: must be less than or equal to 1, not 9",
    ),
    ("normalize", {"kind": "dataset", "mean": "abc", "std": [1, 1, 1]}, "normalize.mean: must be a list, not 'abc'"),
]


@pytest.mark.parametrize(("key", "value", "fault"), HOSTILE, ids=[f"{key}-{value}"[:40] for key, value, _ in HOSTILE])
def test_metadata_out_of_range_are_named(path, weights, capsys, key, value, fault):
    path.write_bytes(sealed(weights, json.dumps(FULL | {key: value})))
    assert f"x.safetensors has metadata that segkit does not write: {fault}" in refusal(path, capsys)


@many
@given(st.text(max_size=20) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FULL, "width"]), inner, max_size=3),
    max_leaves=8,
).map(json.dumps))  # fmt: skip
def test_any_metadata_are_read_or_refused_in_words(small, text):
    assert refused(small[1], sealed({"x": torch.zeros(1)}, text)).isprintable()


@pytest.mark.parametrize("width", [1, 3, 1024])
def test_a_network_that_the_file_does_not_fill_is_never_made(path, weights, capsys, width):
    """Of width 1024 it would take 32 GB and minutes."""
    path.write_bytes(sealed(weights, json.dumps(FULL | {"architecture": {"width": width}})))
    start = time.perf_counter()
    line = refusal(path, capsys)
    assert time.perf_counter() - start < 10
    expected = "Error(s) in loading state_dict for UNet: size mismatch for encoder.0.0.weight"
    assert f"does not fit the network 'unet' named in its metadata: {expected}" in line


def test_a_header_with_impossible_tensors_is_damaged(path, weights, capsys):
    for entry in (
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**60]},
        {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]},
        {"dtype": "nothing", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32"},
        [],
    ):
        path.write_bytes(sealed(weights, json.dumps(FULL), **{"head.bias": entry}))
        assert "is damaged (" in refusal(path, capsys)


def test_a_header_of_many_megabytes_is_refused_unread(path, weights, capsys):
    path.write_bytes(sealed(weights, json.dumps(FULL | {"note": "x" * 2_000_000})))
    assert "is damaged: no header has 2,00" in refusal(path, capsys)


@pytest.mark.parametrize("change", ["lost", "extra"])
def test_weights_that_do_not_fit_are_refused(tmp_path, weights, capsys, change):
    weights = dict(weights)
    if change == "lost":
        del weights["head.bias"]
    else:
        weights["head.extra"] = torch.zeros(1)
    save_checkpoint(tmp_path / "x", weights, METADATA)
    expected = (
        'Missing key(s) in state_dict: "head.bias"' if change == "lost" else 'Unexpected key(s) in state_dict: "head'
    )
    line = refusal(tmp_path / "x", capsys)
    assert (
        f"does not fit the network 'unet' named in its metadata: Error(s) in loading state_dict for UNet: {expected}"
        in line
    )


def test_weights_of_the_other_network_are_one_short_line(path, capsys):
    save_checkpoint(path, build("resnet34_unet").state_dict(), METADATA)
    line = refusal(path, capsys)
    assert (
        "does not fit the network 'unet' named in its metadata: Error(s) in loading state_dict for UNet: Missing key(s)"
        in line
    )
    assert len(line) < 400


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16, torch.int32])
def test_weights_of_another_type_are_refused(path, weights, capsys, dtype):
    save_checkpoint(path, weights | {"head.bias": torch.zeros(2, dtype=dtype)}, METADATA)
    assert "head.bias" in (line := refusal(path, capsys)) and "does not fit the network" in line


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(path, weights, capsys, value):
    save_checkpoint(path, weights | {"head.bias": torch.tensor([1, value])}, METADATA)
    assert "head.bias is not a finite float32 tensor; train" in refusal(path, capsys)


def test_a_failed_write_keeps_the_last_good_checkpoint(path, weights, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("segkit.base.files.os.fsync", full)
    with pytest.raises(OSError):
        save_checkpoint(path, {name: tensor + 1 for name, tensor in weights.items()}, METADATA)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["x.safetensors"]


def test_loading_a_folder_or_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match="is missing"):
            load_checkpoint(place)


def test_a_file_larger_than_the_memory_is_refused(path, capsys, monkeypatch):
    def full(_):
        raise MemoryError

    monkeypatch.setattr(Path, "read_bytes", full)
    assert "is larger than the memory of this machine" in refusal(path, capsys)
