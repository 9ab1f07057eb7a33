"""Read the usual parts of a layer from metadata."""

from __future__ import annotations

from typing import Any

from evaluator.models.architectures.description import Layer, Part
from evaluator.models.architectures.mixers import Attention, Experts, FeedForward, Mamba, Mixer
from evaluator.models.architectures.mixture import GATING_NUMBERS, Gating, Router
from evaluator.models.architectures.settings import Settings
from evaluator.support.errors import SourceError


def attention(settings: Settings, layer: int = 0, **changes: Any) -> Attention:
    """Return a layer's attention with the heads that the file describes; `changes` are further attributes.

    Raises:
        SourceError: a setting is missing or not valid.
    """
    heads = settings.counts("attention.head_count")[layer]
    kv_heads = settings.counts("attention.head_count_kv", heads)[layer] or heads
    if not heads or heads % kv_heads:
        raise SourceError(settings.file.path, f"{heads} heads do not divide into {kv_heads} groups")
    hidden = settings.count("embedding_length")
    if hidden % heads and not settings.has("attention.key_length"):
        raise SourceError(settings.file.path, f"{heads} heads do not divide a width of {hidden}")
    width = settings.count("attention.key_length", hidden // heads)
    value_width = settings.count("attention.value_length", width)
    if value_width > width:
        raise SourceError(settings.file.path, "attention values wider than the keys are not supported")
    usual: dict[str, Any] = {
        "heads": heads,
        "kv_heads": kv_heads,
        "width": width,
        "value_width": value_width if value_width != width else None,
        "scale": settings.number("attention.scale", 0.0) or None,
    }
    return Attention(**usual | changes)


def mamba(settings: Settings, **changes: Any) -> Mamba:
    """Return the state space layer that the file describes; `changes` are further attributes.

    Raises:
        SourceError: a setting is missing or not valid.
    """
    inner, heads = settings.count("ssm.inner_size"), settings.count("ssm.time_step_rank")
    groups = settings.count("ssm.group_count")
    if inner % heads or heads % groups:
        raise SourceError(
            settings.file.path, f"{heads} heads in {groups} groups do not divide {inner} channels"
        )
    usual: dict[str, Any] = {
        "heads": heads,
        "width": inner // heads,
        "state": settings.count("ssm.state_size"),
        "groups": groups,
        "kernel": settings.count("ssm.conv_kernel"),
    }
    return Mamba(**usual | changes)


def experts(
    settings: Settings,
    layer: int = 0,
    *,
    gating: Gating,
    renormalized: bool,
    width: int | None = None,
    **changes: Any,
) -> Experts:
    """Return the experts that the file describes.

    Args:
        settings: the file's.
        layer: the layer, if they differ.
        gating: the family's gating; files of some families state theirs.
        renormalized: whether the family divides the chosen experts' scores by their sum, unless the file says so.
        width: inner width of an expert, if the family's files do not have a key of their own for it.
        changes: further attributes.

    Raises:
        SourceError: a setting is missing or not valid.
    """
    count, used = settings.count("expert_count"), settings.counts("expert_used_count")[layer]
    groups = settings.count("expert_group_count", 1, least=0) or 1
    groups_used = settings.count("expert_group_used_count", 1, least=0) or 1
    if not 0 < used <= count or count % groups or groups_used > groups:
        raise SourceError(settings.file.path, f"{used} of {count} experts in {groups} groups: damaged?")
    stated = settings.count("expert_gating_func", 0, least=0)
    known: dict[int, Gating] = {number: name for name, number in GATING_NUMBERS.items()}
    if stated and stated not in known:
        raise SourceError(settings.file.path, f"experts are chosen by function {stated}, which is not known")
    router = Router(
        known.get(stated, gating),
        used,
        settings.flag("expert_weights_norm", renormalized),
        settings.number("expert_weights_scale", 0.0) or 1.0,
        groups,
        groups_used,
    )
    inner = settings.counts("expert_feed_forward_length", width)[layer]
    usual: dict[str, Any] = {"count": count, "width": inner, "router": router}
    return Experts(**usual | changes)


def pre_norm_layer(mixer: Mixer, *inner: Mixer, ffn_norm: str = "ffn_norm", scale: float = 1.0) -> Layer:
    """Return a layer of the usual form: both parts behind a norm, added to the stream times `scale`."""
    return (
        Part("attention", (mixer,), "attn_norm", scale=scale),
        Part("feed_forward", inner or (FeedForward(),), ffn_norm, scale=scale),
    )
