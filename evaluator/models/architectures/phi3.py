"""Phi-3, Phi-3.5 and Phi-4: query, key and value in one matrix, gate and up in one matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, FIXED, head_width, turned_share
from evaluator.models.architectures.decoder import NORMS, decoder_config, sliding_window
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.rotary import LONG_FACTORS, SHORT_FACTORS
from evaluator.models.architectures.rotary_set import TOGETHER
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile

_PROJECTIONS = {
    "model.layers.{}.self_attn.qkv_proj.weight": "blk.{}.attn_qkv.weight",
    "model.layers.{}.self_attn.o_proj.weight": "blk.{}.attn_output.weight",
    "model.layers.{}.mlp.gate_up_proj.weight": "blk.{}.ffn_up.weight",
    "model.layers.{}.mlp.down_proj.weight": "blk.{}.ffn_down.weight",
}
_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "num_key_value_heads": None,
    "partial_rotary_factor": 1.0,
    "sliding_window": None,
}


def _phi3_config(file: ModelFile) -> dict[str, Any]:
    return decoder_config(file, partial_rotary=True) | {"sliding_window": sliding_window(file)}


def _describe(file: ModelFile) -> Decoder | None:
    """Return a description of files whose attention the exporter's graph cannot have as one node."""
    settings = Settings(file)
    rotary = settings.rotary(attention(settings).width)
    if rotary.width % TOGETHER == 0:
        return None
    factors = SHORT_FACTORS if SHORT_FACTORS in file.tensors else None
    long = LONG_FACTORS if LONG_FACTORS in file.tensors else None
    attends = attention(settings, window=settings.count("attention.sliding_window", 0, least=0) or None)
    layers = usual_layers(settings, attends)
    return decoder_of(settings, layers, replace(rotary, factors=factors, long_factors=long))


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    turned = int(head_width(config) * turned_share(config))
    window = config.count("sliding_window") if config.values.get("sliding_window") is not None else 0
    return {"rope.dimension_count": u32(turned), "attention.sliding_window": u32(window)}


register(
    Architecture(
        name="phi3",
        model_type="phi3",
        config=_phi3_config,
        tensors=NORMS | _PROJECTIONS,
        checkpoints={"phi3": CheckpointRules(_DEFAULTS, FIXED, _own_keys)},
        describe=_describe,
    )
)
