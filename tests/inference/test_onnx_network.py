"""ONNX files that are not ours, damaged or hostile: one line each."""

import json

import pytest

from segkit.base.errors import InputError
from tests.tiny import usable

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

from onnx import TensorProto, helper  # noqa: E402

from segkit.inference.onnx_network import OnnxNetwork  # noqa: E402


def model(metadata: object = None, output: str = "probabilities", operator: str = "Identity") -> onnx.ModelProto:
    """A graph of one operator, with metadata as JSON."""
    given = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])
    found = helper.make_tensor_value_info(output, TensorProto.UINT8, ["n", "h", "w", 3])
    graph = helper.make_graph([helper.make_node(operator, ["images"], [output])], "g", [given], [found])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 9
    if metadata is not None:
        entry = made.metadata_props.add()
        entry.key, entry.value = "segkit", json.dumps(metadata)
    return made


def with_external_weights() -> onnx.ModelProto:
    made = model(usable("unet", {"width": 4}))
    tensor = made.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.data_location = "w", TensorProto.FLOAT, TensorProto.EXTERNAL
    tensor.dims.append(4)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (model(), "is an ONNX file of another program"),
        (model(usable("unet", {"width": 4}), output="other"), "is an ONNX file of another program"),
        (model([]), "has metadata that segkit does not write"),
        (model(usable("unet", {"width": 4}, threshold=7)), "has metadata that segkit does not write: threshold"),
        (model(usable("unet", {"width": 4}), operator="NoSuchOperator"), "cannot be run by ONNX Runtime"),
        (with_external_weights(), "keeps weights in other files"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path, made, said):
    (tmp_path / "x.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(InputError, match=said) as fault:
        OnnxNetwork(tmp_path / "x.onnx")
    assert str(fault.value).endswith("make it again with 'python -m segkit export'")


@pytest.mark.parametrize("content", [b"", b"no protobuf", model(usable("unet", {"width": 4})).SerializeToString()[:90]])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|another program|not an ONNX file"):
        OnnxNetwork(tmp_path / "x.onnx")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; make it again"):
        OnnxNetwork(tmp_path / "x.onnx")
