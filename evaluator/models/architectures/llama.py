"""Llama and models with its graph: SmolLM2, TinyLlama, Llama 2 and 3, Mistral, Mixtral, relatives with biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures import Architecture, CheckpointRules, architecture_of, register
from evaluator.models.architectures.config_json import (
    COMMON,
    NO_BIASES,
    WHOLE_HEADS,
    fixed_window,
    full_rotary_key,
)
from evaluator.models.architectures.decoder import (
    NORMS,
    PROJECTIONS,
    biases,
    decoder_config,
    sliding_window,
)
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
_FEED_FORWARD = ("ffn_gate", "ffn_up", "ffn_down")
_BIASES = biases(*_ATTENTION, *_FEED_FORWARD)


def _unpermute(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Undo GGUF's interleaving of the two rotary halves of each head's rows."""
    rows = values.shape[0]
    pairs = values.reshape(heads, rows // heads // 2, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))


def _restore_query(file: ModelFile, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return _unpermute(values, architecture_of(file).config(file)["num_attention_heads"])


def _restore_key(file: ModelFile, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return _unpermute(values, architecture_of(file).config(file)["num_key_value_heads"])


#: The llama converter rearranges the rows of queries and keys, and of their biases.
RESTORE_QUERY_KEY = {
    "blk.{}.attn_q.weight": _restore_query,
    "blk.{}.attn_q.bias": _restore_query,
    "blk.{}.attn_k.weight": _restore_key,
    "blk.{}.attn_k.bias": _restore_key,
}


#: Set of biases → the settings of the graph that has them.
_BIASED_GRAPHS: Mapping[frozenset[str], dict[str, Any]] = {
    frozenset(): {},
    frozenset(_ATTENTION[:3]): {"model_type": "qwen2"},
    frozenset(_ATTENTION): {"attention_bias": True},
    frozenset(_FEED_FORWARD): {"mlp_bias": True},
    frozenset(_ATTENTION + _FEED_FORWARD): {"attention_bias": True, "mlp_bias": True},
}


def _llama_config(file: ModelFile) -> dict[str, Any]:
    biased = frozenset(role for role in _ATTENTION + _FEED_FORWARD if f"blk.0.{role}.bias" in file.tensors)
    window = sliding_window(file)
    if biased not in _BIASED_GRAPHS or (biased and window):
        where = ", ".join(sorted(biased)) + (" and a sliding window" if window else "")
        raise SourceError(file.path, f"a llama graph with biases on {where} is not supported")
    windowed = {"model_type": "mistral", "sliding_window": window} if window else {}
    return decoder_config(file) | _BIASED_GRAPHS[biased] | windowed


_LLAMA = {
    **COMMON,
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "attention_bias": False,
    "mlp_bias": False,
}
_MISTRAL = {
    **COMMON,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "sliding_window": 4096,
}

register(
    Architecture(
        name="llama",
        model_type="llama",
        config=_llama_config,
        tensors=NORMS | PROJECTIONS | _BIASES,
        checkpoints={
            "llama": CheckpointRules(_LLAMA, WHOLE_HEADS, full_rotary_key),
            "mistral": CheckpointRules(_MISTRAL, NO_BIASES, full_rotary_key, window=fixed_window),
        },
        restore=RESTORE_QUERY_KEY,
        optional=frozenset(_BIASES.values()),
    )
)
