"""Falcon-H1: attention and Mamba 2 side by side in every layer."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder, FeedForward, Part
from evaluator.models.architectures.layer_tensors import tensor_name
from evaluator.models.architectures.parts import attention, mamba
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    normed = tensor_name(file.tensors, "ssm_norm", 0) in file.tensors
    settings.count("feed_forward_length")  # the tensors show it
    layer = (
        Part("attention", (attends, mamba(settings, norm=normed)), "attn_norm"),
        Part("feed_forward", (FeedForward(),), "ffn_norm"),
    )
    decoder = Decoder(
        settings.count("embedding_length"),
        (layer,) * settings.layers,
        (settings.rotary(attends.width),),
        settings.positive("attention.layer_norm_rms_epsilon"),
    )
    settings.check_all_read()
    return decoder


register(Architecture("falcon-h1", describe=_describe))
