"""Measure an importance matrix as llama-imatrix does: mean squared activations that enter every matrix.

The text's tokens, with BOS in front if the model adds it, are cut into windows; BOS then replaces each window's
first token. All positions of a window count. Chats get no BOS in front: the model's template writes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluator.export.exact.graph import Graph
from evaluator.export.exact.weights import exact_weights, parameter_tensors
from evaluator.export.skeleton import SCORED_POSITIONS, WEIGHTS_FILE
from evaluator.models.model_file import ModelFile
from evaluator.models.tokenizers.tokenizer import TextTokenizer
from evaluator.quantize.type_plan import layer_of
from evaluator.runtime.device import Device
from evaluator.runtime.session import Array, Session
from evaluator.support.atomic_files import scratch_beside
from evaluator.support.errors import ExportError, RequestError
from evaluator.texts.sources import Text
from evaluator.texts.windows import token_ids

Sums = dict[str, npt.NDArray[np.float64]]

_SQUARES = "squares_of_"
#: Nodes that multiply their first input by a matrix.
_PRODUCTS = ("MatMul", "Gemm")


def imatrix_windows(
    texts: Sequence[Text], tokenizer: TextTokenizer, context: int, chunks: int | None
) -> list[npt.NDArray[np.int64]]:
    """Return the token ids of every window of every text, int64 [context] each; at most `chunks` per text.

    Raises:
        RequestError: a text is shorter than one window.
    """
    windows: list[npt.NDArray[np.int64]] = []
    limit = chunks * context if chunks else None
    for text in texts:
        ids = token_ids(text, tokenizer, limit).astype(np.int64)
        if tokenizer.bos_id is not None and not text.control:
            ids = np.concatenate([[tokenizer.bos_id], ids])
        count = min(len(ids) // context, chunks or len(ids))
        if count == 0:
            raise RequestError(
                f"{text.name}: {len(ids)} tokens, one window needs {context}; use a longer text"
            )
        rows = ids[: count * context].reshape(count, context)
        if tokenizer.bos_id is not None:
            rows[:, 0] = tokenizer.bos_id
        windows.extend(rows)
    return windows


def squared_activations(
    file: ModelFile,
    graph: Graph,
    device: Device,
    windows: Sequence[npt.NDArray[np.int64]],
    advance: Callable[[int], None] = lambda _: None,
) -> Sums:
    """Sum the squared inputs of each matrix in the blocks over all tokens: tensor → float64 [channels].

    Args:
        file: the model.
        graph: its plain graph.
        device: where it runs.
        windows: token ids, each int64 [context].
        advance: called after each window with its number of tokens.

    Raises:
        ExportError: the graph contains no matrix product that can be measured.
        RequestError: activations are not finite.
    """
    model = onnx.load(graph.path, load_external_data=False)
    inputs = _matrix_inputs(file, graph, model.graph)
    for source in dict.fromkeys(inputs.values()):
        name = _SQUARES + source
        axes = helper.make_tensor(f"{name}_axes", TensorProto.INT64, [2], [0, 1])
        model.graph.initializer.append(axes)
        model.graph.node.append(helper.make_node("ReduceSumSquare", [source, axes.name], [name], keepdims=0))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = _open(model, file, graph, device)
    sums: Sums = {}
    for ids in windows:
        outputs = dict(zip(session.output_names, session.run(_feed(session, ids)), strict=True))
        for tensor, source in inputs.items():
            sums[tensor] = sums.get(tensor, 0) + outputs[_SQUARES + source].astype(np.float64)
        advance(len(ids))
    bad = [tensor for tensor, values in sums.items() if not np.isfinite(values).all()]
    if bad:
        raise RequestError(f"{file.path}: activations that enter {bad[0]} are not finite")
    return sums


def _matrix_inputs(file: ModelFile, graph: Graph, body: onnx.GraphProto) -> dict[str, str]:
    """Return tensor → value in the graph that is multiplied by it, for matrices in the blocks."""
    tensors = parameter_tensors(file)
    slots = {slot.initializer: tensors[slot.parameter] for slot in graph.slots if slot.parameter in tensors}
    products = {
        slots[node.input[1]]: node.input[0]
        for node in body.node
        if node.op_type in _PRODUCTS and len(node.input) > 1 and node.input[1] in slots
    }
    inside = {tensor: source for tensor, source in products.items() if layer_of(tensor) >= 0}
    if not inside:
        raise ExportError(f"{file.path}: the exported graph contains no matrix products that can be measured")
    return inside


def _open(model: onnx.ModelProto, file: ModelFile, graph: Graph, device: Device) -> Session:
    """Open the graph from a temporary file, beside which onnxruntime looks for its external data."""
    weights = ((slot.initializer, values) for slot, values in exact_weights(file, graph))
    with scratch_beside(graph.path) as folder:
        path = folder / graph.path.name
        # onnxruntime requires the weights' file to exist beside the model, but does not read it.
        (path.parent / WEIGHTS_FILE).touch()
        os.truncate(path.parent / WEIGHTS_FILE, graph.weights_bytes)
        onnx.save(model, path)
        return Session(path, device, weights)


def _feed(session: Session, ids: npt.NDArray[np.int64]) -> Mapping[str, Array]:
    length = len(ids)
    available: dict[str, Array] = {
        "input_ids": ids[None],
        "attention_mask": np.ones((1, length), np.int64),
        "position_ids": np.arange(length, dtype=np.int64)[None],
        SCORED_POSITIONS: np.array([length - 1]),
    }
    return {name: available[name] for name in session.input_names}
