"""Gemma 3 (text): five windowed layers to a full one, two rotary bases, norms on queries and keys."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures import ARCHITECTURES, Architecture
from evaluator.models.architectures.decoder import (
    PROJECTIONS,
    QUERY_KEY_NORMS,
    decoder_config,
    layer_types,
    number,
    optional_number,
    sliding_window,
)
from evaluator.models.architectures.gemma import GELU
from evaluator.models.architectures.gemma2 import SANDWICH_NORMS, query_scalar
from evaluator.models.model_file import ModelFile

_PERIOD = 6
_LAYERS_OF_27B = 62


def _gemma3_config(file: ModelFile) -> dict[str, Any]:
    settings = decoder_config(file, own_keys=("final_logit_softcapping",))
    n_layers = settings["num_hidden_layers"]
    window = sliding_window(file)
    return settings | {
        "hidden_activation": GELU,
        "sliding_window": window,
        "layer_types": layer_types(file, n_layers, _PERIOD) if window else ["full_attention"] * n_layers,
        "query_pre_attn_scalar": query_scalar(settings, _LAYERS_OF_27B),
        "rope_local_base_freq": number(file, "gemma3.rope.freq_base_swa", 10000.0),
        "final_logit_softcapping": optional_number(file, "gemma3.final_logit_softcapping"),
    }


ARCHITECTURES.add(
    "gemma3",
    Architecture(
        model_type="gemma3_text",
        config=_gemma3_config,
        width_free=("intermediate_size",),
        tensors=SANDWICH_NORMS | PROJECTIONS | QUERY_KEY_NORMS,
        restore={},
        norm_offset=1.0,
    ),
)
