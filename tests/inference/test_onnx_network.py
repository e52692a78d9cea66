"""ONNX files that are not ours, damaged or hostile: one line each."""

import json
from pathlib import Path

import pytest
import torch

from segkit.base.errors import InputError
from tests.tiny import usable

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

from onnx import TensorProto, helper  # noqa: E402

from segkit.inference.networks import open_network  # noqa: E402
from segkit.inference.onnx_network import OnnxNetwork  # noqa: E402


def model(
    metadata: object = None, output: str = "probabilities", operator: str = "Identity", domain: str = ""
) -> onnx.ModelProto:
    """A graph of one operator, with metadata as JSON."""
    given = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])
    found = helper.make_tensor_value_info(output, TensorProto.UINT8, ["n", "h", "w", 3])
    node = helper.make_node(operator, ["images"], [output], domain=domain)
    graph = helper.make_graph([node], "g", [given], [found])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(name, 18) for name in {"", domain}])
    made.ir_version = 9
    if metadata is not None:
        entry = made.metadata_props.add()
        entry.key, entry.value = "segkit", json.dumps(metadata)
    return made


def external() -> TensorProto:
    """Numbers in a file that lies where the process runs."""
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "secret.bin"), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def with_external_weights(place: str) -> onnx.ModelProto:
    """A model of ours, but the output is read from another file; ``place``: where in the model it is named."""
    made = model(usable("unet", {"width": 4}) | {"format": 1})
    (node,) = made.graph.node
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    constant = helper.make_node("Constant", [], ["probabilities"], value=external())
    if place == "initializer":
        made.graph.initializer.append(external())
        node.input[0] = "w"
    elif place == "constant":
        node.CopyFrom(constant)
    elif place == "branch":
        found = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [4])
        made.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
        branch = helper.make_graph([constant], "branch", [], [found])
        node.CopyFrom(helper.make_node("If", ["yes"], ["probabilities"], then_branch=branch, else_branch=branch))
    elif place == "function":
        opset = made.opset_import[0]
        made.functions.append(helper.make_function("ours", "F", [], ["probabilities"], [constant], [opset]))
        made.opset_import.append(helper.make_opsetid("ours", 1))
        node.CopyFrom(helper.make_node("F", [], ["probabilities"], domain="ours"))
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (model(), "is an ONNX file of another program"),
        (model(usable("unet", {"width": 4}), output="other"), "is an ONNX file of another program"),
        (model([]), "has metadata that segkit does not write"),
        (model(usable("unet", {"width": 4}, threshold=7)), "has metadata that segkit does not write: threshold"),
        (model(usable("unet", {"width": 4}), operator="NoSuchOperator"), "cannot be run by ONNX Runtime"),
        (
            model(usable("unet", {"width": 4}), operator="NoSuchOperator", domain="evil"),
            "cannot be run by ONNX Runtime",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path, made, said):
    (tmp_path / "x.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=said) as fault:
        OnnxNetwork(tmp_path / "x.onnx")
    assert str(fault.value).endswith("make it again with 'python -m segkit export'")


@pytest.mark.parametrize("place", ["initializer", "constant", "branch", "function"])
def test_no_other_file_is_read(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("secret.bin").write_bytes(bytes(16))
    content = with_external_weights(place).SerializeToString()
    if place in ("branch", "function"):  # ONNX Runtime itself would read it
        onnxruntime.InferenceSession(content)
    Path("x.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"x.onnx keeps weights in other files; make it again"):
        OnnxNetwork(Path("x.onnx"))


def test_a_file_that_computes_something_else_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(model(usable("unet", {"width": 4})).SerializeToString())
    with pytest.raises(InputError, match=r"x.onnx returns uint8 \(2, 16, 16, 3\), no probabilities; make it again"):
        OnnxNetwork(tmp_path / "x.onnx").probabilities(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))


def test_a_file_that_fails_while_it_runs_is_refused(tmp_path, capfd):
    made = model(usable("unet", {"width": 4}), operator="Squeeze")  # of an axis that is not 1
    made.graph.node[0].input.append("axis")
    made.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [1], [2]))
    (tmp_path / "x.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=r"x.onnx fails in ONNX Runtime \(.*; make it again"):
        OnnxNetwork(tmp_path / "x.onnx").probabilities(torch.zeros(2, 16, 16, 3, dtype=torch.uint8))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"no protobuf", model(usable("unet", {"width": 4})).SerializeToString()[:90]])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|another program|not an ONNX file"):
        OnnxNetwork(tmp_path / "x.onnx")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; make it again"):
        OnnxNetwork(tmp_path / "x.onnx")


@pytest.mark.parametrize("options", [{"device": "cuda"}, {"precision": "bf16"}])
def test_a_device_or_precision_that_it_would_ignore_is_refused(options):
    (option, value), *_ = options.items()
    with pytest.raises(InputError, match=f"--{option} {value}: ONNX files run with .* only; leave it out"):
        open_network(Path("x.onnx"), **options)
