"""How weights reach a session, and that it runs where it was asked to."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from evaluator.runtime.device import Device
from evaluator.runtime.session import Session
from evaluator.support.errors import ComputeError

CPU = Device("cpu", "CPUExecutionProvider", 1)
GPU = Device("cuda", "CPUExecutionProvider", 1)
WEIGHTS = np.arange(64, dtype=np.float32).reshape(8, 8)


@pytest.fixture
def model(tmp_path):
    """x · w, whose w is a reference to a file of zeros."""
    (tmp_path / "weights.bin").write_bytes(bytes(WEIGHTS.nbytes))

    def build(kind=TensorProto.FLOAT):
        weight = TensorProto(name="w", data_type=kind, dims=WEIGHTS.shape)
        weight.data_location = TensorProto.EXTERNAL
        size = WEIGHTS.nbytes // (1 if kind == TensorProto.FLOAT else 2)
        for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(size))):
            weight.external_data.add(key=key, value=value)
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        values = [helper.make_tensor_value_info(name, kind, [1, 8]) for name in ("x", "y")]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    return build


class Recording(ort.SessionOptions):
    """Which way weights take."""

    ways: list[str]

    def add_initializer(self, name, value):
        self.ways.append("in place")
        super().add_initializer(name, value)

    def add_external_initializers(self, names, values):
        self.ways.append("before the graph is rewritten")
        super().add_external_initializers(names, values)


@pytest.mark.parametrize(
    ("device", "kind", "way"),
    [
        (CPU, TensorProto.FLOAT, "in place"),
        (GPU, TensorProto.FLOAT, "before the graph is rewritten"),
        (GPU, TensorProto.FLOAT16, "before the graph is rewritten"),
        (CPU, TensorProto.FLOAT16, "before the graph is rewritten"),
    ],
)
def test_weights_go_the_way_on_which_the_device_gets_them(model, tmp_path, monkeypatch, device, kind, way):
    """On a GPU, initializers that are added are ignored: it computes with what lies in the external data."""
    Recording.ways = []
    monkeypatch.setattr(ort, "SessionOptions", Recording)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    session = Session(model(kind), device, [("w", WEIGHTS.astype(dtype))], tmp_path)
    row = np.eye(8, dtype=dtype)[3:4]
    assert session.run({"x": row})[0].tolist() == WEIGHTS[3:4].tolist()
    assert Recording.ways == [way]


def test_a_session_that_runs_elsewhere_is_refused_and_nothing_is_printed(model, tmp_path, monkeypatch, capfd):
    """As onnxruntime does where CUDA's libraries do not load: it goes on with the CPU."""
    opened = ort.InferenceSession

    def on_the_cpu(*arguments, providers, **options):
        assert options == {"enable_fallback": 0}
        return opened(*arguments, providers=["CPUExecutionProvider"], **options)

    monkeypatch.setattr(ort, "InferenceSession", on_the_cpu)
    device = Device("cuda", "CUDAExecutionProvider", 1)
    with pytest.raises(ComputeError, match=r"runs on CPUExecutionProvider instead of CUDAExecutionProvider"):
        Session(model(), device, [("w", WEIGHTS)], tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_model_that_cannot_be_opened_prints_no_banner(tmp_path, capfd):
    node = helper.make_node("NoSuchOperator", ["x"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    broken = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(broken, tmp_path / "m.onnx")
    with pytest.raises(ComputeError, match=r"onnxruntime: .*NoSuchOperator"):
        Session(tmp_path / "m.onnx", CPU)
    assert capfd.readouterr().out == ""
