"""Arcee's AFM: Llama with two feed-forward products and a squared activation between them."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import INTERLEAVED
from evaluator.models.architectures.config_json import COMMON, NO_BIASES, full_rotary_key
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.mixers import FeedForward
from evaluator.models.architectures.parts import attention
from evaluator.models.architectures.rotary_set import FREQUENCY_FACTORS
from evaluator.models.architectures.settings import Settings
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "num_key_value_heads": None,
    "attention_bias": False,
    "mlp_bias": False,
}
_RULES = CheckpointRules(
    _DEFAULTS,
    {**NO_BIASES, "mlp_bias": False},
    full_rotary_key,
    activation=("hidden_act", ("relu2",)),
    conversions=INTERLEAVED,
)


def _describe(file: ModelFile) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    inner = FeedForward(activation="relu_squared", gated=False)
    rotary = settings.rotary(attends.width, interleaved=True, factors=FREQUENCY_FACTORS)
    return decoder_of(settings, usual_layers(settings, attends, dense=inner), rotary)


register(Architecture("arcee", checkpoints={"arcee": _RULES}, describe=_describe))
