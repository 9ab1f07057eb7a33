"""Build the decoding graph of a model with its weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, parameter_tensors, rotary_inputs
from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.dataflow import replace_nodes
from evaluator.export.fusion.uses import load_fused, score_late, with_cache
from evaluator.export.packing.formats import Packed, stacked
from evaluator.export.packing.matrices import Matrix
from evaluator.export.packing.nodes import NodeWriter
from evaluator.export.packing.weights_file import WeightsFile
from evaluator.export.skeleton import FINAL_HIDDEN, SCORED_POSITIONS, Slot
from evaluator.export.softcap import softcap_nodes
from evaluator.models.architectures import head_tensor, logit_softcap
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import ExportError

LOGITS = "logits"
#: Why a model whose pieces are built from a description has no artifact.
NOT_PACKED = "no packed graph for models of this family yet"
_LAST_POSITION = -1

#: Return a tensor's form in the artifact, by its name.
Deploy = Callable[[str], Matrix]


def decoding_model(
    file: ModelFile, graph: Graph, weights: WeightsFile, accuracy_level: int, deploy: Deploy
) -> onnx.ModelProto:
    """Build a model that continues from a cache: ids, past keys and values in, logits of the last position out.

    Args:
        file: the model's weights.
        graph: the model's graph.
        weights: the file to write them to.
        accuracy_level: accuracy level of packed products, see `nodes`.
        deploy: returns a tensor's form in the artifact.

    Raises:
        ExportError: the graph has no fused attention, which the cache requires.
        SourceError: the weights do not fit the graph.
    """
    if graph.decoder:
        raise ExportError(f"{file.path}: {NOT_PACKED}")
    if graph.fused is None:
        raise ExportError(f"{file.path}: has no decoding graph: {graph.plain_reason}")
    model = with_cache(score_late(load_fused(graph.fused), graph.fused), graph.fused)
    matrices, vectors = _by_use(model.graph, graph.fused.slots)
    writer = NodeWriter(weights, accuracy_level)
    _write_nodes(model.graph, matrices, parameter_tensors(file), writer, deploy)
    head = head_tensor(file)
    matrix = deploy(head)
    softcap = logit_softcap(file)
    writer.product(head, FINAL_HIDDEN, matrix, "raw_logits" if softcap else LOGITS)
    if softcap:
        writer.nodes.extend(softcap_nodes("raw_logits", LOGITS, softcap))
    fixed = [numpy_helper.from_array(np.array([_LAST_POSITION], np.int64), SCORED_POSITIONS)]
    for slot, values in exact_weights(file, Graph(Path(), vectors)):
        fixed.append(weights.place(slot.initializer, values))
    positions = int(file.require(f"{file.architecture}.context_length"))
    for name, table in rotary_inputs(file, graph, positions, length=0).items():
        fixed.append(weights.place(name, table))
    _set_initializers(
        model.graph, {slot.initializer for slot in graph.fused.slots}, [*fixed, *writer.initializers]
    )
    replace_nodes(model.graph, _attending_to_joined(writer.nodes))
    _drop_unread(model.graph)
    _set_output(model.graph, file.tensor(head).shape[0])
    return model


def _by_use(graph: onnx.GraphProto, slots: Sequence[Slot]) -> tuple[dict[str, Slot], tuple[Slot, ...]]:
    """Split slots into matrices that are only multiplied by or looked up in, by initializer, and the others."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    matrices = {
        slot.initializer: slot
        for slot in slots
        if len(slot.shape) == 2 and all(_reads_as_matrix(node, slot) for node in readers[slot.initializer])
    }
    return matrices, tuple(slot for slot in slots if slot.initializer not in matrices)


def _reads_as_matrix(node: onnx.NodeProto, slot: Slot) -> bool:
    if slot.transposed:
        return bool(node.op_type == "MatMul" and node.input[1] == slot.initializer)
    return bool(node.op_type == "Gather" and node.input[0] == slot.initializer)


def _write_nodes(
    graph: onnx.GraphProto,
    matrices: dict[str, Slot],
    tensors: dict[str, str],
    writer: NodeWriter,
    deploy: Deploy,
) -> None:
    """Write all nodes in order; those that read a matrix take its form in the artifact."""
    together = _products_of_same_data(graph, matrices)
    for node in graph.node:
        slot = next((matrices[name] for name in node.input if name in matrices), None)
        if slot is None:
            writer.nodes.append(node)
        elif node.op_type == "Gather":
            writer.lookup(
                tensors[slot.parameter], node.input[1], deploy(tensors[slot.parameter]), node.output[0]
            )
        elif group := together.pop(node.input[0], None):
            factors = [(tensors[matrices[item.input[1]].parameter], item.output[0]) for item in group]
            _write_products(writer, node.input[0], [(tensor, deploy(tensor), out) for tensor, out in factors])


def _products_of_same_data(
    graph: onnx.GraphProto, matrices: dict[str, Slot]
) -> dict[str, list[onnx.NodeProto]]:
    """Group products with matrices by their input: query, key and value; gate and up."""
    together: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in matrices:
            together[node.input[0]].append(node)
    return together


def _write_products(writer: NodeWriter, data: str, factors: Sequence[tuple[str, Matrix, str]]) -> None:
    """Multiply `data` by each matrix of (tensor, matrix, output); packed ones of one form become one product."""
    forms: dict[object, list[tuple[str, Packed, str]]] = defaultdict(list)
    for tensor, matrix, output in factors:
        if isinstance(matrix, Packed):
            forms[matrix.form].append((tensor, matrix, output))
        else:
            writer.product(tensor, data, matrix, output)
    for group in forms.values():
        names, parts, outputs = zip(*group, strict=True)
        if len(group) == 1:
            writer.product(names[0], data, parts[0], outputs[0])
            continue
        joined = "+".join(names)
        writer.product(joined, data, stacked(parts), f"{joined}/output")
        sizes = writer.constant(f"{joined}/rows", [len(part.codes) for part in parts])
        writer.add("Split", [f"{joined}/output", sizes], outputs, axis=-1)


def _attending_to_joined(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Feed query, key and value to attention in one piece where they were split only for it."""
    splits = {tuple(node.output): node for node in nodes if node.op_type == "Split"}
    dropped = []
    for node in nodes:
        split = splits.get(tuple(node.input[:3])) if node.op_type == ATTENTION else None
        if split:
            node.input[0], node.input[1], node.input[2] = split.input[0], "", ""
            dropped.append(split)
    return [node for node in nodes if node not in dropped]


def _set_initializers(
    graph: onnx.GraphProto, replaced: set[str], initializers: Sequence[onnx.TensorProto]
) -> None:
    """Replace the initializers named in `replaced`, and inputs of the new ones' names, by `initializers`."""
    kept = [item for item in graph.initializer if item.name not in replaced]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *initializers])
    names = {item.name for item in initializers}
    inputs = [item for item in graph.input if item.name not in names]
    del graph.input[:]
    graph.input.extend(inputs)


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Drop unused initializers, such as the sizes of dropped splits: onnxruntime warns about each."""
    read = {name for node in graph.node for name in node.input}
    kept = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _set_output(graph: onnx.GraphProto, vocabulary: int) -> None:
    """Replace hidden states by logits in the outputs."""
    outputs = [item for item in graph.output if item.name != FINAL_HIDDEN]
    shape = ["batch_size", 1, vocabulary]
    logits = helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, shape)
    del graph.output[:]
    graph.output.extend([logits, *outputs])
