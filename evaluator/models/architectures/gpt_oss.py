"""gpt-oss: attention with sinks, every other layer windowed, and a mixture with biases and a clamped activation."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_PERIOD = 2


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    window = settings.count("attention.sliding_window")
    attends = [attention(settings, sinks=True, window=size) for size in (window, None)]
    inner = experts(settings, gating="softmax of chosen", renormalized=False, activation="swiglu_clamped")
    settings.count("feed_forward_length", 1, least=0)  # the experts' width has a key of its own
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(
            pre_norm_layer(attends[layer % _PERIOD], inner, ffn_norm="post_attention_norm")
            for layer in range(settings.layers)
        ),
        (settings.rotary(attends[0].width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(Architecture("gpt-oss", describe=_describe))
