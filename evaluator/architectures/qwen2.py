"""Qwen2 and Qwen2.5: a Llama-like decoder with biases on query, key and value, rows in their own order."""

from __future__ import annotations

from evaluator.architectures import ARCHITECTURES, Architecture
from evaluator.architectures.llama import DECODER_TENSORS, decoder_config

_BIASES = {
    f"model.layers.{{}}.self_attn.{letter}_proj.bias": f"blk.{{}}.attn_{letter}.bias" for letter in "qkv"
}

ARCHITECTURES.add(
    "qwen2",
    Architecture(
        model_type="qwen2",
        config=decoder_config,
        width_free=("intermediate_size",),
        tensors=DECODER_TENSORS | _BIASES,
        restore={},
    ),
)
