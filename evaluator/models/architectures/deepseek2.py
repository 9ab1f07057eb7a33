"""DeepSeek V2 and V3, and models with their architecture: latent attention, leading dense layers, shared experts.

Kimi K2, GLM 4.7 Flash, Mistral Large 3 and others have files of this architecture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evaluator.models.architectures import EMBEDDING, Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.latent_tensors import LATENT_CHECKPOINTS
from evaluator.models.architectures.mixers import FeedForward, LatentAttention, Mixer, Temperature
from evaluator.models.architectures.mixture import Gating
from evaluator.models.architectures.parts import experts, pre_norm_layer
from evaluator.models.architectures.rotary_set import RotarySet
from evaluator.models.architectures.settings import Settings
from evaluator.models.architectures.yarn import yarn_scale
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

#: Files multiply YaRN's `mscale_all_dim` by this.
_MULTIPLIER_UNIT = 0.1
#: Layers and vocabulary of GLM 4.7 Flash. Its first files do not state how experts are chosen.
_GLM_LAYERS, _GLM_VOCABULARY = (47, 48), 154_880


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    turned = settings.count("rope.dimension_count")
    rotary = _rotary(settings, turned)
    attends = _attention(settings, turned, rotary)
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(pre_norm_layer(attends, *inner) for inner in leading_dense(settings, _gating(settings))),
        (rotary,),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


def _rotary(settings: Settings, turned: int) -> RotarySet:
    """Return the rotary embedding; its cosines and sines are not scaled if the file has a multiplier."""
    rotary = settings.rotary(turned, interleaved=True)
    if rotary.yarn and settings.number("rope.scaling.yarn_log_multiplier", 0.0):
        rotary = replace(rotary, scale=settings.positive("rope.scaling.attn_factor", 1.0))
    return rotary


def _attention(settings: Settings, turned: int, rotary: RotarySet) -> LatentAttention:
    tensors = settings.file.tensors
    split = "blk.0.attn_k_b.weight" in tensors
    ending = "_mla" if split else ""
    width, value = (settings.count(f"attention.{name}_length{ending}") for name in ("key", "value"))
    for name in ("key_length", "value_length", "head_count_kv", "q_lora_rank"):
        settings.read(f"attention.{name}")  # of keys and values as they are cached; the tensors show the rest
    if width <= turned:
        raise SourceError(settings.file.path, f"{turned} of the {width} dimensions of a head are rotated")
    multiplier = settings.number("rope.scaling.yarn_log_multiplier", 0.0) / _MULTIPLIER_UNIT
    sharper = rotary.scale * yarn_scale(rotary.factor, multiplier) if rotary.yarn else 1.0
    heat = settings.number("attention.temperature_scale", 0.0)
    return LatentAttention(
        heads=settings.count("attention.head_count"),
        latent=settings.count("attention.kv_lora_rank"),
        plain=width - turned,
        rotated=turned,
        value=value,
        scale=sharper**2 / width**0.5,
        query_latent="blk.0.attn_q_a.weight" in tensors,
        split=split,
        temperature=Temperature(heat, settings.count("attention.temperature_length")) if heat else None,
    )


def _gating(settings: Settings) -> Gating:
    """Return how files choose experts that do not state it."""
    vocabulary = settings.file.tensor(EMBEDDING).shape[0]
    is_glm = settings.layers in _GLM_LAYERS and vocabulary == _GLM_VOCABULARY
    return "sigmoid" if is_glm else "softmax"


def leading_dense(settings: Settings, gating: Gating, **changes: Any) -> list[tuple[Mixer, ...]]:
    """Return each layer's feed-forward mixers: dense in the first layers, experts and a shared one in the others.

    Args:
        settings: the file's.
        gating: the family's gating; some files state theirs.
        changes: further attributes of the experts.

    Raises:
        SourceError: a setting is missing or not valid.
    """
    for name in ("feed_forward_length", "expert_shared_feed_forward_length"):
        settings.read(name)  # the tensors show it
    dense = min(settings.count("leading_dense_block_count", 0, least=0), settings.layers)
    shared = (FeedForward(suffix="_shexp"),) if settings.count("expert_shared_count", 0, least=0) else ()
    routed: tuple[Mixer, ...] = ()
    if settings.count("expert_count", 0, least=0):
        chosen: dict[str, Any] = {"gating": gating, "renormalized": False, "selection_bias": "exp_probs_b"}
        routed = experts(settings, **chosen | changes), *shared
    elif dense < settings.layers:
        raise SourceError(settings.file.path, f"only {dense} of {settings.layers} layers are dense: damaged?")
    for name in ("feed_forward_length", "weights_scale", "weights_norm", "gating_func"):
        settings.read(f"expert_{name}")  # models without experts have them too
    return [(FeedForward(),)] * dense + [routed] * (settings.layers - dense)


register(Architecture("deepseek2", checkpoints=LATENT_CHECKPOINTS, describe=_describe))
