"""Convert a fused graph to half precision: matrix products and attention in float16, the rest in float32.

CUDA has grouped-query attention only in float16. In some families the residual stream exceeds float16's range, and
norms divide by it, so the residual stream, norms, biases, activations and all outputs stay float32; products
accumulate in float32 inside their kernels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.dataflow import attribute, replace_nodes, sort_nodes
from evaluator.export.skeleton import values_read
from evaluator.support.threads import in_blocks

#: Inputs that become float16; of attention: query, key, value, past key and value, cosines and sines, sinks.
_HALVED_INPUTS = {"MatMul": (0, 1), "MatMulNBits": (0, 2), ATTENTION: (0, 1, 2, 3, 4, 7, 8, 11)}
#: Values that a thread rounds at a time.
_AT_ONCE = 1 << 20
#: Operators that move values without computing: they keep float16.
_MOVING = {"Reshape", "Transpose", "Split", "Gather"}


def halve(model: onnx.ModelProto, references: Collection[str] = ()) -> onnx.ModelProto:
    """Convert a fused graph, for scoring or decoding, to half precision in place.

    Past and present keys and values become float16 inputs and outputs; all others keep their types.

    Args:
        model: the graph.
        references: initializers that are references to float32 matrices without values yet. Those that only products
            read become float16 references.
    """
    graph = model.graph
    sort_nodes(graph)
    stored = {item.name for item in graph.initializer if item.data_type == TensorProto.FLOAT16}
    writer = _Writer(stored | _retyped_matrices(graph, references) | _retyped_cache(graph))
    constants = _constants(graph)
    for node in graph.node:
        if node.op_type in _HALVED_INPUTS and (node.op_type != "MatMul" or node.input[1] in constants):
            writer.product(node)
        else:
            writer.other(node)
    for item in graph.output:
        writer.single(item.name)
    replace_nodes(graph, writer.nodes)
    return model


def as_half(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Round `values` to float16.

    Raises:
        ValueError: a finite value is too large for float16.
    """
    rounded = np.empty(values.shape, np.float16)
    given, taken, beyond = values.reshape(-1), rounded.reshape(-1), list[int]()

    def work(start: int, stop: int) -> None:
        part = given[start:stop]
        with np.errstate(over="ignore"):
            taken[start:stop] = part
        lost = np.isinf(taken[start:stop])
        beyond.append(int(np.count_nonzero(lost & np.isfinite(part))) if lost.any() else 0)

    if given.size:
        in_blocks(given.size, _AT_ONCE, work)
    if sum(beyond):
        raise ValueError(f"{sum(beyond)} values are too large for float16, whose largest is 65,504")
    return rounded


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Return the names of initializers and of values that only cast or transpose one."""
    constants = {item.name for item in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Cast", "Transpose") and node.input[0] in constants:
            constants.update(node.output)
    return constants


def _retyped_matrices(graph: onnx.GraphProto, references: Collection[str]) -> set[str]:
    """Make the references that only products read float16, and return their names."""
    readers: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for node in graph.node:
        for place, name in enumerate(node.input):
            readers[name].add((node.op_type, place))
    retyped = set()
    for item in graph.initializer:
        if item.name in references and len(item.dims) == 2 and readers[item.name] == {("MatMul", 1)}:
            item.data_type = TensorProto.FLOAT16
            length = next(entry for entry in item.external_data if entry.key == "length")
            length.value = str(int(length.value) // 2)
            retyped.add(item.name)
    return retyped


def _retyped_cache(graph: onnx.GraphProto) -> set[str]:
    """Make past and present keys and values float16, and return their names."""
    cached: set[str] = set()
    for node in graph.node:
        if node.op_type == ATTENTION:
            cached.update(filter(None, [*node.input[3:5], *node.output[1:3]]))
    for item in (*graph.input, *graph.output):
        if item.name in cached:
            item.type.tensor_type.elem_type = TensorProto.FLOAT16
    return cached


class _Writer:
    """Collects nodes and adds casts where a value is needed in the other precision."""

    def __init__(self, halves: set[str]) -> None:
        """Start with the names of the initializers, inputs and outputs that are float16."""
        self.nodes: list[onnx.NodeProto] = []
        self._own = halves
        #: Float32 value → its float16 twin.
        self._twins: dict[str, str] = {}
        #: Float32 values that do not exist yet, only their twins.
        self._unwritten: set[str] = set()

    def product(self, node: onnx.NodeProto) -> None:
        """Append a node that computes in half precision."""
        for place in _HALVED_INPUTS[node.op_type]:
            if place < len(node.input) and node.input[place]:
                node.input[place] = self._half(node.input[place])
        self._append_halved(node)

    def other(self, node: onnx.NodeProto) -> None:
        """Append a node that computes in float32, or only moves values."""
        if (
            node.op_type == "Cast"
            and node.input[0] in self._own
            and attribute(node, "to") == TensorProto.FLOAT
        ):
            self._twins[node.output[0]] = node.input[0]
            self._unwritten.add(node.output[0])
        elif node.op_type in _MOVING and node.input[0] in self._unwritten:
            node.input[0] = self._twins[node.input[0]]
            self._append_halved(node)
        elif node.op_type == "Add" and all(name in self._unwritten for name in node.input):
            # The products with codes and with offsets: their sum is one product too, so it keeps their precision.
            node.input[:] = [self._twins[name] for name in node.input]
            self._append_halved(node)
        else:
            for name in values_read(node):
                self.single(name)
            self.nodes.append(node)

    def single(self, name: str) -> None:
        """Ensure that `name` exists in its own precision."""
        if name in self._unwritten:
            self._unwritten.remove(name)
            self.nodes.append(helper.make_node("Cast", [self._twins[name]], [name], to=TensorProto.FLOAT))

    def _half(self, name: str) -> str:
        if name in self._own:
            return name
        if name not in self._twins:
            self._twins[name] = f"{name}/half"
            self.nodes.append(helper.make_node("Cast", [name], [self._twins[name]], to=TensorProto.FLOAT16))
        return self._twins[name]

    def _append_halved(self, node: onnx.NodeProto) -> None:
        for index, name in enumerate(node.output):
            if name and name not in self._own:
                node.output[index] = self._twins[name] = f"{name}/half"
                self._unwritten.add(name)
        self.nodes.append(node)
