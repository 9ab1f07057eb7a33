"""Turn an exported decoder into a body without weights: ids in, final hidden states of scored positions out.

The head is cut off because logits over the vocabulary are the largest array of a pass, and scoring needs neither all
positions nor the logits themselves (`runtime.score_graph` multiplies by the head instead). Parameters become
references to external data, so that one graph serves every variant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from evaluator.models.architectures.rotary import ROTARY_BUFFERS
from evaluator.support.errors import ExportError

HEAD_PARAMETER = "lm_head.weight"
SCORED_POSITIONS = "scored_positions"
FINAL_HIDDEN = "final_hidden"
WEIGHTS_FILE = "weights.bin"
#: Weights are mapped into memory, so tensors start at page boundaries.
_ALIGNMENT = 4096


@dataclass(frozen=True)
class Slot:
    """A parameter's place in the graph; `shape` is the initializer's, after transposing."""

    initializer: str
    parameter: str
    transposed: bool
    shape: tuple[int, ...]
    offset: int

    @property
    def n_values(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def n_bytes(self) -> int:
        """Bytes of the float32 values."""
        return 4 * self.n_values


def make_skeleton(
    model: onnx.ModelProto,
    parameters: Mapping[str, npt.NDArray[np.float32]],
    true_shapes: Mapping[str, tuple[int, ...]],
) -> tuple[onnx.ModelProto, list[Slot]]:
    """Cut, prune and empty an exported model in place.

    Args:
        model: the exported model; its initializers hold the values `parameters`, possibly transposed.
        parameters: all parameters and rotary frequencies of the exported module, as the graph uses them;
            values must differ from one another.
        true_shapes: shapes of the parameters in the real model.

    Raises:
        ExportError: a parameter is not in the graph unchanged, so that it cannot be replaced.
    """
    weights = {name: values for name, values in parameters.items() if name not in ROTARY_BUFFERS}
    matches = _match_parameters(model.graph, weights)
    shapes = dict(true_shapes)
    for buffer in ROTARY_BUFFERS:
        for name, shape in _lift_frequencies(model.graph, parameters.get(buffer)).items():
            matches[name] = (buffer, False)
            shapes[buffer] = shape
    _cut_head(model.graph, matches)
    prune(model.graph)
    slots = _externalize(model.graph, matches, shapes)
    lost = set(weights) - {slot.parameter for slot in slots} - {HEAD_PARAMETER}
    if lost:
        raise ExportError(f"the exported graph does not hold these parameters unchanged: {sorted(lost)[:3]}")
    angles = sum(node.op_type == "Cos" for node in model.graph.node)
    if angles > sum(slot.parameter in ROTARY_BUFFERS for slot in slots):
        raise ExportError("the exported graph does not hold its rotary frequencies unchanged")
    del model.graph.value_info[:]  # shapes of the small export would contradict the real ones
    return model, slots


def _digest(values: npt.NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes() + str(values.shape).encode()).digest()


def _match_parameters(
    graph: onnx.GraphProto, parameters: Mapping[str, npt.NDArray[np.float32]]
) -> dict[str, tuple[str, bool]]:
    """Match initializers with (parameter, transposed) by value, because the export changes names."""
    by_content: dict[bytes, tuple[str, bool]] = {}
    for name, values in parameters.items():
        if values.ndim == 2:
            by_content[_digest(values.T)] = (name, True)
        by_content[_digest(values)] = (name, False)
    matches: dict[str, tuple[str, bool]] = {}
    for initializer in graph.initializer:
        match = by_content.get(_digest(numpy_helper.to_array(initializer)))
        if match:
            matches[initializer.name] = match
    return matches


def _lift_frequencies(
    graph: onnx.GraphProto, frequencies: npt.NDArray[np.float32] | None
) -> dict[str, tuple[int, ...]]:
    """Turn the constants that hold rotary frequencies into initializers; return name → shape."""
    lifted: dict[str, tuple[int, ...]] = {}
    if frequencies is None:
        return lifted
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        values = numpy_helper.to_array(node.attribute[0].t)
        if values.dtype == np.float32 and np.array_equal(values.ravel(), frequencies):
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
            lifted[node.output[0]] = values.shape
    return lifted


def _cut_head(graph: onnx.GraphProto, matches: Mapping[str, tuple[str, bool]]) -> None:
    heads = [name for name, (parameter, _) in matches.items() if parameter == HEAD_PARAMETER]
    node = next((node for node in graph.node if set(heads) & set(node.input)), None)
    if node is None:
        raise ExportError("the exported graph has no output matrix")
    hidden = next(name for name in node.input if name not in heads)
    graph.node.append(helper.make_node("Gather", [hidden, SCORED_POSITIONS], [FINAL_HIDDEN], axis=1))
    graph.input.append(helper.make_tensor_value_info(SCORED_POSITIONS, onnx.TensorProto.INT64, ["scored"]))
    del graph.output[:]
    shape = ["batch_size", "scored", "hidden"]
    graph.output.append(helper.make_tensor_value_info(FINAL_HIDDEN, onnx.TensorProto.FLOAT, shape))


def prune(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that no output needs."""
    producers = {output: node for node in graph.node for output in node.output}
    needed: set[str] = set()
    stack = [output.name for output in graph.output]
    while stack:
        name = stack.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in producers:
            stack.extend(filter(None, producers[name].input))
    _keep(graph.node, [node for node in graph.node if needed & set(node.output)])
    _keep(graph.initializer, [item for item in graph.initializer if item.name in needed])
    _keep(graph.input, [item for item in graph.input if item.name in needed])


def _keep(field: Any, items: Sequence[object]) -> None:
    kept = list(items)
    del field[:]
    field.extend(kept)


def _externalize(
    graph: onnx.GraphProto,
    matches: Mapping[str, tuple[str, bool]],
    true_shapes: Mapping[str, tuple[int, ...]],
) -> list[Slot]:
    slots: list[Slot] = []
    offset = 0
    for initializer in graph.initializer:
        if initializer.name not in matches:
            continue
        parameter, transposed = matches[initializer.name]
        shape = true_shapes[parameter][::-1] if transposed else true_shapes[parameter]
        slot = Slot(initializer.name, parameter, transposed, tuple(shape), offset)
        refer_to_external(initializer, slot)
        slots.append(slot)
        offset += -(-slot.n_bytes // _ALIGNMENT) * _ALIGNMENT
    return slots


def refer_to_external(initializer: onnx.TensorProto, slot: Slot) -> None:
    """Turn `initializer` into the float32 reference into `WEIGHTS_FILE` that `slot` describes."""
    initializer.Clear()
    initializer.name = slot.initializer
    initializer.data_type = onnx.TensorProto.FLOAT
    initializer.dims.extend(slot.shape)
    initializer.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_FILE), ("offset", slot.offset), ("length", slot.n_bytes)):
        initializer.external_data.add(key=key, value=str(value))
