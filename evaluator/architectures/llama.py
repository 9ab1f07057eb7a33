"""Llama, and what shares its graph: SmolLM2, TinyLlama, Llama 2 and 3."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.architectures import ARCHITECTURES, Architecture
from evaluator.errors import SourceError
from evaluator.sources.model_file import ModelFile

DECODER_TENSORS = {
    "model.layers.{}.input_layernorm.weight": "blk.{}.attn_norm.weight",
    "model.layers.{}.self_attn.q_proj.weight": "blk.{}.attn_q.weight",
    "model.layers.{}.self_attn.k_proj.weight": "blk.{}.attn_k.weight",
    "model.layers.{}.self_attn.v_proj.weight": "blk.{}.attn_v.weight",
    "model.layers.{}.self_attn.o_proj.weight": "blk.{}.attn_output.weight",
    "model.layers.{}.post_attention_layernorm.weight": "blk.{}.ffn_norm.weight",
    "model.layers.{}.mlp.gate_proj.weight": "blk.{}.ffn_gate.weight",
    "model.layers.{}.mlp.up_proj.weight": "blk.{}.ffn_up.weight",
    "model.layers.{}.mlp.down_proj.weight": "blk.{}.ffn_down.weight",
    "model.norm.weight": "output_norm.weight",
}


def decoder_config(file: ModelFile) -> dict[str, Any]:
    """Configuration that all Llama-like decoders share.

    Raises:
        SourceError: a key is missing, or the rotary embedding turns only a part of each head.
    """
    prefix = file.architecture
    heads = _count(file, f"{prefix}.attention.head_count")
    kv_heads = _count(file, f"{prefix}.attention.head_count_kv", heads)
    hidden = _count(file, f"{prefix}.embedding_length")
    if hidden % heads or heads % kv_heads:
        raise SourceError(file.path, f"{heads} heads in {kv_heads} groups do not divide a width of {hidden}")
    head_dim = _count(file, f"{prefix}.attention.key_length", hidden // heads)
    turned = _count(file, f"{prefix}.rope.dimension_count", head_dim)
    if turned != head_dim:
        raise SourceError(
            file.path, f"rotary embedding of {turned} of {head_dim} dimensions is not supported"
        )
    return {
        "hidden_size": hidden,
        "intermediate_size": _count(file, f"{prefix}.feed_forward_length"),
        "num_hidden_layers": _count(file, f"{prefix}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "rms_norm_eps": _number(file, f"{prefix}.attention.layer_norm_rms_epsilon"),
        "rope_theta": _number(file, f"{prefix}.rope.freq_base", 10000.0),
    }


def _count(file: ModelFile, key: str, default: int | None = None) -> int:
    """A metadata value that has to be a positive whole number.

    Raises:
        SourceError: it is absent without a default, or something else.
    """
    value = file.require(key) if default is None else file.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SourceError(file.path, f"metadata key {key} is {value!r}, not a positive whole number")
    return value


def _number(file: ModelFile, key: str, default: float | None = None) -> float:
    """A metadata value that has to be a positive finite number.

    Raises:
        SourceError: it is absent without a default, or something else.
    """
    value = file.require(key) if default is None else file.metadata.get(key, default)
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise SourceError(file.path, f"metadata key {key} is {value!r}, not a positive number")
    return float(value)


def _unpermute(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Undo GGUF's interleaving of the two rotary halves of each head's rows."""
    rows = values.shape[0]
    pairs = values.reshape(heads, rows // heads // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))


def _restore_query(file: ModelFile, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return _unpermute(values, decoder_config(file)["num_attention_heads"])


def _restore_key(file: ModelFile, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return _unpermute(values, decoder_config(file)["num_key_value_heads"])


def _llama_config(file: ModelFile) -> dict[str, Any]:
    biased = [name for name in file.tensors if name.startswith("blk.0.") and name.endswith(".bias")]
    if biased:
        raise SourceError(file.path, f"a llama graph with biases ({biased[0]}) is not supported")
    return decoder_config(file)


ARCHITECTURES.add(
    "llama",
    Architecture(
        model_type="llama",
        config=_llama_config,
        width_free=("intermediate_size",),
        tensors=DECODER_TENSORS,
        restore={"blk.{}.attn_q.weight": _restore_query, "blk.{}.attn_k.weight": _restore_key},
    ),
)
