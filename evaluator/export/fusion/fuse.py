"""Fuse attention and norms of an exported graph."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import (
    FLAT_SHAPE,
    SEQLENS,
    TOTAL_LENGTH,
    Attention,
    attention_nodes,
    find_attention,
    rotary_names,
)
from evaluator.export.fusion.check import check_attention
from evaluator.export.fusion.dataflow import Dataflow, drop_casts, sort_nodes
from evaluator.export.fusion.norms import CONTRIB, NORM, fuse_norms, fuse_residuals
from evaluator.export.skeleton import SCORED_POSITIONS, Slot, prune
from evaluator.models.architectures.rotary import ROTARY_BUFFERS
from evaluator.support.errors import ExportError

_FINAL_NORM = "model.norm.weight"
_INPUT_NORM = "model.layers.{}.input_layernorm.weight"


@dataclass(frozen=True)
class Rotary:
    """The source of the tables `cos_cache_i` and `sin_cache_i`: a slot of the plain graph, and a factor."""

    slot: Slot
    factor: float


@dataclass(frozen=True)
class Heads:
    """The sizes of a layer's keys and values; `window` is None without a sliding window."""

    kv_heads: int
    width: int
    window: int | None


@dataclass(frozen=True)
class Fused:
    """A body with fused attention.

    Inputs: `input_ids` int64 [batch, sequence], `scored_positions` int64 [scored], and per set of rotary
    frequencies `cos_cache_i`, `sin_cache_i` float32 [positions, frequencies]. Output: `final_hidden`.

    Attributes:
        path: the model file; its weights are at the plain graph's offsets.
        slots: the plain graph's slots, without the rotary frequencies.
        rotary: sources of the tables, in the order of i.
        heads: sizes of keys and values per layer.
        checked: layers whose attention was run both ways; each of the others is the same nodes as one of these.
    """

    path: Path
    slots: tuple[Slot, ...]
    rotary: tuple[Rotary, ...]
    heads: tuple[Heads, ...]
    checked: tuple[int, ...] = ()


def simplify(model: onnx.ModelProto, slots: Sequence[Slot]) -> None:
    """Turn each norm into one node and drop casts without effect, in place; values keep their names."""
    drop_casts(model)
    fuse_norms(model.graph, Dataflow(model.graph, slots))


def residual_stream(model: onnx.ModelProto, slots: Sequence[Slot]) -> tuple[str, ...]:
    """Return the names of the residual stream before the first layer of a simplified graph and after each.

    Raises:
        ExportError: a norm does not have the known form.
    """
    flow = Dataflow(model.graph, slots)
    parameters = {slot.parameter for slot in slots}
    layers = itertools.takewhile(parameters.__contains__, map(_INPUT_NORM.format, itertools.count()))
    names = []
    for parameter in (*layers, _FINAL_NORM):
        readers = [node for node in flow.readers_of(parameter) if node.op_type == NORM]
        if len(readers) != 1:
            raise ExportError(f"{parameter} is not the gain of exactly one norm of the known form")
        names.append(readers[0].input[0])
    return tuple(names)


def fuse(model: onnx.ModelProto, slots: Sequence[Slot], settings: Mapping[str, Any]) -> Fused:
    """Fuse a simplified graph in place.

    Args:
        model: the simplified graph, without weights.
        slots: its parameters.
        settings: the family's configuration, with transformers' names.

    Raises:
        ExportError: a layer does not have the known form, or computes something else when fused.
    """
    flow = Dataflow(model.graph, slots)
    frequencies = [slot for slot in slots if slot.parameter in ROTARY_BUFFERS]
    attentions = find_attention(flow, slots, [slot.initializer for slot in frequencies], settings)
    checked = check_attention(model, flow, attentions, frequencies, int(settings["hidden_size"]))
    _replace_attention(model, flow, attentions)
    rotary = tuple(Rotary(slot, _factor(attentions, index)) for index, slot in enumerate(frequencies))
    _set_inputs(model.graph, len(rotary))
    prune(model.graph)
    fuse_residuals(model.graph, Dataflow(model.graph, slots))
    sort_nodes(model.graph)
    model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    heads = tuple(Heads(item.kv_heads, item.width, item.window) for item in attentions)
    kept = tuple(slot for slot in slots if slot not in frequencies)
    return Fused(Path(), kept, rotary, heads, checked)


def _factor(attentions: Sequence[Attention], index: int) -> float:
    factors = {item.rotary_factor for item in attentions if item.rotary == index}
    if len(factors) > 1:
        raise ExportError("layers share rotary frequencies but not their factor")
    return factors.pop() if factors else 1.0


def _replace_attention(model: onnx.ModelProto, flow: Dataflow, attentions: Sequence[Attention]) -> None:
    graph = model.graph
    for item in attentions:
        graph.node.remove(flow.producers[item.output])
        graph.node.extend(attention_nodes(item))
    graph.initializer.append(helper.make_tensor(FLAT_SHAPE, TensorProto.INT64, [3], [0, 0, -1]))
    add_lengths(graph)


def add_lengths(graph: onnx.GraphProto) -> None:
    """Compute what attention nodes need to know of the windows' length, in place."""
    graph.initializer.append(helper.make_tensor("one", TensorProto.INT32, [1], [1]))
    graph.node.extend(
        [
            helper.make_node("Shape", ["input_ids"], ["batch_shape"], end=1),
            helper.make_node("Shape", ["input_ids"], ["length_64"], start=1),
            helper.make_node("Cast", ["length_64"], [TOTAL_LENGTH], to=TensorProto.INT32),
            helper.make_node("Sub", [TOTAL_LENGTH, "one"], ["last_position"]),
            helper.make_node("Expand", ["last_position", "batch_shape"], [SEQLENS]),
        ]
    )


def _set_inputs(graph: onnx.GraphProto, n_rotary: int) -> None:
    kept = [item for item in graph.input if item.name in ("input_ids", SCORED_POSITIONS)]
    del graph.input[:]
    graph.input.extend(kept)
    for index in range(n_rotary):
        for name in rotary_names(index):
            shape = ["positions", f"frequencies_{index}"]
            graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
