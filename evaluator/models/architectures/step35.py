"""Step 3.5: windowed layers have other heads and frequencies, heads have gates, and activations are bounded."""

from __future__ import annotations

from dataclasses import replace

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Layer
from evaluator.models.architectures.layers import SHARED, decoder_of, has, windows
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_PERIOD = 4
_FULL, _WINDOWED = range(2)
_GATE = "attn_gate"


def _layer(settings: Settings, layer: int, window: int | None) -> Layer:
    """Return a layer."""
    attends = attention(
        settings,
        layer,
        norm="head" if has(settings, "attn_q_norm", layer) else None,
        window=window,
        rotary=_WINDOWED if window else _FULL,
        head_gate=_GATE if has(settings, _GATE, layer) else None,
    )
    bound, shared_bound = (
        settings.numbers(f"swiglu_clamp_{which}", 0.0)[layer] or None for which in ("exp", "shexp")
    )
    if not has(settings, "ffn_gate_inp", layer):
        return pre_norm_layer(attends, FeedForward(limit=shared_bound))
    inner = experts(settings, gating="sigmoid", renormalized=False, selection_bias="exp_probs_b", limit=bound)
    return pre_norm_layer(attends, inner, replace(SHARED, limit=shared_bound))


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("attention.sliding_window")
    layers = [_layer(settings, layer, window) for layer, window in enumerate(windows(settings, _PERIOD))]
    width = attention(settings).width
    full = settings.rotary(width, factors=FREQUENCY_FACTORS)
    # Full layers rotate half of what the file states; its factors are theirs.
    full = replace(full, width=full.width // 2, padded=True)
    return decoder_of(settings, layers, full, settings.rotary(width, ending="_swa"))


register(Architecture("step35", describe=_describe))
