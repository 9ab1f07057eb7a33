"""Build the model of a piece: its nodes under names that do not depend on the layer, and its weights as inputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import onnx
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.dataflow import replace_nodes
from evaluator.export.fusion.norms import CONTRIB

#: Names of every piece's first input and first output.
STREAM, OUTPUT = "stream", "output"
#: A mixture's further output, the router's logits, and the further input of what follows its experts: their sum.
LOGITS, MIXTURE = "logits", "mixture"
#: Keys and values of the positions before a chunk, and of all positions up to its end.
PAST, PRESENT = ("past_key", "past_value"), ("present_key", "present_value")
#: Prefix of outputs that hold the sums of squares of what enters a matrix; the name of the weight's input follows.
SQUARES = "squares_"
_PRODUCT, _PRODUCT_AS_STORED = "MatMul", "FusedMatMul"


def renamed(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> list[onnx.NodeProto]:
    """Return copies in which values without an entry in `names` are numbered in order.

    Nothing else that names the layer is kept, so that layers of the same structure have the same model.
    """
    known = dict(names) | {"": ""}
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = copy.doc_string = ""
        del copy.metadata_props[:]
        for item in copy.attribute:
            if item.HasField("t"):
                item.t.name = ""
        for field in (copy.input, copy.output):
            for index, name in enumerate(field):
                field[index] = known.setdefault(name, f"value_{len(known)}")
        copies.append(copy)
    return copies


def named(item: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return a copy of an initializer with another name."""
    copy = onnx.TensorProto()
    copy.CopyFrom(item)
    copy.name = name
    return copy


def add_squares(graph: onnx.GraphProto, weights: Collection[str]) -> None:
    """Output Σ x² over all positions, float32 [channels], of the x that enters each matrix, in place.

    Of a matrix that several products read, it is the mean over them.
    """
    entering: dict[str, list[str]] = defaultdict(list)
    for node in graph.node:
        if node.op_type == _PRODUCT and node.input[1] in weights:
            entering[node.input[1]].append(node.input[0])
    if entering:
        graph.initializer.append(helper.make_tensor("square_axes", TensorProto.INT64, [2], [0, 1]))
    for weight, inputs in entering.items():
        parts = [f"{SQUARES}{weight}_{place}" for place in range(len(inputs))]
        for name, part in zip(inputs, parts, strict=True):
            graph.node.append(helper.make_node("ReduceSumSquare", [name, "square_axes"], [part], keepdims=0))
        graph.node.append(helper.make_node("Mean", parts, [f"{SQUARES}{weight}"]))
        graph.output.append(helper.make_tensor_value_info(f"{SQUARES}{weight}", TensorProto.FLOAT, None))


def multiply_as_stored(model: onnx.ModelProto, transposed: Collection[str]) -> set[str]:
    """Let products read `transposed` weights in the order in which files store them, in place; return those weights.

    Exported graphs multiply by [inputs, outputs]; files hold [outputs, inputs]. The product can transpose while it
    reads, which is as fast, and spares a copy of every matrix.
    """
    readers: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            readers[name].add((node.op_type, place))
    stored = {name for name in transposed if readers[name] == {(_PRODUCT, 1)}}
    nodes = []
    for node in model.graph.node:
        if node.op_type == _PRODUCT and node.input[1] in stored:
            product = helper.make_node(_PRODUCT_AS_STORED, node.input, node.output, domain=CONTRIB, transB=1)
            nodes.append(product)
        else:
            nodes.append(node)
    replace_nodes(model.graph, nodes)
    if stored and all(item.domain != CONTRIB for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    return stored


def weights_as_inputs(graph: onnx.GraphProto, weights: Collection[str]) -> set[str]:
    """Turn the initializers `weights` into inputs, in place; return those that are float16."""
    halves = set()
    kept = []
    for item in graph.initializer:
        if item.name not in weights:
            kept.append(item)
            continue
        graph.input.append(helper.make_tensor_value_info(item.name, item.data_type, None))
        if item.data_type == TensorProto.FLOAT16:
            halves.add(item.name)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return halves


def with_past(model: bytes) -> bytes:
    """Return an attention piece that continues a window.

    New inputs: keys and values of the earlier positions, `PAST`, float32 [1, heads, positions, width]. New outputs:
    those of all positions so far, `PRESENT`.
    """
    piece = onnx.load_from_string(model)
    (node,) = (node for node in piece.graph.node if node.op_type == ATTENTION)
    node.input[3], node.input[4] = PAST
    node.output[1], node.output[2] = PRESENT
    for names, field in ((PAST, piece.graph.input), (PRESENT, piece.graph.output)):
        field.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    content: bytes = piece.SerializeToString(deterministic=True)
    return content


def with_whole_scores(model: bytes) -> bytes:
    """Return an attention piece that does not put out keys and values.

    onnxruntime's kernel for the CPU then holds all scores at a time, which is faster for short windows.
    """
    piece = onnx.load_from_string(model)
    for node in piece.graph.node:
        if node.op_type == ATTENTION:
            del node.output[1:]
    content: bytes = piece.SerializeToString(deterministic=True)
    return content
