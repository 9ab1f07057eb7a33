"""OLMo 2 and 3: norms behind the parts of a layer instead of before, and norms of all heads' queries and keys.

OLMo 3 has windows in three of four layers; its rotary scaling holds in the others only.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, window_keys
from evaluator.models.architectures.description import Decoder, Layer, Part
from evaluator.models.architectures.layers import decoder_of, windows
from evaluator.models.architectures.mixers import FeedForward, Mixer
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed
from evaluator.models.model_file import ModelFile

_PERIOD = 4
_SCALED, _PLAIN = range(2)


def post_norm_layer(mixer: Mixer) -> Layer:
    """Return a layer whose parts see the stream itself, and whose outputs are normalized."""
    return (
        Part("attention", (mixer,), None, post_norm="post_attention_norm"),
        Part("feed_forward", (FeedForward(),), None, post_norm="post_ffw_norm"),
    )


_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 2048,
    "num_key_value_heads": None,
    "attention_bias": False,
}
_WINDOWED_DEFAULTS = {**_DEFAULTS, "sliding_window": 4096, "layer_types": None}


def _window_keys(config: JsonFile) -> dict[str, Typed]:
    return window_keys(config, _PERIOD, _PERIOD)


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    found = windows(settings, _PERIOD)
    attends = [
        attention(settings, norm="all", window=size, rotary=_PLAIN if size else _SCALED) for size in found
    ]
    width = attends[0].width
    rotary = [settings.rotary(width), settings.rotary(width, ending="_swa", scaled=False)]
    return decoder_of(settings, map(post_norm_layer, attends), *rotary)


register(
    Architecture(
        "olmo2",
        checkpoints={
            "olmo2": CheckpointRules(_DEFAULTS, NO_BIASES),
            "olmo3": CheckpointRules(_WINDOWED_DEFAULTS, NO_BIASES, _window_keys),
        },
        describe=_describe,
    )
)
