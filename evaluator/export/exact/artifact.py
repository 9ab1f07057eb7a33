"""Write a folder that plain onnxruntime runs with exact weights: ids in, logits out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from evaluator.export.composing.whole import whole_body
from evaluator.export.exact.context import check_tables_fit, longest_context
from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, head_weights, rotary_inputs
from evaluator.export.folder import EXPORT_FILE, MODEL_FILE, whole_artifact
from evaluator.export.fusion.uses import load_plain
from evaluator.export.skeleton import (
    FINAL_HIDDEN,
    HEAD_PARAMETER,
    SCORED_POSITIONS,
    WEIGHTS_FILE,
    Slot,
    refer_to_external,
    sink_initializers,
)
from evaluator.export.softcap import softcap_nodes
from evaluator.models.architectures import logit_softcap
from evaluator.models.model_file import ModelFile

Values = npt.NDArray[np.float32]


def write_exact(file: ModelFile, graph: Graph, folder: Path) -> int:
    """Write `model.onnx`, `weights.bin` and `export.json` with the exact weights of `file`.

    Returns:
        Bytes of the three files together.

    Raises:
        ExportError: there is too little memory for the model's context.
        SourceError: the weights do not fit the graph.
    """
    tables: dict[str, Values] = {}
    if graph.decoder:
        check_tables_fit(file, graph)
        body = whole_body(graph.decoder, graph.shapes)
        model, graph = body.model, replace(graph, slots=body.slots)
        tables = rotary_inputs(file, graph, longest_context(file), length=0)
    else:
        model = load_plain(graph.path)
    with whole_artifact(folder) as written:
        slots = _write_weights(file, graph, tables, written / WEIGHTS_FILE)
        _set_logits(model, slots, logit_softcap(file))
        onnx.save(model, str(written / MODEL_FILE))
        facts = {"source": file.name, "architecture": file.architecture, "weights": "exact"}
        (written / EXPORT_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        return sum(path.stat().st_size for path in written.iterdir())


def _write_weights(file: ModelFile, graph: Graph, tables: Mapping[str, Values], path: Path) -> list[Slot]:
    """Write the parameters at the graph's offsets, then the output matrix and tables; return the slots of those."""
    with path.open("wb") as output:
        for slot, values in exact_weights(file, graph):
            _write(output, slot, values)
        end = graph.weights_bytes
        slots = []
        for name, values in {HEAD_PARAMETER: head_weights(file).T, **tables}.items():
            slots.append(Slot(name, name, name == HEAD_PARAMETER, values.shape, end))
            _write(output, slots[-1], values)
            end += slots[-1].n_bytes
    return slots


def _write(output: BinaryIO, slot: Slot, values: Values) -> None:
    output.seek(slot.offset)
    output.write(np.ascontiguousarray(values).data)


def _set_logits(model: onnx.ModelProto, slots: list[Slot], softcap: float | None) -> None:
    """Put the output matrix back where the skeleton gathers the scored positions, and tables in place of inputs."""
    graph = model.graph
    head = slots[0]
    gather = next(node for node in graph.node if FINAL_HIDDEN in node.output)
    hidden = gather.input[0]
    graph.node.remove(gather)
    raw = "raw_logits" if softcap else "logits"
    graph.node.append(helper.make_node("MatMul", [hidden, head.initializer], [raw]))
    if softcap:
        graph.node.extend(softcap_nodes(raw, "logits", softcap))
    replaced = {SCORED_POSITIONS, *(slot.initializer for slot in slots)}
    for item in [item for item in graph.input if item.name in replaced]:
        graph.input.remove(item)
    for slot in slots:
        refer_to_external(graph.initializer.add(), slot)
    sink_initializers(graph)
    del graph.output[:]
    shape = ["batch_size", "sequence_length", head.shape[1]]
    graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, shape))
