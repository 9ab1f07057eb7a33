"""Find the constant of an exported graph that holds the sliding window.

With it, attention is checked with a short window, however long the model's own is.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Positions; short enough for any check, and above what exporters treat specially.
SHORT_WINDOW = 16
_KEY = "sliding_window_constant"


def mark_window(model: onnx.ModelProto, shorter: onnx.ModelProto, window: int) -> None:
    """Note in `model` the constant that holds its window, in place, if there is exactly one.

    Args:
        model: the graph with a sliding window of `window` positions.
        shorter: the graph that the same export gives for `SHORT_WINDOW` positions. The constant is known only if the
            two graphs are equal except for it.
        window: the window of `model`.
    """
    pairs = list(zip(model.graph.node, shorter.graph.node, strict=False))
    different = [(node, other) for node, other in pairs if node != other]
    if len(model.graph.node) != len(shorter.graph.node) or len(different) != 1:
        return
    node, other = different[0]
    if (_number(node), _number(other)) == (window, SHORT_WINDOW) and node.output == other.output:
        model.metadata_props.add(key=_KEY, value=node.output[0])


def window_constant(model: onnx.ModelProto) -> str | None:
    """Return the name of the constant that holds the graph's sliding window, None if it is not known."""
    return next((item.value for item in model.metadata_props if item.key == _KEY), None)


def with_short_window(node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the constant that holds a window, with `SHORT_WINDOW` in its place."""
    values = numpy_helper.to_array(node.attribute[0].t)
    short = numpy_helper.from_array(np.full_like(values, SHORT_WINDOW))
    return helper.make_node("Constant", [], list(node.output), value=short)


def _number(node: onnx.NodeProto) -> int | None:
    """Return the whole number that `node` is a constant of, None if it is something else."""
    if node.op_type != "Constant" or node.attribute[0].name != "value":
        return None
    values = numpy_helper.to_array(node.attribute[0].t)
    return int(values.reshape(())) if values.size == 1 and values.dtype.kind == "i" else None
