"""Read exact weights: every tensor as the values its format defines, in the graph's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from evaluator.export.exact.graph import Graph
from evaluator.export.fusion.attention import rotary_names
from evaluator.export.fusion.fuse import Fused
from evaluator.export.fusion.tables import rotary_tables
from evaluator.export.skeleton import Slot
from evaluator.models.architectures import EMBEDDING, architecture_of, head_tensor, restored, tensor_names
from evaluator.models.architectures.rotary import ROTARY_BUFFERS, rotary_frequencies
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_EMBEDDING_PARAMETER = "model.embed_tokens.weight"

Values = npt.NDArray[np.float32]


def parameter_tensors(file: ModelFile) -> dict[str, str]:
    """Return graph parameter → GGUF tensor for all parameters of the body.

    Raises:
        SourceError: the family is not known.
    """
    architecture = architecture_of(file)
    n_layers = int(architecture.config(file)["num_hidden_layers"])
    names = tensor_names(architecture, n_layers, architecture.mixture(file))
    return names | {_EMBEDDING_PARAMETER: EMBEDDING}


def exact_weights(file: ModelFile, graph: Graph) -> Iterator[tuple[Slot, Values]]:
    """Yield each slot of the graph with its values, float32 and contiguous in the slot's shape.

    Raises:
        SourceError: a tensor is missing, has another shape, or cannot be dequantized.
    """
    tensors = parameter_tensors(file)
    for slot in graph.slots:
        yield slot, slot_values(file, slot, tensors)


def slot_values(
    file: ModelFile, slot: Slot, tensors: Mapping[str, str], *, as_stored: bool = False
) -> Values:
    """Return the values of a slot, float32 and contiguous in the slot's shape.

    Args:
        file: the model.
        slot: the slot.
        tensors: graph parameter → GGUF tensor, see `parameter_tensors`.
        as_stored: leave a transposed slot's values in the file's shape.

    Raises:
        SourceError: the tensor is missing, has another shape, or cannot be dequantized.
    """
    if slot.parameter in ROTARY_BUFFERS:
        return rotary_frequencies(file, slot.parameter).reshape(slot.shape)
    tensor = tensors[slot.parameter]
    values = restored(architecture_of(file), file, tensor)
    if slot.transposed:
        values = values.T
    if values.shape != slot.shape:
        raise SourceError(
            file.path, f"tensor {tensor} has shape {values.shape}, the graph needs {slot.shape}"
        )
    return np.ascontiguousarray(values.T if slot.transposed and as_stored else values)


def expert_values(
    file: ModelFile, slot: Slot, tensor: str, expert: int, *, as_stored: bool = False
) -> Values:
    """Return one expert's values for a slot of the dense graph, float32 and contiguous.

    Args:
        file: the model.
        slot: the slot; its shape may be another expert's.
        tensor: the tensor, of all experts or of a single one.
        expert: the number of the expert among those of the tensor.
        as_stored: leave a transposed slot's values in the file's shape.

    Raises:
        SourceError: the tensor is missing or cannot be dequantized.
    """
    values = file.matrix(tensor, expert)
    return np.ascontiguousarray(values.T if slot.transposed and not as_stored else values)


def head_weights(file: ModelFile) -> Values:
    """Return the output matrix, float32 [vocabulary, hidden].

    Raises:
        SourceError: neither a head nor an embedding can be read.
    """
    return file.dequantize(head_tensor(file))


def rotary_inputs(file: ModelFile, fused: Fused | None, positions: int) -> dict[str, Values]:
    """Return the rotary tables that a fused graph has as inputs, float32 [positions, frequencies] each.

    A plain graph has none.

    Raises:
        SourceError: the file's kind of rotary embedding is not known.
    """
    inputs: dict[str, Values] = {}
    for index, rotary in enumerate(fused.rotary if fused else ()):
        frequencies = slot_values(file, rotary.slot, {})
        tables = rotary_tables(frequencies, positions, rotary.factor)
        inputs |= zip(rotary_names(index), tables, strict=True)
    return inputs
