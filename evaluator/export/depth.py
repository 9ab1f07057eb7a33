"""Export one layer of each kind and repeat them to a model's full depth.

Layers with equal settings have equal nodes and differ only in their parameters, so a graph of one layer of each kind
has all that the graph of the whole model has. What layers share (mask, rotary tables, positions, constants) stays
shared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx

from evaluator.export.fusion.dataflow import replace_nodes
from evaluator.export.fusion.fuse import residual_stream, simplify
from evaluator.export.skeleton import Slot, place_slots
from evaluator.support.errors import ExportError

#: Settings that list a value for each layer.
PER_LAYER = ("layer_types", "no_rope_layers")
_LAYERS = "num_hidden_layers"
_LAYER_PARAMETER = re.compile(r"model\.layers\.(\d+)\.(.+)")


def layer_kinds(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the kind of each layer, numbered in the order in which they first occur.

    Args:
        settings: a family's complete configuration, with transformers' names.

    Raises:
        ExportError: a list is not known to hold a value for each layer.
    """
    n_layers = int(settings[_LAYERS])
    for name, value in settings.items():
        if isinstance(value, (list, tuple)) and len(value) > 1 and name not in PER_LAYER:
            raise ExportError(f"{name} is a list, but not known to have an entry for each layer")
    lists = [settings[name] for name in PER_LAYER if settings.get(name) is not None]
    if any(len(values) != n_layers for values in lists):
        raise ExportError(f"a list of settings does not have {n_layers} entries, one for each layer")
    kinds: dict[tuple[Any, ...], int] = {}
    entries = [tuple(values[layer] for values in lists) for layer in range(n_layers)]
    return tuple(kinds.setdefault(entry, len(kinds)) for entry in entries)


def one_of_each(settings: Mapping[str, Any], kinds: Sequence[int]) -> dict[str, Any]:
    """Return the settings for a model that has only the first layer of each kind."""
    first = [kinds.index(kind) for kind in range(max(kinds) + 1)]
    lists = {name: settings[name] for name in PER_LAYER if settings.get(name) is not None}
    return {_LAYERS: len(first)} | {
        name: [values[layer] for layer in first] for name, values in lists.items()
    }


@dataclass(frozen=True)
class _Layer:
    """One exported layer: its own nodes between two values of the residual stream."""

    number: int
    nodes: tuple[onnx.NodeProto, ...]
    start: str
    end: str
    slots: Mapping[str, Slot]

    def repeated(self, number: int, start: str) -> tuple[list[onnx.NodeProto], str, list[Slot]]:
        """Return the nodes, the end of the stream and the slots of this layer as layer `number`."""
        slots = {name: _renumbered(slot, number) for name, slot in self.slots.items()}
        names = {name: slot.initializer for name, slot in slots.items()} | {self.start: start}
        nodes = []
        for node in self.nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            names |= {name: self._own_name(name, number) for name in node.output if name}
            copy.name = node.name and self._own_name(node.name, number)
            copy.input[:] = [names.get(name, name) for name in node.input]
            copy.output[:] = [names.get(name, name) for name in node.output]
            nodes.append(copy)
        return nodes, names[self.end], list(slots.values())

    def _own_name(self, name: str, number: int) -> str:
        return f"/layers.{number}/{name.rpartition(f'/layers.{self.number}/')[2]}"


def repeat_layers(
    model: onnx.ModelProto, slots: Sequence[Slot], kinds: Sequence[int]
) -> tuple[onnx.ModelProto, list[Slot]]:
    """Repeat the layers of a graph without weights, in place.

    Args:
        model: the graph; its layer i is of kind i.
        slots: its parameters.
        kinds: the kind of each layer of the result.

    Raises:
        ExportError: the layers cannot be told apart from what they share. The graph is then unchanged.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    simplify(copy, slots)
    stream = residual_stream(copy, slots)
    if len(stream) != max(kinds) + 2:
        raise ExportError(f"the graph has {len(stream) - 1} layers instead of one of each kind")
    graph = model.graph
    layers = [_find_layer(graph, slots, number, stream) for number in range(len(stream) - 1)]
    own = {node.output[0] for layer in layers for node in layer.nodes}
    _check_apart(graph, layers, stream)
    before, after = _around(graph, own, stream[-1])
    nodes, end = before, stream[0]
    layer_slots: list[Slot] = []
    for number, kind in enumerate(kinds):
        repeated, end, made = layers[kind].repeated(number, end)
        nodes += repeated
        layer_slots += made
    for node in after:
        node.input[:] = [end if name == stream[-1] else name for name in node.input]
    replace_nodes(graph, [*nodes, *after])
    kept = [slot for slot in slots if not _LAYER_PARAMETER.fullmatch(slot.parameter)]
    return model, place_slots(graph, [*kept, *layer_slots])


def _renumbered(slot: Slot, number: int) -> Slot:
    match = _LAYER_PARAMETER.fullmatch(slot.parameter)
    assert match is not None
    name = f"model.layers.{number}.{match[2]}"
    return replace(slot, initializer=name, parameter=name)


def _find_layer(graph: onnx.GraphProto, slots: Sequence[Slot], number: int, stream: Sequence[str]) -> _Layer:
    """Return the nodes between two values of the stream that depend on it or on the layer's parameters.

    The shape of the first value is that of all others, so what depends only on it is shared.
    """
    start, end = stream[number], stream[number + 1]
    own_slots = {
        slot.initializer: slot
        for slot in slots
        if (match := _LAYER_PARAMETER.fullmatch(slot.parameter)) and int(match[1]) == number
    }
    needed = _needed(graph, end, start)
    made = {start, *own_slots}
    nodes = []
    for node in graph.node:
        shared = node.op_type == "Shape" and node.input[0] == stream[0]
        if node.output[0] in needed and made & set(node.input) and not shared:
            nodes.append(node)
            made |= set(node.output)
    return _Layer(number, tuple(nodes), start, end, own_slots)


def _needed(graph: onnx.GraphProto, end: str, start: str) -> set[str]:
    """Return the values that `end` is computed from, up to `start`."""
    producers = {output: node for node in graph.node for output in node.output}
    needed: set[str] = set()
    stack = [end]
    while stack:
        name = stack.pop()
        if name in needed or name == start or name not in producers:
            continue
        needed.add(name)
        stack.extend(producers[name].input)
    return needed


def _check_apart(graph: onnx.GraphProto, layers: Sequence[_Layer], stream: Sequence[str]) -> None:
    """Check that a layer's values are read only in it, and its end only in the next.

    Raises:
        ExportError: another node reads one.
    """
    readers = {node.output[0]: layer.number for layer in layers for node in layer.nodes}
    allowed: dict[str, set[int | None]] = {}
    for layer in layers:
        values = {name for node in layer.nodes for name in node.output} | set(layer.slots)
        allowed |= {name: {layer.number} for name in values}
    for number, name in enumerate(stream[1:], 1):
        allowed[name].add(number if name != stream[-1] else None)
    for node in graph.node:
        for name in node.input:
            if name in allowed and readers.get(node.output[0]) not in allowed[name]:
                raise ExportError(f"{name} is read outside of its layer")


def _around(
    graph: onnx.GraphProto, own: set[str], end: str
) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """Return the nodes outside of layers: those before them, and those that depend on the `end` of the stream."""
    before, after = [], []
    made = {end}
    for node in graph.node:
        if node.output[0] in own:
            continue
        if made & set(node.input):
            after.append(node)
            made |= set(node.output)
        else:
            before.append(node)
    return before, after
