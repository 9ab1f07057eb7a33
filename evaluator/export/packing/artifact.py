"""Write the artifact: a folder that plain onnxruntime runs token by token, with a KV cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx

from evaluator.export.exact.context import longest_context
from evaluator.export.exact.graph import Graph
from evaluator.export.folder import MODEL_FILE, whole_artifact
from evaluator.export.fusion.half import halve
from evaluator.export.packing.genai import write_genai_config
from evaluator.export.packing.graph import decoding_model
from evaluator.export.packing.matrices import (
    FLOAT_TYPES,
    Floating,
    Matrix,
    Values,
    bytes_per_weight,
    deployed_matrix,
    halved,
)
from evaluator.export.packing.nodes import FAST_PRODUCTS
from evaluator.export.packing.receipt import Comparison, Receipt
from evaluator.export.packing.weights_file import WeightsFile
from evaluator.export.skeleton import WEIGHTS_FILE
from evaluator.models.architectures import architecture_of, described
from evaluator.models.model_file import ModelFile

#: Bytes per float32; most rotary embeddings per model, each with a sine and a cosine for half of a head's dimensions.
_EXACT_BYTES, _MOST_ROTARIES = 4, 2
#: Upper bound for the graph itself, which takes a few hundred kilobytes for published models.
_GRAPH_BYTES = 4_000_000
#: The same for an expert of a layer.
_EXPERT_BYTES = 10_000


def write_decoder(
    file: ModelFile,
    graph: Graph,
    folder: Path,
    *,
    exact: bool = False,
    accuracy_level: int = FAST_PRODUCTS,
    half: bool = False,
    record: Callable[[str, int | None, Matrix], None] = lambda _tensor, _index, _matrix: None,
) -> int:
    """Write `model.onnx` and `weights.bin` into a folder that is not in use yet.

    Args:
        file: the model's weights.
        graph: the model's graph.
        folder: created if missing.
        exact: dequantize all matrices to float32.
        accuracy_level: accuracy level of packed products, see `nodes`.
        half: compute in half precision with a float16 cache, as CUDA's kernels require.
        record: called with each matrix: its tensor, its number if the tensor stacks several, its form.

    Returns:
        Bytes of the two files together.

    Raises:
        ExportError: there is no decoding graph for this model, or its weights exceed half precision's range.
        SourceError: the weights do not fit the graph.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def deploy(tensor: str, index: int | None) -> Matrix:
        matrix = deployed_matrix(file, tensor, index, exact=exact)
        record(tensor, index, matrix)
        return halved(matrix, tensor) if half else matrix

    def keep(tensor: str, values: Values) -> None:
        if file.tensor(tensor).ggml_type.name not in FLOAT_TYPES:
            record(tensor, None, Floating(values))

    with WeightsFile(folder / WEIGHTS_FILE) as weights:
        model = decoding_model(
            file, graph, weights, accuracy_level, deploy, keep, one_node=not (half or exact)
        )
    if half:
        halve(model)
    onnx.save(model, str(folder / MODEL_FILE))
    return sum((folder / name).stat().st_size for name in (MODEL_FILE, WEIGHTS_FILE))


def most_bytes(file: ModelFile, *, exact: bool = False) -> int:
    """Return an upper bound of the bytes that `write_decoder` writes, in either precision."""
    weights = sum(
        info.n_elements * (_EXACT_BYTES if exact else bytes_per_weight(info.ggml_type))
        for info in file.tensors.values()
    )
    return int(weights) + _EXACT_BYTES * _rotary_width(file) * longest_context(file) + _graph_bytes(file)


def _rotary_width(file: ModelFile) -> int:
    """Return at least the number of cosines and sines per position, of all tables together."""
    decoder = described(file)
    if decoder:
        return sum(item.width for item in decoder.rotary)
    return int(_MOST_ROTARIES * architecture_of(file).config(file)["head_dim"])


def _graph_bytes(file: ModelFile) -> int:
    """Return at least the size of the graph itself."""
    decoder = described(file)
    parts = [part for layer in decoder.layers for part in layer] if decoder else []
    return _GRAPH_BYTES + _EXPERT_BYTES * sum(part.experts.count for part in parts if part.experts)


def export_packed(file: ModelFile, graph: Graph, folder: Path, baseline: ModelFile | None = None) -> Receipt:
    """Write the artifact for deployment, with its receipt and a configuration for onnxruntime-genai.

    Args:
        file: the model's weights.
        graph: the model's graph.
        folder: created if missing; another artifact in it is replaced at once.
        baseline: the model that the receipt compares with.

    Raises:
        ExportError: there is no decoding graph for this model.
        SourceError: the weights do not fit the graph, or the baseline lacks one of the tensors.
    """
    compared: dict[str, Comparison] = {}

    def record(tensor: str, index: int | None, matrix: Matrix) -> None:
        if tensor in compared and index is None:  # a tied head is recorded twice
            return
        compared.setdefault(tensor, Comparison(file, tensor, baseline)).add(matrix, index)

    with whole_artifact(folder) as written:
        n_bytes = write_decoder(file, graph, written, record=record)
        write_genai_config(file, graph, written, MODEL_FILE)
        receipt = Receipt(
            source=file.name,
            accuracy_level=FAST_PRODUCTS,
            source_bytes=file.size_bytes,
            artifact_bytes=n_bytes,
            tensors=[comparison.entry() for comparison in compared.values()],
        )
        receipt.write(written)
    return receipt
