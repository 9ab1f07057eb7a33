"""Index the producer and consumers of each value in a graph, and the values computed from weights alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

from evaluator.export.skeleton import Slot


class Dataflow:
    """An index of a graph, valid until the graph changes."""

    def __init__(self, graph: onnx.GraphProto, slots: Sequence[Slot]) -> None:
        self.producers = {output: node for node in graph.node for output in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in filter(None, node.input):
                self.consumers[name].append(node)
        self.constants = _constants(graph)
        #: Value → the parameters it is computed from, for values computed from parameters only.
        self.parameters = self._parameters(graph, slots)

    def _parameters(self, graph: onnx.GraphProto, slots: Sequence[Slot]) -> dict[str, frozenset[str]]:
        parameters = {slot.initializer: frozenset([slot.parameter]) for slot in slots}
        for node in graph.node:
            inputs = [name for name in node.input if name and name not in self.constants]
            if inputs and all(name in parameters for name in inputs):
                sources = frozenset[str]().union(*(parameters[name] for name in inputs))
                parameters |= dict.fromkeys(node.output, sources)
        return parameters

    def scalar(self, name: str) -> float | None:
        """Return the number in a constant of one element, else None."""
        values = self.constants.get(name)
        return float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None

    def only_consumer(self, name: str, op_type: str) -> onnx.NodeProto | None:
        """Return the node that reads `name` if it is the only one and has that type."""
        nodes = self.consumers[name]
        return nodes[0] if len(nodes) == 1 and nodes[0].op_type == op_type else None

    def readers_of(self, prefix: str) -> list[onnx.NodeProto]:
        """Return the nodes that combine data with parameters whose names begin with `prefix`."""
        names = [
            name
            for name, sources in self.parameters.items()
            if all(item.startswith(prefix) for item in sources)
        ]
        nodes = [node for name in names for node in self.consumers[name]]
        return [node for node in nodes if node.output[0] not in self.parameters]


def _constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    constants = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for item in graph.initializer:
        if item.data_location != onnx.TensorProto.EXTERNAL:
            constants[item.name] = numpy_helper.to_array(item)
    return constants


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute."""
    match = next((item for item in node.attribute if item.name == name), None)
    return default if match is None else onnx.helper.get_attribute_value(match)


def drop_casts(model: onnx.ModelProto) -> None:
    """Remove casts to the type a value already has, which exporters leave around every norm."""
    graph = model.graph
    typed = onnx.shape_inference.infer_shapes(model)
    types = {item.name: item.type.tensor_type.elem_type for item in typed.graph.value_info}
    types |= {item.name: item.type.tensor_type.elem_type for item in graph.input}
    types |= {item.name: item.data_type for item in graph.initializer}
    outputs = {item.name for item in graph.output}
    renamed: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        redundant = node.op_type == "Cast" and types.get(node.input[0]) == attribute(node, "to")
        if redundant and node.output[0] not in outputs:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    replace_nodes(graph, kept)


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace the graph's nodes by `nodes`."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Sort the nodes topologically, in place."""
    producers = {output: node for node in graph.node for output in node.output if output}
    done: set[int] = set()
    order: list[onnx.NodeProto] = []
    for last in list(graph.node):
        stack = [(last, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if ready:
                done.add(id(node))
                order.append(node)
                continue
            stack.append((node, True))
            sources = [producers[name] for name in node.input if name in producers]
            stack.extend((source, False) for source in sources if id(source) not in done)
    replace_nodes(graph, order)
