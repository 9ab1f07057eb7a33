"""Qwen 3.5: gated DeltaNet in most layers, gated attention in the others."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, DeltaNet, FeedForward, Mixer
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile
from evaluator.support.errors import SourceError

_SHARED = FeedForward(suffix="_shexp", weigher="ffn_gate_inp_shexp")
_NORM = "post_attention_norm"
_INTERVAL = 4


def describe_hybrid(file: ModelFile, *inner: Mixer, settings: Settings, joint_beta: bool = False) -> Decoder:
    """Return the description of a model whose layers have these mixers behind attention or DeltaNet.

    Raises:
        SourceError: a setting is missing or not valid.
    """
    attends = attention(settings, norm="head", gated=True)
    delta = _delta_net(settings, joint_beta=joint_beta)
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(
            pre_norm_layer(delta if recurrent else attends, *inner, ffn_norm=_NORM)
            for recurrent in _recurrent(settings)
        ),
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


def _recurrent(settings: Settings) -> tuple[bool, ...]:
    """Return for each layer whether it is a DeltaNet."""
    interval = settings.count("full_attention_interval", _INTERVAL)
    if settings.has("attention.recurrent_layers"):
        return settings.flags("attention.recurrent_layers")
    return tuple((layer + 1) % interval != 0 for layer in range(settings.layers))


def _delta_net(settings: Settings, *, joint_beta: bool) -> DeltaNet:
    value_heads, inner = settings.count("ssm.time_step_rank"), settings.count("ssm.inner_size")
    key_heads = settings.count("ssm.group_count")
    if inner % value_heads or value_heads % key_heads:
        raise SourceError(
            settings.file.path, f"{value_heads} value heads do not fit {inner} values and {key_heads} keys"
        )
    return DeltaNet(
        key_heads=key_heads,
        value_heads=value_heads,
        key_width=settings.count("ssm.state_size"),
        value_width=inner // value_heads,
        kernel=settings.count("ssm.conv_kernel"),
        joint_beta=joint_beta,
    )


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    settings.count("feed_forward_length")  # the tensors show it
    return describe_hybrid(file, FeedForward(), settings=settings)


def experts_beside_shared(settings: Settings) -> tuple[Mixer, ...]:
    """Return the experts of these families, and the one that all tokens pass through."""
    for name in ("feed_forward_length", "expert_shared_feed_forward_length"):
        settings.count(name, 1, least=0)  # the tensors show it
    return experts(settings, gating="softmax", renormalized=True), _SHARED


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    return describe_hybrid(file, *experts_beside_shared(settings), settings=settings)


register(Architecture("qwen35", describe=_describe))
register(Architecture("qwen35moe", describe=_describe_mixture))
