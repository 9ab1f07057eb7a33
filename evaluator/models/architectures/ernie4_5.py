"""ERNIE 4.5, dense or with experts in most layers: Llama with the rows of queries and keys as they were trained."""

from __future__ import annotations

from evaluator.models.architectures import Architecture, CheckpointRules, register
from evaluator.models.architectures.changes import JOINED_EXPERTS, Conversions, Shaped
from evaluator.models.architectures.config_json import COMMON, WHOLE_HEADS, inexpressible
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layers import decoder_of, usual_layers
from evaluator.models.architectures.parts import attention, experts
from evaluator.models.architectures.settings import Settings
from evaluator.models.json_file import JsonFile
from evaluator.models.metadata_values import Typed, u32
from evaluator.models.model_file import ModelFile

_DEFAULTS = {
    **COMMON,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "max_position_embeddings": 131072,
    "head_dim": 128,
    "num_key_value_heads": 2,
    "use_bias": False,
}
_MIXTURE_DEFAULTS = {
    **{key: value for key, value in _DEFAULTS.items() if key != "head_dim"},
    "num_key_value_heads": 4,
    "moe_intermediate_size": 1536,
    "moe_k": 6,
    "moe_num_experts": 64,
    "moe_num_shared_experts": 2,
    "moe_layer_start_index": 1,
    "moe_layer_end_index": -1,
    "moe_layer_interval": 1,
}
_CONVERSIONS: Conversions = {
    **JOINED_EXPERTS,
    "model.layers.{}.mlp.moe_statics.e_score_correction_bias": {
        "blk.{}.exp_probs_b.bias": (Shaped(lambda _, shape: shape[-1:]),)
    },
}


def _mixture_keys(config: JsonFile) -> dict[str, Typed]:
    last, layers = config.values.get("moe_layer_end_index"), config.count("num_hidden_layers")
    if last not in (-1, layers - 1):
        raise inexpressible(config, "ernie4_5-moe", "moe_layer_end_index", last, -1)
    width = config.count("moe_intermediate_size")
    shared, first = config.whole("moe_num_shared_experts"), config.whole("moe_layer_start_index")
    return {
        "expert_count": u32(config.count("moe_num_experts")),
        "expert_used_count": u32(config.count("moe_k")),
        "expert_feed_forward_length": u32(width),
        "interleave_moe_layer_step": u32(config.count("moe_layer_interval")),
        "leading_dense_block_count": u32(first),
        "expert_shared_count": u32(shared),
        **({"expert_shared_feed_forward_length": u32(width * shared)} if shared else {}),
    }


def _describe(file: ModelFile, *, mixture: bool = False) -> Decoder:
    settings = Settings(file)
    attends = attention(settings)
    inner = None
    if mixture:
        inner = experts(settings, gating="softmax", renormalized=True, selection_bias="exp_probs_b")
    rotary = settings.rotary(attends.width, interleaved=True)
    return decoder_of(settings, usual_layers(settings, attends, inner), rotary)


def _describe_mixture(file: ModelFile) -> Decoder:
    return _describe(file, mixture=True)


register(
    Architecture(
        "ernie4_5", checkpoints={"ernie4_5": CheckpointRules(_DEFAULTS, WHOLE_HEADS)}, describe=_describe
    )
)
register(
    Architecture(
        "ernie4_5-moe",
        checkpoints={
            "ernie4_5_moe": CheckpointRules(
                _MIXTURE_DEFAULTS,
                WHOLE_HEADS,
                _mixture_keys,
                conversions=_CONVERSIONS,
                left_out=("model.mtp_",),
            )
        },
        describe=_describe_mixture,
    )
)
