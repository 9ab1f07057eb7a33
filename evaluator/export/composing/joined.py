"""Put the nodes of several small models into one graph, under names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
from onnx import numpy_helper

from evaluator.export.composing.builder import Builder, Shapes
from evaluator.export.composing.feed_forward import EXPERTS
from evaluator.export.fusion.uses import ExpertsCall
from evaluator.export.piece_model import named
from evaluator.export.skeleton import Slot
from evaluator.models.architectures.description import Decoder


def builder_between(decoder: Decoder, layer: int, shapes: Shapes) -> Builder:
    """Return a builder of what lies between pieces; shapes are not followed in it."""
    builder = Builder(decoder, layer, shapes)
    builder.traces.stop()
    return builder


class Joined:
    """The nodes of all models, with each weight and each constant once.

    Attributes:
        nodes: in order.
        slots: the weights by their initializers, which have the tensors' names.
        constants: by their content.
        experts: value that the experts of a layer compute → the experts.
        shared: inputs of several models → the values that they stand for.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.slots: dict[str, Slot] = {}
        self.constants: dict[bytes, onnx.TensorProto] = {}
        self.shared: dict[str, str] = {}
        self.experts: dict[str, ExpertsCall] = {}

    def add(
        self,
        model: onnx.ModelProto,
        slots: Mapping[str, Slot],
        prefix: str,
        given: Mapping[str, str],
        *,
        layer: int = -1,
    ) -> dict[str, str]:
        """Append a model's nodes, and return its outputs and the values that they are.

        Args:
            model: the model; values that it neither makes nor has as inputs keep their names.
            slots: its weights.
            prefix: beginning of the names of its values.
            given: its inputs and the values that they stand for.
            layer: put before the names of nodes that have one.
        """
        nodes, outputs = self.copied(model, slots, prefix, given)
        for node in nodes:
            node.name = f"{layer}.{node.name}" if node.name else ""
        self.nodes += nodes
        return outputs

    def copied(
        self,
        model: onnx.ModelProto,
        slots: Mapping[str, Slot],
        prefix: str,
        given: Mapping[str, str],
        *,
        expert: int | None = None,
    ) -> tuple[list[onnx.NodeProto], dict[str, str]]:
        """Return copies of a model's nodes, and its outputs; see `add`. Its weights are those of one expert."""
        graph = model.graph
        known = {"": "", **self.shared, **given}
        known |= {name: self._weight(slot, expert) for name, slot in slots.items()}
        known |= {item.name: self._constant(item) for item in graph.initializer if item.name not in slots}
        outputs = {item.name for item in graph.output}
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            inputs = [known.get(name, name) for name in node.input]
            if node.op_type == "Identity" and node.output[0] in outputs:
                known[node.output[0]] = inputs[0]
                continue
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            known |= {name: f"{prefix}/{name}" for name in node.output if name}
            copy.input[:] = inputs
            copy.output[:] = [known[name] for name in node.output]
            nodes.append(copy)
        return nodes, {name: known[name] for name in outputs}

    def _weight(self, slot: Slot, expert: int | None) -> str:
        """Return the initializer of a weight; experts have their own of tensors that stack all."""
        index = expert if f"{EXPERTS}." in slot.parameter else None
        name = (
            slot.parameter + ("" if index is None else f"/{index}") + ("/turned" if slot.transposed else "")
        )
        self.slots[name] = replace(slot, initializer=name, index=index)
        return name

    def constant(self, number: int) -> str:
        """Return an int64 number."""
        return self._constant(numpy_helper.from_array(np.array(number, np.int64)))

    def _constant(self, item: onnx.TensorProto) -> str:
        content = named(item, "").SerializeToString(deterministic=True)
        if content not in self.constants:
            self.constants[content] = named(item, f"constant_{len(self.constants)}")
        return str(self.constants[content].name)
