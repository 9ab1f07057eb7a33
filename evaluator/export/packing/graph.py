"""Build the decoding graph of a model with its weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.composing.whole import whole_body
from evaluator.export.exact.context import check_tables_fit, longest_context
from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, parameter_tensors, rotary_inputs
from evaluator.export.fusion.attention import ATTENTION
from evaluator.export.fusion.dataflow import replace_nodes
from evaluator.export.fusion.uses import Body, ExpertsCall, fused_body, score_late, with_cache
from evaluator.export.packing.experts import can_be_one_node, write_one_node
from evaluator.export.packing.formats import Packed, stacked
from evaluator.export.packing.matrices import Matrix
from evaluator.export.packing.nodes import NodeWriter
from evaluator.export.packing.weights_file import WeightsFile
from evaluator.export.skeleton import FINAL_HIDDEN, SCORED_POSITIONS, Slot, sink_initializers, values_read
from evaluator.export.softcap import softcap_nodes
from evaluator.models.architectures import head_tensor, logit_softcap
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import ExportError

LOGITS = "logits"
_LAST_POSITION = -1

Values = npt.NDArray[np.float32]
#: Return a matrix's form in the artifact, by its tensor's name, and its number if the tensor stacks several.
Deploy = Callable[[str, int | None], Matrix]


def decoding_model(
    file: ModelFile,
    graph: Graph,
    weights: WeightsFile,
    accuracy_level: int,
    deploy: Deploy,
    keep: Callable[[str, Values], None],
    *,
    one_node: bool = False,
) -> onnx.ModelProto:
    """Build a model that continues from a cache: ids, past keys and values in, logits of the last position out.

    Args:
        file: the model's weights.
        graph: the model's graph.
        weights: the file to write them to.
        accuracy_level: accuracy level of packed products, see `nodes`.
        deploy: returns a matrix's form in the artifact.
        keep: called with each other tensor and its values, which stay float32.
        one_node: whether the experts of a layer may become one node.

    Raises:
        ExportError: the graph has no fused attention, which the cache requires, or there is too little memory for
            the model's context.
        SourceError: the weights do not fit the graph.
    """
    body = decoding_body(file, graph)
    check_tables_fit(file, graph)
    score_late(body)
    model = with_cache(body)
    matrices, vectors = _by_use(model.graph, body.slots)
    writer = NodeWriter(weights, accuracy_level)
    writing = _Writing(
        file, matrices, parameter_tensors(file), writer, deploy, body.experts if one_node else {}
    )
    _write_nodes(model.graph, writing)
    head = head_tensor(file)
    matrix = deploy(head, None)
    softcap = logit_softcap(file)
    writer.product(head, FINAL_HIDDEN, matrix, "raw_logits" if softcap else LOGITS)
    if softcap:
        writer.nodes.extend(softcap_nodes("raw_logits", LOGITS, softcap))
    fixed = [numpy_helper.from_array(np.array([_LAST_POSITION], np.int64), SCORED_POSITIONS)]
    tensors = parameter_tensors(file)
    read = {name for node in writer.nodes for name in values_read(node)}
    kept = tuple(slot for slot in vectors if slot.initializer in read)
    for slot, values in exact_weights(file, Graph(Path(), kept)):
        keep(tensors[slot.parameter], values)
        fixed.append(weights.place(slot.initializer, values))
    for name, table in rotary_inputs(file, graph, longest_context(file), length=0).items():
        fixed.append(weights.place(name, table))
    _set_initializers(model.graph, {slot.initializer for slot in body.slots}, [*fixed, *writer.initializers])
    replace_nodes(model.graph, _attending_to_joined(writer.nodes))
    _drop_unread(model.graph)
    sink_initializers(model.graph)
    _set_output(model.graph, file.tensor(head).shape[0])
    return model


def decoding_body(file: ModelFile, graph: Graph) -> Body:
    """Return a model's graph without weights, with what decoding needs to know of it.

    Raises:
        ExportError: the graph has no fused attention, which the cache requires.
    """
    if graph.decoder:
        return whole_body(graph.decoder, graph.shapes)
    if graph.fused is None:
        raise ExportError(f"{file.path}: has no decoding graph: {graph.plain_reason}")
    return fused_body(graph.fused)


def _by_use(graph: onnx.GraphProto, slots: Sequence[Slot]) -> tuple[dict[str, Slot], tuple[Slot, ...]]:
    """Split slots into matrices that are only multiplied by or looked up in, by initializer, and the others."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in _all_nodes(graph):
        for name in node.input:
            readers[name].append(node)
    matrices = {
        slot.initializer: slot
        for slot in slots
        if len(slot.shape) == 2 and all(_reads_as_matrix(node, slot) for node in readers[slot.initializer])
    }
    return matrices, tuple(slot for slot in slots if slot.initializer not in matrices)


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes, those in branches included."""
    for node in graph.node:
        yield node
        for branch in _branches(node):
            yield from _all_nodes(branch)


def _branches(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [item.g for item in node.attribute if item.HasField("g")]


def _reads_as_matrix(node: onnx.NodeProto, slot: Slot) -> bool:
    if slot.transposed:
        return bool(node.op_type == "MatMul" and node.input[1] == slot.initializer)
    return bool(node.op_type == "Gather" and node.input[0] == slot.initializer)


@dataclass(frozen=True)
class _Writing:
    """What nodes are written with: matrices by their initializers, tensors by parameters, experts by their output."""

    file: ModelFile
    matrices: Mapping[str, Slot]
    tensors: Mapping[str, str]
    writer: NodeWriter
    deploy: Deploy
    experts: Mapping[str, ExpertsCall]


def _write_nodes(graph: onnx.GraphProto, writing: _Writing) -> None:
    """Write all nodes in order; those that read a matrix take its form in the artifact."""
    matrices, tensors, writer, deploy = writing.matrices, writing.tensors, writing.writer, writing.deploy
    together = _products_of_same_data(graph, matrices)
    for node in graph.node:
        slot = next((matrices[name] for name in node.input if name in matrices), None)
        call = writing.experts.get(node.output[0])
        if call and can_be_one_node(writing.file, call, writer.accuracy_level):
            write_one_node(writer, writing.file, call, deploy, node.output[0])
        elif slot is None:
            for branch in _branches(node):
                with writer.inside(branch):
                    _write_nodes(branch, writing)
            writer.nodes.append(node)
        elif node.op_type == "Gather":
            tensor = tensors[slot.parameter]
            writer.lookup(tensor, node.input[1], deploy(tensor, None), node.output[0])
        elif group := together.pop(node.input[0], None):
            factors = []
            for item in group:
                factor = matrices[item.input[1]]
                tensor = tensors[factor.parameter]
                name = tensor if factor.index is None else f"{tensor}/{factor.index}"
                factors.append((name, deploy(tensor, factor.index), item.output[0]))
            _write_products(writer, node.input[0], factors)


def _products_of_same_data(
    graph: onnx.GraphProto, matrices: Mapping[str, Slot]
) -> dict[str, list[onnx.NodeProto]]:
    """Group products with matrices by their input: query, key and value; gate and up."""
    together: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in matrices:
            together[node.input[0]].append(node)
    return together


def _write_products(writer: NodeWriter, data: str, factors: Sequence[tuple[str, Matrix, str]]) -> None:
    """Multiply `data` by each matrix of (name, matrix, output); packed ones of one form become one product."""
    forms: dict[object, list[tuple[str, Packed, str]]] = defaultdict(list)
    for name, matrix, output in factors:
        if isinstance(matrix, Packed):
            forms[matrix.form].append((name, matrix, output))
        else:
            writer.product(name, data, matrix, output)
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
    read = {name for node in graph.node for name in values_read(node)}
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
