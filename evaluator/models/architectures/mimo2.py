"""MiMo-V2: windowed layers have other heads, frequencies and sinks, and values are narrower than keys."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Part
from evaluator.models.architectures.layers import decoder_of, has, inner_parts, windows
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_PERIOD = 4
_FULL, _WINDOWED = range(2)


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("attention.sliding_window")
    inner = experts(settings, gating="sigmoid", renormalized=True, selection_bias="exp_probs_b")
    scale = settings.number("attention.value_scale", 0.0) or 1.0
    layers = []
    for layer, window in enumerate(windows(settings, _PERIOD)):
        sinks = has(settings, "attn_sinks", layer)
        attends = attention(
            settings, layer, window=window, rotary=_WINDOWED if window else _FULL, sinks=sinks
        )
        layers.append(
            (
                Part("attention", (attends,), "attn_norm", scale=scale),
                Part("feed_forward", inner_parts(settings, layer, inner), "ffn_norm"),
            )
        )
    width = attention(settings).width
    rotary = [settings.rotary(width, ending=ending) for ending in ("", "_swa")]
    return decoder_of(settings, layers, *rotary)


register(Architecture("mimo2", describe=_describe))
