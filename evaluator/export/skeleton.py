"""Turn an exported decoder into a body without weights: ids in, final hidden states of scored positions out.

The head is cut off because logits over the vocabulary are the largest array of a pass, and scoring needs neither all
positions nor the logits themselves (`runtime.score_graph` multiplies by the head instead). Parameters become
references to external data, so that one graph serves every variant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from evaluator.models.architectures.rotary import ROTARY_BUFFERS
from evaluator.support.errors import ExportError
from evaluator.support.units import FLOAT_BYTES

HEAD_PARAMETER = "lm_head.weight"
SCORED_POSITIONS = "scored_positions"
FINAL_HIDDEN = "final_hidden"
WEIGHTS_FILE = "weights.bin"
#: Written by the exporter: the graph without weights, and the places of its parameters.
SKELETON_FILE, SLOTS_FILE = "skeleton.onnx", "slots.json"
#: Weights are mapped into memory, so tensors start at page boundaries.
_ALIGNMENT = 4096


@dataclass(frozen=True)
class Slot:
    """A parameter's place in the graph.

    `shape` is the initializer's, after transposing; `index` is the expert if the parameter stacks those of all.
    """

    initializer: str
    parameter: str
    transposed: bool
    shape: tuple[int, ...]
    offset: int
    index: int | None = None

    @property
    def n_values(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def n_bytes(self) -> int:
        """Bytes of the float32 values."""
        return FLOAT_BYTES * self.n_values


def make_skeleton(
    model: onnx.ModelProto,
    shapes: Mapping[str, tuple[int, ...]],
    frequencies: Mapping[str, npt.NDArray[np.float32]],
    norm_offset: float = 0.0,
) -> tuple[onnx.ModelProto, list[Slot]]:
    """Cut, prune and empty an exported model in place.

    Args:
        model: the model, exported without values: its parameters are inputs with the names of `shapes`.
        shapes: shapes of the parameters in the real model.
        frequencies: rotary buffer → the values of the constants that hold it; they must differ from all other
            constants.
        norm_offset: number that the graph adds to the weights of norms; the slots hold the sums.

    Raises:
        ExportError: a parameter is not in the graph, or used otherwise, so that it cannot be filled in.
    """
    graph = model.graph
    views = _read_in_place(graph, shapes, norm_offset)
    contents = {name: (name, transposed) for name, transposed in views.items()}
    all_shapes = dict(shapes)
    for buffer, values in frequencies.items():
        for name, shape in _lift_frequencies(graph, values).items():
            contents[name] = (buffer, False)
            all_shapes[buffer] = shape
    _cut_head(graph)
    prune(graph)
    slots = _externalize(graph, contents, all_shapes)
    lost = set(shapes) - {slot.parameter for slot in slots} - {HEAD_PARAMETER}
    if lost:
        raise ExportError(f"the exported graph does not hold these parameters: {sorted(lost)[:3]}")
    angles = sum(node.op_type == "Cos" for node in graph.node)
    if angles > sum(slot.parameter in ROTARY_BUFFERS for slot in slots):
        raise ExportError("the exported graph does not hold its rotary frequencies unchanged")
    del graph.value_info[:]  # shapes of the small export would contradict the real ones
    return model, slots


def _read_in_place(
    graph: onnx.GraphProto, shapes: Mapping[str, tuple[int, ...]], norm_offset: float
) -> dict[str, bool]:
    """Turn parameters from inputs into initializers that nodes read directly; return name → transposed.

    A transposition or offset between a parameter and its reader becomes part of the initializer.
    """
    present = {item.name for item in graph.input} & set(shapes)
    _keep(graph.input, [item for item in graph.input if item.name not in present])
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            consumers[name].append(node)
    constants = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
    views: dict[str, bool] = {}
    absorbed: set[str] = set()
    for name in (name for name in shapes if name in present):
        offset = norm_offset if name.endswith("norm.weight") else 0.0
        view, transposed = name, False
        while len(consumers[view]) == 1:
            (node,) = consumers[view]
            if node.op_type == "Transpose" and list(node.attribute[0].ints) == [1, 0]:
                transposed = not transposed
            elif node.op_type == "Cast" and node.attribute[0].i == onnx.TensorProto.FLOAT:
                pass
            elif offset and node.op_type == "Add" and _adds(node, offset, constants):
                offset = 0.0
            else:
                break
            view = node.output[0]
            absorbed.add(view)
        if offset:
            raise ExportError(f"the exported graph does not add {offset:g} to {name}")
        for node in consumers[view]:
            node.input[:] = [name if item == view else item for item in node.input]
        graph.initializer.add(name=name)
        views[name] = transposed
    _keep(graph.node, [node for node in graph.node if node.output[0] not in absorbed])
    return views


def _adds(node: onnx.NodeProto, number: float, constants: Mapping[str, onnx.NodeProto]) -> bool:
    """Return whether `node` adds the constant `number` to its other input."""
    added = [
        numpy_helper.to_array(constants[name].attribute[0].t) for name in node.input if name in constants
    ]
    return len(added) == 1 and added[0].size == 1 and float(added[0].reshape(())) == number


def _lift_frequencies(
    graph: onnx.GraphProto, frequencies: npt.NDArray[np.float32]
) -> dict[str, tuple[int, ...]]:
    """Turn the constants that hold rotary frequencies into initializers; return name → shape."""
    lifted: dict[str, tuple[int, ...]] = {}
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        values = numpy_helper.to_array(node.attribute[0].t)
        if values.dtype == np.float32 and np.array_equal(values.ravel(), frequencies):
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
            lifted[node.output[0]] = values.shape
    return lifted


def _cut_head(graph: onnx.GraphProto) -> None:
    node = next((node for node in graph.node if HEAD_PARAMETER in node.input), None)
    if node is None:
        raise ExportError("the exported graph has no output matrix")
    hidden = next(name for name in node.input if name != HEAD_PARAMETER)
    graph.node.append(helper.make_node("Gather", [hidden, SCORED_POSITIONS], [FINAL_HIDDEN], axis=1))
    graph.input.append(helper.make_tensor_value_info(SCORED_POSITIONS, onnx.TensorProto.INT64, ["scored"]))
    del graph.output[:]
    shape = ["batch_size", "scored", "hidden"]
    graph.output.append(helper.make_tensor_value_info(FINAL_HIDDEN, onnx.TensorProto.FLOAT, shape))


def values_read(node: onnx.NodeProto) -> list[str]:
    """Return the values that a node reads, those in its branches included."""
    names = [name for name in node.input if name]
    for item in node.attribute:
        if item.HasField("g"):
            made = {name for inner in item.g.node for name in inner.output}
            inner_names = [name for inner in item.g.node for name in values_read(inner)]
            names += [
                name for name in (*inner_names, *(out.name for out in item.g.output)) if name not in made
            ]
    return names


def sink_initializers(graph: onnx.GraphProto) -> None:
    """Move initializers that only one branch reads into the branch, in place.

    onnxruntime's time to load grows with the number of branches times that of values around them.
    """
    branches = [item.g for node in graph.node for item in node.attribute if item.HasField("g")]
    if not branches:
        return
    readers: dict[str, list[onnx.GraphProto | None]] = defaultdict(list)
    for name in (name for node in graph.node for name in node.input):
        readers[name].append(None)
    for branch in branches:
        for name in {name for node in branch.node for name in values_read(node)}:
            readers[name].append(branch)
    kept = []
    for item in graph.initializer:
        owner = readers[item.name][0] if len(readers[item.name]) == 1 else None
        if owner is None:
            kept.append(item)
        else:
            owner.initializer.append(item)
    _keep(graph.initializer, kept)
    for branch in branches:
        sink_initializers(branch)


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
            stack.extend(values_read(producers[name]))
    _keep(graph.node, [node for node in graph.node if needed & set(node.output)])
    _keep(graph.initializer, [item for item in graph.initializer if item.name in needed])
    _keep(graph.input, [item for item in graph.input if item.name in needed])


def _keep(field: Any, items: Sequence[object]) -> None:
    kept = list(items)
    del field[:]
    field.extend(kept)


def _externalize(
    graph: onnx.GraphProto,
    contents: Mapping[str, tuple[str, bool]],
    shapes: Mapping[str, tuple[int, ...]],
) -> list[Slot]:
    slots = []
    for initializer in graph.initializer:
        if initializer.name in contents:
            parameter, transposed = contents[initializer.name]
            shape = shapes[parameter][::-1] if transposed else shapes[parameter]
            slots.append(Slot(initializer.name, parameter, transposed, tuple(shape), 0))
    return place_slots(graph, slots)


def place_slots(graph: onnx.GraphProto, slots: Sequence[Slot]) -> list[Slot]:
    """Give the slots offsets one behind the other, and replace the graph's initializers of these names."""
    placed: list[Slot] = []
    offset = 0
    for slot in slots:
        placed.append(replace(slot, offset=offset))
        offset += -(-slot.n_bytes // _ALIGNMENT) * _ALIGNMENT
    names = {slot.initializer for slot in placed}
    _keep(graph.initializer, [item for item in graph.initializer if item.name not in names])
    for slot in placed:
        refer_to_external(graph.initializer.add(), slot)
    return placed


def refer_to_external(initializer: onnx.TensorProto, slot: Slot) -> None:
    """Turn `initializer` into the float32 reference into `WEIGHTS_FILE` that `slot` describes."""
    initializer.Clear()
    initializer.name = slot.initializer
    initializer.data_type = onnx.TensorProto.FLOAT
    initializer.dims.extend(slot.shape)
    initializer.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS_FILE), ("offset", slot.offset), ("length", slot.n_bytes)):
        initializer.external_data.add(key=key, value=str(value))
