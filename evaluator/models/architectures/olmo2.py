"""OLMo 2 and 3: norms behind the parts of a layer instead of before, and norms of all heads' queries and keys.

OLMo 3 has windows in three of four layers; its rotary scaling holds in the others only.
"""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, FeedForward, Layer, Mixer, Part
from evaluator.models.architectures.layers import decoder_of, windows
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_PERIOD = 4
_SCALED, _PLAIN = range(2)


def post_norm_layer(mixer: Mixer) -> Layer:
    """Return a layer whose parts see the stream itself, and whose outputs are normalized."""
    return (
        Part("attention", (mixer,), None, post_norm="post_attention_norm"),
        Part("feed_forward", (FeedForward(),), None, post_norm="post_ffw_norm"),
    )


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    found = windows(settings, _PERIOD)
    attends = [
        attention(settings, norm="all", window=size, rotary=_PLAIN if size else _SCALED) for size in found
    ]
    width = attends[0].width
    rotary = [settings.rotary(width), settings.rotary(width, ending="_swa", scaled=False)]
    return decoder_of(settings, map(post_norm_layer, attends), *rotary)


register(Architecture("olmo2", describe=_describe))
