"""Write a folder that plain onnxruntime runs with exact weights: ids in, logits out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, head_weights
from evaluator.export.folder import EXPORT_FILE, MODEL_FILE, whole_artifact
from evaluator.export.skeleton import (
    FINAL_HIDDEN,
    HEAD_PARAMETER,
    SCORED_POSITIONS,
    WEIGHTS_FILE,
    Slot,
    refer_to_external,
)
from evaluator.export.softcap import softcap_nodes
from evaluator.models.architectures import logit_softcap
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import ExportError


def write_exact(file: ModelFile, graph: Graph, folder: Path) -> int:
    """Write `model.onnx`, `weights.bin` and `export.json` with the exact weights of `file`.

    Returns:
        Bytes of the three files together.

    Raises:
        SourceError: the weights do not fit the graph.
        ExportError: the model's pieces are built from a description.
    """
    if graph.decoder:
        raise ExportError(
            f"{file.path}: {file.architecture} models cannot be exported yet, because they run without a whole graph"
        )
    with whole_artifact(folder) as written:
        head_slot = _write_weights(file, graph, written / WEIGHTS_FILE)
        skeleton = onnx.load(str(graph.path), load_external_data=False)
        model = _with_logits(skeleton, head_slot, logit_softcap(file))
        onnx.save(model, str(written / MODEL_FILE))
        facts = {"source": file.name, "architecture": file.architecture, "weights": "exact"}
        (written / EXPORT_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        return sum(path.stat().st_size for path in written.iterdir())


def _write_weights(file: ModelFile, graph: Graph, path: Path) -> Slot:
    """Write the parameters at the graph's offsets and the output matrix after them; return its slot."""
    with path.open("wb") as output:
        for slot, values in exact_weights(file, graph):
            output.seek(slot.offset)
            output.write(values.data)
        head = np.ascontiguousarray(head_weights(file).T)
        head_slot = Slot(HEAD_PARAMETER, HEAD_PARAMETER, True, head.shape, graph.weights_bytes)
        output.seek(head_slot.offset)
        output.write(head.data)
    return head_slot


def _with_logits(model: onnx.ModelProto, head: Slot, softcap: float | None) -> onnx.ModelProto:
    """Put the output matrix back where the skeleton gathers the scored positions."""
    graph = model.graph
    gather = next(node for node in graph.node if FINAL_HIDDEN in node.output)
    hidden = gather.input[0]
    graph.node.remove(gather)
    raw = "raw_logits" if softcap else "logits"
    graph.node.append(helper.make_node("MatMul", [hidden, head.initializer], [raw]))
    if softcap:
        graph.node.extend(softcap_nodes(raw, "logits", softcap))
    graph.input.remove(next(item for item in graph.input if item.name == SCORED_POSITIONS))
    refer_to_external(graph.initializer.add(name=head.initializer), head)
    del graph.output[:]
    shape = ["batch_size", "sequence_length", head.shape[1]]
    graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, shape))
    return model
