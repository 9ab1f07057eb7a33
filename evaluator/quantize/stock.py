"""`main`: llama.cpp's stock recipe for the simple types, without an importance matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as GGMLType

from evaluator.architectures import EMBEDDING, HEAD
from evaluator.errors import RequestError, SourceError
from evaluator.quantize.gguf_writer import write_gguf
from evaluator.sources.model_file import ModelFile

_K_QUANT_BLOCK = 256

STOCK_TYPES: Mapping[str, tuple[GGMLType, gguf.LlamaFileType]] = {
    "Q4_0": (GGMLType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
    "Q4_1": (GGMLType.Q4_1, gguf.LlamaFileType.MOSTLY_Q4_1),
    "Q5_0": (GGMLType.Q5_0, gguf.LlamaFileType.MOSTLY_Q5_0),
    "Q5_1": (GGMLType.Q5_1, gguf.LlamaFileType.MOSTLY_Q5_1),
    "Q8_0": (GGMLType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}


def stock_type(name: str, shape: tuple[int, ...], quant: str, *, tied: bool) -> GGMLType:
    """The type that llama-quantize gives a tensor in one of `STOCK_TYPES`.

    Vectors stay float32. The matrix that makes logits gets Q6_K, or Q8_0 where its rows do not divide into
    k-quant blocks; everything else gets the type that the file is named for.
    """
    if len(shape) < 2:
        return GGMLType.F32
    makes_logits = name == HEAD or (tied and name == EMBEDDING)
    if makes_logits:
        return GGMLType.Q8_0 if quant == "Q8_0" or shape[-1] % _K_QUANT_BLOCK else GGMLType.Q6_K
    return STOCK_TYPES[quant][0]


def make_stock_variant(source: ModelFile, quant: str, target: Path) -> None:
    """Quantize `source` into `target`.

    Raises:
        RequestError: the quant type is not one of `STOCK_TYPES`.
        SourceError: a tensor needs a type that cannot be made here, or its rows do not fit into blocks.
    """
    if quant not in STOCK_TYPES:
        raise RequestError(f"cannot make {quant}; known: {', '.join(STOCK_TYPES)}")
    tied = HEAD not in source.tensors
    for name, info in source.tensors.items():
        ggml_type = stock_type(name, info.shape, quant, tied=tied)
        if info.shape[-1] % gguf.GGML_QUANT_SIZES[ggml_type][0]:
            raise SourceError(
                source.path, f"tensor {name}: rows of {info.shape[-1]} do not fit {ggml_type.name}"
            )
    write_gguf(
        source,
        target,
        STOCK_TYPES[quant][1],
        lambda name, shape: stock_type(name, shape, quant, tied=tied),
        source.dequantize,
    )
