"""Write the artifact: a folder that plain onnxruntime runs token by token, with a KV cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from evaluator.export.exact.graph import Graph
from evaluator.export.folder import MODEL_FILE, whole_artifact
from evaluator.export.fusion.half import halve
from evaluator.export.packing.genai import write_genai_config
from evaluator.export.packing.graph import decoding_model
from evaluator.export.packing.matrices import Matrix, bytes_per_weight, deployed_matrix, halved
from evaluator.export.packing.nodes import FAST_PRODUCTS
from evaluator.export.packing.receipt import Entry, Receipt, entry_of
from evaluator.export.packing.weights_file import WeightsFile
from evaluator.export.skeleton import WEIGHTS_FILE
from evaluator.models.architectures import HEAD, architecture_of, head_tensor, restored
from evaluator.models.model_file import ModelFile

#: Bytes per float32; most rotary embeddings per model, each with a sine and a cosine for half of a head's dimensions.
_EXACT_BYTES, _MOST_ROTARIES = 4, 2
#: Upper bound for the graph itself, which takes a few hundred kilobytes for published models.
_GRAPH_BYTES = 4_000_000

Values = npt.NDArray[np.float32]


def write_decoder(
    file: ModelFile,
    graph: Graph,
    folder: Path,
    *,
    exact: bool = False,
    accuracy_level: int = FAST_PRODUCTS,
    half: bool = False,
    record: Callable[[str, Matrix], None] = lambda _tensor, _matrix: None,
) -> int:
    """Write `model.onnx` and `weights.bin` into a folder that is not in use yet.

    Args:
        file: the model's weights.
        graph: the model's graph.
        folder: created if missing.
        exact: dequantize all matrices to float32.
        accuracy_level: accuracy level of packed products, see `nodes`.
        half: compute in half precision with a float16 cache, as CUDA's kernels require.
        record: called with each tensor and its form in the artifact.

    Returns:
        Bytes of the two files together.

    Raises:
        ExportError: there is no decoding graph for this model, or its weights exceed half precision's range.
        SourceError: the weights do not fit the graph.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def deploy(tensor: str) -> Matrix:
        matrix = deployed_matrix(file, tensor, exact=exact)
        record(tensor, matrix)
        return halved(matrix, tensor) if half else matrix

    with WeightsFile(folder / WEIGHTS_FILE) as weights:
        model = decoding_model(file, graph, weights, accuracy_level, deploy)
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
    positions: object = file.metadata.get(f"{file.architecture}.context_length")
    head_dim: int = architecture_of(file).config(file)["head_dim"]
    table = head_dim * (positions if isinstance(positions, int) else 0)
    return int(weights) + _MOST_ROTARIES * _EXACT_BYTES * table + _GRAPH_BYTES


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
    entries: dict[str, Entry] = {}

    def record(tensor: str, matrix: Matrix) -> None:
        if tensor not in entries:  # a tied head is recorded twice
            entries[tensor] = entry_of(file, tensor, matrix, _in_baseline(baseline, tensor))

    with whole_artifact(folder) as written:
        n_bytes = write_decoder(file, graph, written, record=record)
        write_genai_config(file, written, MODEL_FILE)
        receipt = Receipt(
            source=file.name,
            accuracy_level=FAST_PRODUCTS,
            source_bytes=file.size_bytes,
            artifact_bytes=n_bytes,
            tensors=list(entries.values()),
        )
        receipt.write(written)
    return receipt


def _in_baseline(baseline: ModelFile | None, tensor: str) -> Values | None:
    """Return the baseline's values of a tensor; its head may be its embedding."""
    if baseline is None:
        return None
    name = head_tensor(baseline) if tensor == HEAD else tensor
    return restored(architecture_of(baseline), baseline, name)
