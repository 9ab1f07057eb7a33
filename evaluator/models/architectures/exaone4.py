"""EXAONE 4: norms behind the parts of a layer. If there are windows, layers without one have no positions."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, FULL, NO_BIASES, WINDOWED, layer_types
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers, windows
from evaluator.models.architectures.olmo2 import post_norm_layer
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, booleans, u32
from evaluator.models.model_file import ModelFile

_PERIOD = 4


_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 2048,
    "num_key_value_heads": 32,
    "sliding_window": 4096,
    "sliding_window_pattern": 4,
    "layer_types": None,
}


def _own_keys(config: JsonFile) -> dict[str, Typed]:
    types = layer_types(config)
    if config.values.get("sliding_window") is None:
        if types and WINDOWED in types:
            raise config.error("layer_types", types, f"{FULL} throughout: there is no sliding window")
        return {}
    layers = range(config.count("num_hidden_layers"))
    pattern = config.values.get("sliding_window_pattern")
    windowed = [kind == WINDOWED for kind in types or ()]
    if not types and isinstance(pattern, str) and pattern:
        windowed = [pattern[layer % len(pattern)] == "L" for layer in layers]
    elif not types:
        period = config.count("sliding_window_pattern")
        windowed = [(layer + 1) % period != 0 for layer in layers]
    return {
        "attention.sliding_window": u32(config.count("sliding_window")),
        "attention.sliding_window_pattern": booleans(windowed),
    }


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    found = windows(settings, _PERIOD)
    attends = [
        attention(settings, norm="head", window=size, rotary=0 if size or not any(found) else None)
        for size in found
    ]
    rotary = settings.rotary(attends[0].width, ending="_swa", factors=FREQUENCY_FACTORS)
    return decoder_of(settings, map(post_norm_layer, attends), rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("attention.sliding_window")
    attends = [
        attention(settings, norm="head", window=size, rotary=0 if size else None)
        for size in windows(settings, _PERIOD)
    ]
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b")
    rotary = settings.rotary(attends[0].width, ending="_swa", factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


register(
    Architecture(
        "exaone4",
        checkpoints={"exaone4": CheckpointRules(_DEFAULTS, NO_BIASES, _own_keys)},
        describe=_describe,
    )
)
register(Architecture("exaone-moe", describe=_describe_mixture))
