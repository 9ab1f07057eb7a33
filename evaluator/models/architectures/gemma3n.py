"""Gemma 3n: layers on four streams, inputs per layer, sparse gates in the first layers, shared keys and values."""

from __future__ import annotations

import math

import numpy as np

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import (
    AlternatingUpdates,
    Attention,
    Decoder,
    FeedForward,
    LayerInput,
    LayerInputs,
    Part,
)
from evaluator.models.architectures.gemma_attention import share_keys, windowed_rotary
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: What files imply that do not state it: each fifth layer has no window, the last of 20 layers keep keys and values
#: for all that follow, and the gates of 10 layers are sparse.
_PERIOD, _WITH_KEYS, _SPARSE = 5, 20, 10
#: Standard deviations below which 95 % of a normal distribution lie.
_DEVIATIONS = 1.6448535


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    usual = max(0, settings.layers - _WITH_KEYS)
    attends, kept = share_keys(
        settings, _attentions(settings), settings.count("attention.shared_kv_layers", usual, least=0)
    )
    width, sparsity = settings.count("embedding_length_per_layer_input"), _sparsity(settings)
    streams, active = settings.count("altup.num_inputs"), settings.count("altup.active_idx", least=0)
    if active >= streams:
        raise SourceError(file.path, f"stream {active} of {streams} is active: damaged?")
    for name in ("attention.scale", "feed_forward_length"):
        settings.read(name)  # scores are not scaled; the tensors show the other
    hidden, layer_input = settings.count("embedding_length"), LayerInput(width=width)
    updates = (
        AlternatingUpdates(
            streams=streams,
            active=active,
            attention=mixer,
            feed_forward=FeedForward(activation="gelu_tanh", sparsity=deviations),
            layer_input=layer_input,
        )
        for mixer, deviations in zip(attends, sparsity, strict=True)
    )
    decoder = Decoder(
        hidden,
        tuple((Part("layer", (update,), None, residual=False),) for update in updates),
        (settings.rotary(attends[0].width), windowed_rotary(settings, attends[0].width)),
        settings.positive("attention.layer_norm_rms_epsilon"),
        embedding_scale=math.sqrt(hidden),
        softcap=settings.number("final_logit_softcapping", 0.0) or None,
        layer_inputs=LayerInputs(width),
        streams=streams,
        kept=kept,
    )
    settings.check_all_read()
    return decoder


def _attentions(settings: Settings) -> list[Attention]:
    """Return the attention of each layer."""
    window = settings.count("attention.sliding_window")
    windowed = tuple((layer + 1) % _PERIOD != 0 for layer in range(settings.layers))
    if settings.has("attention.sliding_window_pattern"):
        windowed = settings.flags("attention.sliding_window_pattern")
    return [
        attention(
            settings,
            layer,
            scale=1.0,
            norm="head",
            value_norm=True,
            window=window if in_window else None,
            rotary=int(in_window),
        )
        for layer, in_window in enumerate(windowed)
    ]


def _sparsity(settings: Settings) -> list[float | None]:
    """Return each layer's standard deviations above the mean below which gates are zero; None without."""
    values = settings.read("activation_sparsity_scale")
    if values is None:
        return [_DEVIATIONS if layer < _SPARSE else None for layer in range(settings.layers)]
    numeric = isinstance(values, (list, np.ndarray)) and np.asarray(values).dtype.kind in "fi"
    found = np.asarray(values if numeric else [], np.float64).reshape(-1)
    if len(found) < settings.layers or np.isnan(found).any() or (found == np.inf).any():
        raise SourceError(
            settings.file.path, "activation_sparsity_scale has no number for each layer: damaged?"
        )
    return [float(value) if math.isfinite(value) else None for value in found[: settings.layers]]


register(Architecture("gemma3n", describe=_describe))
