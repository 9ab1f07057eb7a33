"""Granite 3 and 4, dense or with experts: Llama with factors of embedding, scores, residual changes and logits."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, register
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, has_mixture, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    # A model without positions is marked by rotary frequencies that were not trained.
    rotates = settings.flag("rope.scaling.finetuned", True)
    attends = attention(settings, rotary=0 if rotates else None)
    inner = None
    if has_mixture(settings):
        width = settings.count("feed_forward_length")
        inner = experts(settings, gating="softmax", renormalized=True, width=width)
    else:
        for name in ("expert_count", "expert_used_count"):
            settings.read(name)
    layers = usual_layers(settings, attends, inner, scale=settings.number("residual_scale", 0.0) or 1.0)
    return decoder_of(
        settings,
        layers,
        settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS),
        embedding_scale=settings.number("embedding_scale", 0.0) or 1.0,
        logit_scale=1 / settings.positive("logit_scale", 1.0),
    )


register(Architecture("granite", describe=_describe))
register(Architecture("granitemoe", describe=_describe))
