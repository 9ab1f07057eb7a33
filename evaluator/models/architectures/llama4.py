"""Llama 4: attention in chunks of 8,192 positions in three of four layers, no positions in the fourth, and mixtures.

A token's weight multiplies what enters an expert. Files do not state the size of chunks and what follows from it.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import FIRST_HALF, SECOND_HALF, Conversions, Transposed
from evaluator.models.architectures.config_json import (
    COMMON,
    NO_BIASES,
    expert_keys,
    full_rotary_key,
    inexpressible,
    rotary_settings,
)
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.mixers import Attention, Temperature
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile

CHUNK = 8192
_PERIOD = 4
_HEAT = Temperature(0.1, CHUNK, 1.0)
#: Number of experts of the model whose queries and keys are not normalized.
_EXPERTS_WITHOUT_NORM = 128


def _attention(settings: Settings, layer: int, count: int) -> Attention:
    """Return the attention of a layer of a model with `count` experts."""
    if (layer + 1) % _PERIOD == 0:
        return attention(settings, rotary=None, temperature=_HEAT)
    norm = None if count == _EXPERTS_WITHOUT_NORM else "plain"
    return attention(settings, norm=norm, norm_after_rotary=True, chunk=CHUNK)


_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000,
    "max_position_embeddings": 131072,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_experts_per_tok": 1,
    "num_local_experts": 16,
    "interleave_moe_layer_step": 1,
    "moe_layers": None,
    "use_qk_norm": True,
    "no_rope_layers": None,
    "layer_types": None,
}
_FIXED = {
    **NO_BIASES,
    "no_rope_layer_interval": _PERIOD,
    "attention_chunk_size": CHUNK,
    "floor_scale": _HEAT.span,
    "attn_scale": _HEAT.factor,
    "attn_temperature_tuning": True,
}
_KINDS = ("chunked_attention", "full_attention")
_EXPERTS = "model.layers.{}.feed_forward.experts"
_CONVERSIONS: Conversions = {
    f"{_EXPERTS}.gate_up_proj": {
        "blk.{}.ffn_gate_exps.weight": (Transposed(), FIRST_HALF),
        "blk.{}.ffn_up_exps.weight": (Transposed(), SECOND_HALF),
    },
    f"{_EXPERTS}.down_proj": {"blk.{}.ffn_down_exps.weight": (Transposed(),)},
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    layers, step = config.count("num_hidden_layers"), config.count("interleave_moe_layer_step")
    turning = [int((layer + 1) % _PERIOD != 0) for layer in range(layers)]
    scaling = rotary_settings(config).values
    if (scaling.get("rope_type") or scaling.get("type") or "default") not in ("default", "llama3"):
        raise config.error("rope_scaling", scaling, "of the type llama3")
    implied = {
        "use_qk_norm": config.count("num_local_experts") != _EXPERTS_WITHOUT_NORM,
        "moe_layers": list(range(step - 1, layers, step)),
        "no_rope_layers": turning,
        "layer_types": [_KINDS[not turns] for turns in turning],
    }
    for key, meant in implied.items():
        given = config.values.get(key)
        if given is not None and given != meant:
            raise inexpressible(config, "llama4", key, given, meant)
    return {
        **full_rotary_key(config),
        **expert_keys(config, count="num_local_experts", width="intermediate_size"),
        "feed_forward_length": u32(config.count("intermediate_size_mlp")),
        "interleave_moe_layer_step": u32(step),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    inner = experts(settings, gating="sigmoid", renormalized=False, weigh_inputs=True)
    attends = [_attention(settings, layer, inner.count) for layer in range(settings.layers)]
    rotary = settings.rotary(attends[0].width, interleaved=True, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


register(
    Architecture(
        "llama4",
        checkpoints={"llama4_text": CheckpointRules(_DEFAULTS, _FIXED, _own_keys, conversions=_CONVERSIONS)},
        describe=_describe,
    )
)
