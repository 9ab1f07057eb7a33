"""Sessions write where they are told, and run where they were asked to."""

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
WEIGHTS = np.arange(64, dtype=np.float32).reshape(8, 8)


@pytest.fixture
def model():
    """x · w."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "w", "y")]
    graph = helper.make_graph(nodes, "g", infos[:2], infos[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_outputs_are_written_where_they_are_wanted(model):
    session = Session(model.SerializeToString(), CPU)
    target = session.empty((1, 8))
    row = np.eye(8, dtype=np.float32)[3:4]
    ran = session.run_into({"x": row, "w": session.resident(WEIGHTS)}, {"y": target})
    assert target.numpy().tolist() == ran["y"].numpy().tolist() == WEIGHTS[3:4].tolist()
    (allocated,) = session.run_into({"x": row, "w": WEIGHTS}, {"y": None}).values()
    assert allocated.numpy().tolist() == WEIGHTS[3:4].tolist()


def test_a_session_that_runs_elsewhere_is_refused_and_nothing_is_printed(model, monkeypatch, capfd):
    """As onnxruntime does where CUDA's libraries do not load: it goes on with the CPU."""
    opened = ort.InferenceSession

    def on_the_cpu(*arguments, providers, **options):
        assert options == {"enable_fallback": 0}
        return opened(*arguments, providers=["CPUExecutionProvider"], **options)

    monkeypatch.setattr(ort, "InferenceSession", on_the_cpu)
    device = Device("cuda", "CUDAExecutionProvider", 1)
    with pytest.raises(ComputeError, match=r"runs on CPUExecutionProvider instead of CUDAExecutionProvider"):
        Session(model, device)
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
