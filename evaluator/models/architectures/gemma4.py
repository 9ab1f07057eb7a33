"""Gemma 4: windowed and full attention of different widths, inputs per layer, layers that share keys and values.

Its mixture computes a dense part and experts side by side, each with norms of its own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import (
    Activation,
    Attention,
    Decoder,
    FeedForward,
    Layer,
    LayerInput,
    LayerInputs,
    Part,
)
from evaluator.models.architectures.gemma_attention import share_keys, windowed_rotary
from evaluator.models.architectures.layer_tensors import tensor_name
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_GELU: Activation = "gelu_tanh"
_ROUTER = "ffn_gate_inp"


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    full, narrow = (settings.count(f"attention.key_length{ending}") for ending in ("", "_swa"))
    if settings.count("attention.value_length_swa", narrow) != narrow:
        raise SourceError(file.path, "attention values of another width than the keys are not supported")
    windowed = settings.flags("attention.sliding_window_pattern")
    attends, kept = share_keys(
        settings,
        [
            _attention(settings, layer, narrow if in_window else None)
            for layer, in_window in enumerate(windowed)
        ],
        settings.count("attention.shared_kv_layers", 0, least=0),
    )
    inputs = settings.count("embedding_length_per_layer_input", 0, least=0)
    for name in ("attention.scale", "feed_forward_length", "expert_feed_forward_length", "expert_used_count"):
        settings.read(name)  # scores are not scaled; the tensors show the rest
    hidden = settings.count("embedding_length")
    decoder = Decoder(
        hidden,
        tuple(_layer(settings, layer, mixer, inputs) for layer, mixer in enumerate(attends)),
        (settings.rotary(full, factors=FREQUENCY_FACTORS), windowed_rotary(settings, narrow)),
        settings.positive("attention.layer_norm_rms_epsilon"),
        embedding_scale=math.sqrt(hidden),
        softcap=settings.number("final_logit_softcapping", 0.0) or None,
        layer_inputs=LayerInputs(inputs) if inputs else None,
        kept=kept,
    )
    settings.check_all_read()
    return decoder


def _attention(settings: Settings, layer: int, narrow: int | None) -> Attention:
    """Return a layer's attention; `narrow` is the width of heads in a windowed layer."""
    window = settings.count("attention.sliding_window")
    changes: dict[str, Any] = {"width": narrow, "window": window, "rotary": 1} if narrow else {}
    return attention(settings, layer, scale=1.0, norm="head", value_norm=True, **changes)


def _layer(settings: Settings, layer: int, attends: Attention, inputs: int) -> Layer:
    """Return a layer; `inputs` is the width of its input, 0 without one."""
    names = settings.file.tensors
    dense = FeedForward(activation=_GELU)
    inner: Part = Part("feed_forward", (dense,), "ffn_norm", "post_ffw_norm")
    if tensor_name(names, _ROUTER, layer) in names:
        beside = FeedForward(activation=_GELU, post_norm="post_ffw_norm_1")
        routed = experts(
            settings,
            layer,
            gating="softmax",
            renormalized=True,
            activation=_GELU,
            norm="pre_ffw_norm_2",
            post_norm="post_ffw_norm_2",
            router_gain=_ROUTER,
        )
        inner = Part("feed_forward", (beside, routed), "ffn_norm", "post_ffw_norm")
    parts = [Part("attention", (attends,), "attn_norm", "post_attention_norm"), inner]
    if inputs:
        parts.append(Part("layer", (LayerInput(width=inputs),), None, "post_norm"))
    if tensor_name(names, "layer_output_scale", layer) in names:
        parts[-1] = replace(parts[-1], output_scale="layer_output_scale")
    return tuple(parts)


register(Architecture("gemma4", describe=_describe))
