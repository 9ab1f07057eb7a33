"""LFM2: short convolutions in most layers, attention in the others, with or without experts."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, Experts, FeedForward, ShortConvolution
from evaluator.models.architectures.parts import attention, experts, pre_norm_layer
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe_with(settings: Settings, inner: Experts | None = None) -> Decoder:
    """Return the description of a model with these experts behind its dense layers, or none."""
    kv_heads = settings.counts("attention.head_count_kv")
    window = settings.count("attention.sliding_window", 0, least=0) or None
    attends = attention(settings, layer=kv_heads.index(max(kv_heads)), norm="head", window=window)
    convolution = ShortConvolution(kernel=settings.count("shortconv.l_cache"))
    dense = settings.count("leading_dense_block_count", 0, least=0) if inner else settings.layers
    settings.count("feed_forward_length", 1, least=0)  # the tensors show it
    decoder = Decoder(
        settings.count("embedding_length"),
        tuple(
            pre_norm_layer(
                attends if count else convolution, inner if inner and layer >= dense else FeedForward()
            )
            for layer, count in enumerate(kv_heads)
        ),
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
        output_norm="token_embd_norm",
    )
    settings.check_all_read()
    return decoder


def _describe(file: ModelFile) -> Decoder:
    return _describe_with(Settings(file))


def _describe_mixture(file: ModelFile) -> Decoder:
    settings = Settings(file)
    inner = experts(settings, gating="sigmoid", renormalized=True, selection_bias="exp_probs_b")
    return _describe_with(settings, inner)


register(Architecture("lfm2", describe=_describe))
register(Architecture("lfm2moe", describe=_describe_mixture))
