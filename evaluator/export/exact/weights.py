"""Read exact weights: every tensor as the values its format defines, in the graph's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from evaluator.export.exact.graph import Graph
from evaluator.export.fusion.attention import rotary_names
from evaluator.export.fusion.tables import rotary_tables
from evaluator.export.skeleton import Slot
from evaluator.models.architectures import (
    EMBEDDING,
    architecture_of,
    described,
    head_tensor,
    restored,
    tensor_names,
)
from evaluator.models.architectures.layer_tensors import bare_shape, scale_name
from evaluator.models.architectures.rotary import (
    LONG_FACTORS,
    ROTARY_BUFFERS,
    needs_long_factors,
    rotary_frequencies,
)
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_EMBEDDING_PARAMETER = "model.embed_tokens.weight"

Values = npt.NDArray[np.float32]


def parameter_tensors(file: ModelFile) -> dict[str, str]:
    """Return graph parameter → GGUF tensor for all parameters of the body.

    Raises:
        SourceError: the family is not known.
    """
    if described(file):
        return {name: name for name in file.tensors}
    architecture = architecture_of(file)
    names = tensor_names(architecture, int(architecture.config(file)["num_hidden_layers"]))
    return names | {_EMBEDDING_PARAMETER: EMBEDDING}


def exact_weights(file: ModelFile, graph: Graph) -> Iterator[tuple[Slot, Values]]:
    """Yield each slot of the graph with its values, float32 and contiguous in the slot's shape.

    Raises:
        SourceError: a tensor is missing, has another shape, or cannot be dequantized.
    """
    tensors = parameter_tensors(file)
    for slot in graph.slots:
        if slot.index is None:
            yield slot, slot_values(file, slot, tensors)
        else:
            yield slot, expert_values(file, slot, slot.index)


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
    values = tensor_values(file, tensor)
    if bare_shape(values.shape) == slot.shape:
        values = values.reshape(slot.shape)
    if slot.transposed:
        values = values.T
    if values.shape != slot.shape:
        raise SourceError(
            file.path, f"tensor {tensor} has shape {values.shape}, the graph needs {slot.shape}"
        )
    return np.ascontiguousarray(values.T if slot.transposed and as_stored else values)


def tensor_values(file: ModelFile, tensor: str, index: int | None = None) -> Values:
    """Return the values of a tensor in the graph's order, with its scale if it has one, float32.

    Args:
        file: the model.
        tensor: the tensor's name.
        index: which matrix of a tensor that stacks several; None for the whole tensor.

    Raises:
        SourceError: the tensor is missing or cannot be dequantized.
    """
    if index is not None:
        return _scaled(file, tensor, file.matrix(tensor, index), index)
    return _scaled(file, tensor, restored(architecture_of(file), file, tensor))


def expert_values(file: ModelFile, slot: Slot, expert: int, *, as_stored: bool = False) -> Values:
    """Return one expert's values of a tensor that holds those of all, float32 and contiguous.

    Args:
        file: the model.
        slot: the tensor's slot: a matrix, a vector or a number per expert.
        expert: the number of the expert.
        as_stored: leave a transposed slot's values in the file's shape.

    Raises:
        SourceError: the tensor is missing or cannot be dequantized.
    """
    shape = file.tensor(slot.parameter).shape
    if len(shape) == 1:
        return file.dequantize(slot.parameter)[expert : expert + 1].copy()
    if len(shape) == 2:
        row: Values = file.row_reader(slot.parameter)(expert, expert + 1)[0]
        return row
    values = tensor_values(file, slot.parameter, expert)
    return np.ascontiguousarray(values.T if slot.transposed and not as_stored else values)


def _scaled(file: ModelFile, tensor: str, values: Values, index: int | None = None) -> Values:
    """Return values times their scale, if the file has one; `index` is the matrix among several.

    Values of types that have a scale in any case, such as NVFP4, hold it already.
    """
    if file.row_factors(tensor) is not None:
        return values
    scale = matrix_scale(file, tensor, index)
    return values if scale is None else values * scale


def matrix_scale(file: ModelFile, tensor: str, index: int | None = None) -> Values | None:
    """Return what a tensor's values are multiplied by, float32 [1], or [matrices, 1, 1] for several.

    Args:
        file: the model.
        tensor: the tensor's name.
        index: which matrix of a tensor that stacks several; None for all.
    """
    name = scale_name(file.tensors, tensor)
    if name is None:
        return None
    scales = file.dequantize(name)
    if len(scales) == 1:
        return scales
    return scales[:, None, None] if index is None else scales[index : index + 1]


def head_weights(file: ModelFile) -> Values:
    """Return the output matrix, float32 [vocabulary, hidden].

    Raises:
        SourceError: neither a head nor an embedding can be read.
    """
    return file.dequantize(head_tensor(file))


def rotary_inputs(
    file: ModelFile, graph: Graph, positions: int, *, length: int | None = None
) -> dict[str, Values]:
    """Return the rotary tables that a graph has as inputs, float32 [positions, frequencies] each.

    A plain graph has none.

    Args:
        file: the model.
        graph: its graph.
        positions: length of the tables.
        length: tokens of a window, on which some models' frequencies depend; `positions` without it.

    Raises:
        SourceError: the file's kind of rotary embedding is not known, or is not in a plain graph.
    """
    length = positions if length is None else length
    inputs: dict[str, Values] = {}
    if graph.decoder:
        sets = [(item.frequencies(file, length), item.scale) for item in graph.decoder.rotary]
    else:
        if graph.fused is None and needs_long_factors(file, length):
            raise SourceError(
                file.path, f"windows of {length} tokens need {LONG_FACTORS}: {graph.plain_reason}"
            )
        used = graph.fused.rotary if graph.fused else ()
        sets = [(rotary_frequencies(file, item.slot.parameter, length=length), item.factor) for item in used]
    for index, (frequencies, factor) in enumerate(sets):
        tables = rotary_tables(frequencies, positions, factor)
        inputs |= zip(rotary_names(index), tables, strict=True)
    return inputs
