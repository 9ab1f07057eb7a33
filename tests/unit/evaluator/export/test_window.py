"""The constant that holds a sliding window, in graphs put together by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.window import SHORT_WINDOW, mark_window, window_constant, with_short_window


def graph_with(*values):
    nodes = [
        helper.make_node("Constant", [], [f"c{index}"], value=numpy_helper.from_array(np.array(value)))
        for index, value in enumerate(values)
    ]
    nodes.append(helper.make_node("Sum", [f"c{index}" for index in range(len(values))], ["out"]))
    output = helper.make_tensor_value_info("out", TensorProto.INT64, None)
    return helper.make_model(helper.make_graph(nodes, "g", [], [output]))


def test_only_difference_is_the_window():
    model = graph_with(4096, 4096, 7)
    mark_window(model, graph_with(4096, SHORT_WINDOW, 7), 4096)
    assert window_constant(model) == "c1"


@pytest.mark.parametrize(
    "shorter",
    [
        (4096, 7),
        (SHORT_WINDOW, SHORT_WINDOW - 1),
        (SHORT_WINDOW, 4095, 1),
        (SHORT_WINDOW - 1, 4095),
        ([SHORT_WINDOW, SHORT_WINDOW], 4095),
        (float(SHORT_WINDOW), 4095),
    ],
    ids=["no window", "two constants", "more nodes", "another number", "two numbers", "no whole number"],
)
def test_any_other_difference_leaves_the_window_unknown(shorter):
    model = graph_with(4096, 4095)
    mark_window(model, graph_with(*shorter), 4096)
    assert window_constant(model) is None


def test_short_window_has_the_constant_s_name_type_and_shape():
    node = graph_with([4096]).graph.node[0]
    short = with_short_window(node)
    values = numpy_helper.to_array(short.attribute[0].t)
    assert (list(short.output), values.dtype, values.tolist()) == (["c0"], np.int64, [SHORT_WINDOW])
