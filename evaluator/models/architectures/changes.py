"""How a converter changes the tensors of a checkpoint, as data that each family declares.

`evaluator.models.checkpoint.changed` carries the changes out, row by row when the rows are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from evaluator.models.json_file import JsonFile
from evaluator.models.tensor_types import TensorType

Indices = npt.NDArray[np.integer[Any]]
Values = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """Take rows of each matrix, or entries of a vector.

    Attributes:
        order: from config.json and the number of rows to the numbers of those to take, in order.
    """

    order: Callable[[JsonFile, int], Indices]


@dataclass(frozen=True)
class Columns:
    """Take columns; `order` is as for rows."""

    order: Callable[[JsonFile, int], Indices]


@dataclass(frozen=True)
class Transposed:
    """Swap rows and columns of each matrix.

    Attributes:
        unless: types whose files order the values as GGUF does.
    """

    unless: tuple[TensorType, ...] = ()


@dataclass(frozen=True)
class Shaped:
    """Divide the same values, in the same order, into other dimensions.

    Attributes:
        shape: from config.json and the shape in the file to the new one.
    """

    shape: Callable[[JsonFile, Shape], Shape]


@dataclass(frozen=True)
class Computed:
    """Compute each value from the stored one; the results are float32.

    Attributes:
        function: from config.json and values to new values.
    """

    function: Callable[[JsonFile, Values], Values]


@dataclass(frozen=True)
class Scaled:
    """Multiply rows; the results are float32.

    Attributes:
        factors: from config.json and the number of rows of a matrix to a factor for each.
    """

    factors: Callable[[JsonFile, int], Values]


Change: TypeAlias = Rows | Columns | Transposed | Shaped | Computed | Scaled
#: GGUF tensor pattern → what its values go through, for each tensor that one parameter becomes.
Targets: TypeAlias = Mapping[str, tuple[Change, ...]]
#: Parameter pattern → its targets. The first `{}` behind `layers` is the layer; another one numbers what GGUF
#: stacks.
Conversions: TypeAlias = Mapping[str, Targets]

PLUS_ONE = Computed(lambda _, values: values + np.float32(1))
#: Decays are stored as logarithms of their negatives.
NEGATED_EXPONENTIAL = Computed(lambda _, values: -np.exp(values))
#: One number per head as a matrix with one column.
AS_COLUMN = Shaped(lambda _, shape: (*shape, 1))
#: Kernels of convolutions without the dimension of their single input channel.
SQUEEZED = Shaped(lambda _, shape: (shape[0], shape[-1]))
FIRST_HALF = Rows(lambda _, rows: np.arange(rows // 2))
SECOND_HALF = Rows(lambda _, rows: np.arange(rows // 2, rows))

#: Experts in two tensors per layer, with gate and up in one matrix each.
JOINED_EXPERTS: Conversions = {
    "model.layers.{}.mlp.experts.gate_up_proj": {
        "blk.{}.ffn_gate_exps.weight": (FIRST_HALF,),
        "blk.{}.ffn_up_exps.weight": (SECOND_HALF,),
    },
    "model.layers.{}.mlp.experts.down_proj": {"blk.{}.ffn_down_exps.weight": ()},
}


def interleaved(heads_key: str) -> Rows:
    """Return the order in which neighbouring rows of a head are rotated together, not those half a head apart.

    Args:
        heads_key: key of config.json with the number of heads.
    """

    def order(config: JsonFile, rows: int) -> Indices:
        heads = config.count(heads_key, config.count("num_attention_heads"))
        return np.arange(rows).reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)

    return Rows(order)


#: Rows of queries and keys of families with neighbouring dimensions rotated, such as Llama.
INTERLEAVED: Conversions = {
    f"model.layers.{{}}.self_attn.{letter}_proj.{kind}": {
        f"blk.{{}}.attn_{letter}.{kind}": (interleaved(f"num_{name}_heads"),)
    }
    for letter, name in (("q", "attention"), ("k", "key_value"))
    for kind in ("weight", "bias")
}


def norms_plus_one(*names: str) -> Conversions:
    """Return the conversions of norms whose stored gain lacks 1: the final one, and `module=tensor` of layers."""
    pairs = [name.split("=") for name in names]
    return {
        "model.norm.weight": {"output_norm.weight": (PLUS_ONE,)},
        **{
            f"model.layers.{{}}.{module}.weight": {f"blk.{{}}.{tensor}.weight": (PLUS_ONE,)}
            for module, tensor in pairs
        },
    }
