"""Gemma 3n: layers on four streams, inputs per layer, sparse gates in the first layers, shared keys and values."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import Computed, Conversions, Values
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, window_keys
from evaluator.models.architectures.description import Decoder, LayerInputs, Part
from evaluator.models.architectures.gemma import GELU, NO_SPACE_PREFIX
from evaluator.models.architectures.gemma_attention import share_keys, windowed_rotary
from evaluator.models.architectures.mixers import AlternatingUpdates, Attention, FeedForward, LayerInput
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, f32, f32_array, i32_array, u32
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: What files imply that do not state it: each fifth layer has no window, the last of 20 layers keep keys and values
#: for all that follow, and the gates of 10 layers are sparse.
_PERIOD, _WITH_KEYS, _SPARSE = 5, 20, 10
#: Standard deviations below which 95 % of a normal distribution lie.
_DEVIATIONS = 1.6448535


_DEFAULTS = {
    **COMMON,
    "rope_theta": 1e6,
    "rope_local_base_freq": 10000.0,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "hidden_activation": GELU,
    "sliding_window": 512,
    "layer_types": None,
    "final_logit_softcapping": 30.0,
    "hidden_size_per_layer_input": 256,
    "altup_active_idx": 0,
    "altup_num_inputs": 4,
    "altup_coef_clip": 120.0,
    "altup_correct_scale": True,
    "num_kv_shared_layers": 15,
    "activation_sparsity_pattern": None,
}


def _clipped(config: JsonFile, values: Values) -> Values:
    if config.values.get("altup_coef_clip") is None:
        return values
    bound = np.float32(config.number("altup_coef_clip"))
    return np.clip(values, -bound, bound)


_CONVERSIONS: Conversions = {
    "model.layers.{}.altup.correction_coefs.weight": {
        "blk.{}.altup_correct_coef.weight": (Computed(_clipped),)
    },
    # transformers 4 saves one matrix under a name that its own renaming spoiled.
    "model.per_layer_model.language_model_projection.weight": {"per_layer_model_proj.weight": ()},
    "model.layers.{}.altup.correct_output_scale": {"blk.{}.altup_correct_scale.weight": ()},
}


def _keys(config: JsonFile) -> dict[str, Typed]:
    layers = config.count("num_hidden_layers")
    widths, shares = config.values.get("intermediate_size"), config.values.get("activation_sparsity_pattern")
    inner: list[Any] = config.items("intermediate_size") if isinstance(widths, list) else [widths] * layers
    sparse = (
        config.items("activation_sparsity_pattern") if isinstance(shares, list) else [shares or 0.0] * layers
    )
    if len(inner) != layers or not all(type(width) is int and width > 0 for width in inner):
        raise config.error("intermediate_size", widths, "a width or one for each layer")
    if len(sparse) != layers or not all(
        isinstance(share, (int, float)) and 0 <= share < 1 for share in sparse
    ):
        raise config.error("activation_sparsity_pattern", shares, "a share below 1 for each layer")
    local = config.within("rope_parameters").within("sliding_attention")
    cap = config.values.get("final_logit_softcapping")
    return {
        **window_keys(config, _PERIOD, _PERIOD),
        **({"final_logit_softcapping": f32(config.number("final_logit_softcapping"))} if cap else {}),
        "feed_forward_length": i32_array(inner),
        "rope.freq_base_swa": f32(local.number("rope_theta", config.number("rope_local_base_freq"))),
        "altup.active_idx": u32(config.whole("altup_active_idx")),
        "altup.num_inputs": u32(config.count("altup_num_inputs")),
        "embedding_length_per_layer_input": u32(config.count("hidden_size_per_layer_input")),
        "attention.shared_kv_layers": u32(config.whole("num_kv_shared_layers")),
        "activation_sparsity_scale": f32_array(
            [NormalDist().inv_cdf(share) if share else -math.inf for share in sparse]
        ),
    }


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


register(
    Architecture(
        "gemma3n",
        checkpoints={
            "gemma3n_text": CheckpointRules(
                _DEFAULTS,
                {**NO_BIASES, "altup_correct_scale": True},
                _keys,
                activation=("hidden_activation", (GELU,)),
                overrides=NO_SPACE_PREFIX,
                conversions=_CONVERSIONS,
            )
        },
        describe=_describe,
    )
)
