"""Check fused attention by running it and the nodes it replaces on the same random queries, keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from evaluator.export.fusion.attention import (
    FLAT_SHAPE,
    SEQLENS,
    TOTAL_LENGTH,
    Attention,
    Core,
    attention_core,
    attention_nodes,
    rotary_names,
)
from evaluator.export.fusion.dataflow import Dataflow, sort_nodes
from evaluator.export.fusion.norms import CONTRIB
from evaluator.export.fusion.structure import structure_of
from evaluator.export.fusion.tables import rotary_tables
from evaluator.export.skeleton import Slot
from evaluator.export.window import SHORT_WINDOW, window_constant, with_short_window
from evaluator.support.errors import ExportError

#: Largest accepted difference of an output; queries and keys are drawn so that the scores spread over about ±10.
TOLERANCE = 1e-4
_SPREAD = 2.0
_LENGTH, _BEYOND_WINDOW = 24, 8
#: Scores take length² per head. Longer sliding windows are checked only if they can be exchanged for a short one.
_LONGEST = 2304

Values = npt.NDArray[np.float32]


def check_attention(
    model: onnx.ModelProto,
    flow: Dataflow,
    attentions: Sequence[Attention],
    frequencies: Sequence[Slot],
    hidden: int,
) -> tuple[int, ...]:
    """Run attention both ways and compare the outputs, once for layers whose attention is the same nodes.

    If the constant that holds the sliding window is known, both ways run with a short one.

    Args:
        model: the graph of `flow`.
        flow: its dataflow.
        attentions: the attention of each layer.
        frequencies: slots of the rotary frequencies.
        hidden: width of the residual stream.

    Returns:
        The layers that were run. Each of the others has the same nodes as one of these.

    Raises:
        ExportError: a layer differs, or cannot be run on its own.
    """
    distinct: dict[str, tuple[Attention, Core]] = {}
    for item in attentions:
        core = attention_core(flow, [cut.name for cut in item.cuts], [item.output])
        distinct.setdefault(structure_of(flow, core, item), (item, core))
    constant = window_constant(model)
    checked = [
        _with_short_window(item, core, flow, constant) if constant else (item, core)
        for item, core in distinct.values()
    ]
    length = max([_LENGTH, *(item.window + _BEYOND_WINDOW for item, _ in checked if item.window)])
    if length > _LONGEST:
        raise ExportError(
            f"a sliding window of {length - _BEYOND_WINDOW} positions is too long to be checked"
        )
    generator = np.random.default_rng(0)
    rotary = {slot.initializer: _some_frequencies(slot, index) for index, slot in enumerate(frequencies)}
    for item, core in checked:
        _check_one(model, item, core, rotary, length, hidden, generator)
    return tuple(item.layer for item, _ in checked)


def _with_short_window(item: Attention, core: Core, flow: Dataflow, constant: str) -> tuple[Attention, Core]:
    """Exchange the window on both sides, if they agree on what it is.

    A side without a window stays without, so that a window on only one side shows.
    """
    if item.window not in (None, flow.scalar(constant)):
        return item, core
    nodes = tuple(with_short_window(node) if constant in node.output else node for node in core.nodes)
    return replace(item, window=SHORT_WINDOW if item.window else None), replace(core, nodes=nodes)


def _check_one(
    model: onnx.ModelProto,
    item: Attention,
    core: Core,
    rotary: dict[str, Values],
    length: int,
    hidden: int,
    generator: np.random.Generator,
) -> None:
    cuts = {
        cut.name: _SPREAD * generator.standard_normal(_shape(cut.layout, length, cut.heads, item.width))
        for cut in item.cuts
    }
    values = {name: array.astype(np.float32) for name, array in cuts.items()}
    try:
        plain = _run_plain(model, core, item, values | rotary, length, hidden)
        fused = _run_fused(model, item, values, list(rotary.values()), length)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise ExportError(f"layer {item.layer}: attention cannot be checked: {error}") from error
    if not np.abs(plain).max() > 0:
        raise ExportError(f"layer {item.layer}: the exported attention outputs only zeros")
    difference = float(np.abs(plain - fused).max()) if plain.shape == fused.shape else float("inf")
    if not difference <= TOLERANCE:
        raise ExportError(f"layer {item.layer}: fused attention differs by {difference:.2g}")


def _shape(layout: str, length: int, heads: int, width: int) -> tuple[int, ...]:
    shapes = {
        "flat": (1, length, heads * width),
        "heads_last": (1, length, heads, width),
        "heads_first": (1, heads, length, width),
    }
    return shapes[layout]


def _some_frequencies(slot: Slot, index: int) -> Values:
    """Return frequencies of the usual form, different for each slot."""
    n = int(np.prod(slot.shape))
    return (10.0 ** (-(4 + index) * np.arange(n) / n)).astype(np.float32).reshape(slot.shape)


def _run_plain(
    model: onnx.ModelProto,
    core: Core,
    item: Attention,
    values: dict[str, Values],
    length: int,
    hidden: int,
) -> Values:
    read = {name for node in core.nodes for name in node.input}
    inputs: dict[str, npt.NDArray[np.generic]] = {
        "input_ids": np.zeros((1, length), np.int64),
        "attention_mask": np.ones((1, length), np.int64),
        "position_ids": np.arange(length, dtype=np.int64)[None],
    }
    inputs |= dict.fromkeys(core.frontier, np.zeros((1, length, hidden), np.float32)) | values
    inputs = {name: array for name, array in inputs.items() if name in read}
    embedded = [init for init in model.graph.initializer if init.name in read and init.name not in inputs]
    return _run(model, list(core.nodes), embedded, inputs, item.output)


def _run_fused(
    model: onnx.ModelProto, item: Attention, values: dict[str, Values], rotary: Sequence[Values], length: int
) -> Values:
    inputs: dict[str, npt.NDArray[np.generic]] = {
        **values,
        SEQLENS: np.array([length - 1], np.int32),
        TOTAL_LENGTH: np.array(length, np.int32),
    }
    if item.rotary is not None:
        tables = rotary_tables(rotary[item.rotary], length, item.rotary_factor)
        inputs |= dict(zip(rotary_names(item.rotary), tables, strict=True))
    flat = helper.make_tensor(FLAT_SHAPE, TensorProto.INT64, [3], [0, 0, -1])
    return _run(model, attention_nodes(item), [flat], inputs, item.output)


def _run(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    initializers: list[onnx.TensorProto],
    inputs: dict[str, npt.NDArray[np.generic]],
    output: str,
) -> Values:
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "check", infos, [result], initializers)
    sort_nodes(graph)
    opsets = [*model.opset_import, helper.make_opsetid(CONTRIB, 1)]
    snippet = helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(snippet.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], inputs)[0])
