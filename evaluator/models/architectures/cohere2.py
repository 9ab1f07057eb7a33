"""Command R7B and Command A: attention and feed-forward part side by side, and positions in windowed layers only."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, full_rotary_key, window_keys
from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.layers import decoder_of, windows
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32
from evaluator.models.model_file import ModelFile

_PERIOD = 4


_DEFAULTS = {
    **{key: value for key, value in COMMON.items() if key != "rms_norm_eps"},
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 8192,
    "num_key_value_heads": None,
    "tie_word_embeddings": True,
    "logit_scale": 0.0625,
    "attention_bias": False,
    "sliding_window": 4096,
    "layer_types": None,
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    return {
        **full_rotary_key(config),
        **window_keys(config, _PERIOD, _PERIOD),
        "attention.layer_norm_epsilon": f32(config.number("layer_norm_eps")),
        "logit_scale": f32(config.number("logit_scale")),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("attention.sliding_window")
    attends = [
        attention(settings, window=size, rotary=0 if size else None) for size in windows(settings, _PERIOD)
    ]
    layers = [(Part("layer", (mixer, FeedForward()), "attn_norm"),) for mixer in attends]
    rotary = settings.rotary(attends[0].width, interleaved=True, ending="_swa")
    scale = settings.number("logit_scale", 0.0) or 1.0
    return decoder_of(settings, layers, rotary, norm="layer", logit_scale=scale)


register(
    Architecture(
        "cohere2",
        checkpoints={
            "cohere2": CheckpointRules(
                _DEFAULTS, NO_BIASES, _own_keys, absent=frozenset({"attention.layer_norm_rms_epsilon"})
            )
        },
        describe=_describe,
    )
)
