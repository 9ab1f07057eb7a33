"""Layers of each kind, and a graph put together by hand whose layers are repeated."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from filled_graphs import filled
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.depth import layer_kinds, one_of_each, repeat_layers
from evaluator.export.skeleton import FINAL_HIDDEN, Slot, place_slots
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError

WIDTH = 4
NORM, GAIN = "model.layers.{}.input_layernorm.weight", "model.layers.{}.gain.weight"


def test_kinds_are_numbered_as_they_occur():
    settings = {"num_hidden_layers": 5, "layer_types": list("ssfsf"), "no_rope_layers": [1, 0, 1, 1, 1]}
    kinds = layer_kinds(settings)
    assert kinds == (0, 1, 2, 0, 2)
    assert one_of_each(settings, kinds) == {
        "num_hidden_layers": 3,
        "layer_types": ["s", "s", "f"],
        "no_rope_layers": [1, 0, 1],
    }


def test_layers_without_settings_of_their_own_are_of_one_kind():
    settings = {"num_hidden_layers": 3, "layer_types": None, "hidden_size": 8}
    assert layer_kinds(settings) == (0, 0, 0)
    assert one_of_each(settings, (0, 0, 0)) == {"num_hidden_layers": 1}


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ({"layer_types": ["f", "f"]}, "does not have 3 entries"),
        ({"head_counts": [1, 2, 3]}, "head_counts is a list"),
    ],
)
def test_list_of_unknown_meaning_is_an_error(lists, reason):
    with pytest.raises(ExportError, match=reason):
        layer_kinds({"num_hidden_layers": 3} | lists)


def norm(data, gain, output):
    steps = [
        ("Pow", [data, "two"], "square"),
        ("ReduceMean", ["square", "last"], "mean"),
        ("Add", ["mean", "epsilon"], "sum"),
        ("Sqrt", ["sum"], "root"),
        ("Div", ["one", "root"], "inverse"),
        ("Mul", [data, "inverse"], "scaled"),
        ("Mul", [gain, "scaled"], "weighted"),
    ]
    own = {name: f"{output}/{name}" for _, _, name in steps} | {"weighted": output}
    return [helper.make_node(op, [own.get(i, i) for i in ins], [own[out]]) for op, ins, out in steps]


def graph_of(kinds, *, leak=False):
    """h ← h + f(norm(h) · gain + length), f Sigmoid or Tanh by the layer's kind; the length of h is shared."""
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, kind)))
        for name, value, kind in (
            ("two", 2, np.float32),
            ("one", 1, np.float32),
            ("epsilon", 0.1, np.float32),
            ("last", [-1], np.int64),
        )
    ]
    nodes += [
        helper.make_node("Identity", ["hidden"], ["r0"]),
        helper.make_node("Shape", ["r0"], ["shape"], start=1, end=2),
        helper.make_node("Cast", ["shape"], ["length"], to=TensorProto.FLOAT),
    ]
    parameters = []
    for layer, kind in enumerate(kinds):
        here = f"/model/layers.{layer}"
        parameters += [NORM.format(layer), GAIN.format(layer)]
        nodes += norm(f"r{layer}", NORM.format(layer), f"{here}/n")
        nodes += [
            helper.make_node("Mul", [f"{here}/n", GAIN.format(layer)], [f"{here}/g"]),
            helper.make_node("Add", [f"{here}/g", "length"], [f"{here}/l"]),
            helper.make_node(["Sigmoid", "Tanh"][kind], [f"{here}/l"], [f"{here}/f"]),
            helper.make_node("Add", [f"r{layer}", f"{here}/f"], [f"r{layer + 1}"]),
        ]
    parameters.append("model.norm.weight")
    last = f"/model/layers.{len(kinds) - 1}/n" if leak else "final"
    nodes += norm(f"r{len(kinds)}", "model.norm.weight", "final")
    nodes.append(helper.make_node("Add", ["final", last], [FINAL_HIDDEN]))
    info = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, "s", WIDTH])
    output = helper.make_tensor_value_info(FINAL_HIDDEN, TensorProto.FLOAT, [1, "s", WIDTH])
    graph = helper.make_graph(nodes, "g", [info], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model, place_slots(model.graph, [Slot(name, name, False, (WIDTH,), 0) for name in parameters])


def run(model, slots):
    generator = np.random.default_rng(0)
    values = {
        name: generator.standard_normal(WIDTH).astype(np.float32)
        for name in sorted(s.parameter for s in slots)
    }
    weights = {slot.initializer: values[slot.parameter] for slot in slots}
    hidden = generator.standard_normal((1, 3, WIDTH)).astype(np.float32)
    return filled(model, choose_device("cpu", 1), weights).run({"hidden": hidden})[0]


def test_repeated_layers_compute_what_all_layers_do(tmp_path):
    kinds = (0, 1, 1, 0, 1, 0)
    whole, whole_slots = graph_of(kinds)
    model, slots = repeat_layers(*graph_of((0, 1)), kinds)
    assert {slot.parameter for slot in slots} == {slot.parameter for slot in whole_slots}
    ends = [(slot.offset, slot.offset + slot.n_bytes) for slot in slots]
    assert all(start % 4096 == 0 and start >= before[1] for before, (start, _) in itertools.pairwise(ends))
    assert [node.op_type for node in model.graph.node].count("Cast") == 1
    np.testing.assert_array_equal(run(model, slots), run(whole, whole_slots))
    with (tmp_path / "weights.bin").open("wb") as hole:
        hole.truncate(slots[-1].offset + slots[-1].n_bytes)
    onnx.save(model, str(tmp_path / "model.onnx"))
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)


def test_order_of_kinds_matters():
    found = [run(*repeat_layers(*graph_of((0, 1)), kinds)) for kinds in ((0, 1, 0), (0, 1, 1))]
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_layer_that_is_read_elsewhere_is_an_error():
    model, slots = graph_of((0,), leak=True)
    before = model.SerializeToString()
    with pytest.raises(ExportError, match=r"layers\.0/n is read outside of its layer"):
        repeat_layers(model, slots, (0, 0))
    assert model.SerializeToString() == before


def test_other_number_of_layers_than_of_kinds_is_an_error():
    with pytest.raises(ExportError, match="the graph has 2 layers"):
        repeat_layers(*graph_of((0, 1)), (0, 0))
