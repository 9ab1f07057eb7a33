"""How each key of config.json is treated, by family; tests check the readers against this table.

A key is honoured (it changes transformers' logits and the graph's alike), honoured up to a number of tokens,
refused, or has no effect on the values computed here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WINDOW = 20
#: Half of a head's rotated dimensions; `tiny_checkpoints.SHAPE` has heads of 64.
PAIRS = 32
_SHORT, _LONG = np.linspace(1, 2, PAIRS).tolist(), np.linspace(2, 9, PAIRS).tolist()
_PHI3_SHORT = np.linspace(1, 2, PAIRS // 2).tolist()
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 100}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_LONGROPE = {"rope_type": "longrope", "short_factor": _SHORT, "long_factor": _LONG, "factor": 4.0}

#: Settings in `rope_scaling`; each value changes transformers' logits and the graph's alike.
ROPE_SCALING: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "type": {"type": "linear", "factor": 4.0},
    "yarn": YARN,
    "yarn original_max_position_embeddings": {"rope_type": "yarn", "factor": 4.0},
    "yarn factor": YARN | {"factor": 2.0},
    "yarn attention_factor": YARN | {"attention_factor": 1.5},
    "yarn beta_fast": YARN | {"beta_fast": 4.0},
    "yarn beta_slow": YARN | {"beta_slow": 0.25},
    "yarn mscale": YARN | {"mscale": 1.0, "mscale_all_dim": 0.5},
    "yarn mscale_all_dim": YARN | {"mscale": 0.5, "mscale_all_dim": 2.0},
    "yarn truncate": YARN | {"truncate": False},
    "yarn truncate and mscale": YARN | {"truncate": False, "mscale": 2.0, "mscale_all_dim": 0.5},
    "yarn truncate and betas": YARN | {"truncate": False, "beta_fast": 4.0, "beta_slow": 0.5},
    "llama3": LLAMA3,
    "llama3 low_freq_factor": LLAMA3 | {"low_freq_factor": 0.5},
    "llama3 high_freq_factor": LLAMA3 | {"high_freq_factor": 2.0},
    "longrope": _LONGROPE,
    "longrope attention_factor": _LONGROPE | {"attention_factor": 1.25},
}
#: Keys that transformers reads in `rope_scaling`; the cases above have all of them.
ROPE_SETTINGS = {
    "rope_type",
    "type",
    "factor",
    "attention_factor",
    "original_max_position_embeddings",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "low_freq_factor",
    "high_freq_factor",
    "short_factor",
    "long_factor",
}

_PHI3_LONG = {
    "rope_scaling": {
        "type": "longrope",
        "short_factor": _PHI3_SHORT,
        "long_factor": [9.0] * len(_PHI3_SHORT),
    },
    "original_max_position_embeddings": 64,
}
_EVERY: dict[str, list[dict[str, Any]]] = {
    "rms_norm_eps": [{"rms_norm_eps": 0.3}],
    "rope_theta": [{"rope_theta": 100.0}],
    "max_position_embeddings": [
        {"max_position_embeddings": 64, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    ],
}
_SCALED = {"rope_scaling": [{"rope_scaling": settings} for settings in ROPE_SCALING.values()]}
_SCALED_ONCE = {
    "rope_scaling": [{"rope_scaling": ROPE_SCALING[name]} for name in ("yarn truncate and mscale", "llama3")]
}
_LONGROPE_CONTEXT = {
    "original_max_position_embeddings": [{"original_max_position_embeddings": 64, "rope_scaling": _LONGROPE}]
}
_WINDOWED, _FULL = "sliding_attention", "full_attention"
_LAYER_TYPES = [{"layer_types": [_FULL, _WINDOWED, _WINDOWED]}, {"layer_types": [_FULL] * 3}]

#: Settings of each family's saved model, before a key is changed.
BASES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {},
    "smollm3": {"num_hidden_layers": 4, "tie_word_embeddings": True},
    "phi3": {"pad_token_id": 0, "partial_rotary_factor": 0.5},
    "gemma": {},
    "gemma2": {"num_hidden_layers": 3, "sliding_window": WINDOW, "query_pre_attn_scalar": 64},
    "gemma3_text": {
        "num_hidden_layers": 3,
        "sliding_window": WINDOW,
        "query_pre_attn_scalar": 64,
        "layer_types": [_WINDOWED, _FULL, _WINDOWED],
    },
}

#: model_type → key → changes of the configuration, each of which changes the logits, also the graph's.
HONOURED: dict[str, dict[str, list[dict[str, Any]]]] = {
    "llama": {
        **_EVERY,
        **_SCALED_ONCE,
        **_LONGROPE_CONTEXT,
        "tie_word_embeddings": [{"tie_word_embeddings": True}],
    },
    "mistral": {**_EVERY, **_SCALED_ONCE, **_LONGROPE_CONTEXT},
    "qwen2": {**_EVERY, **_SCALED_ONCE, **_LONGROPE_CONTEXT},
    "qwen3": {**_EVERY, **_SCALED, **_LONGROPE_CONTEXT},
    "smollm3": {**_EVERY, **_SCALED_ONCE, **_LONGROPE_CONTEXT},
    "phi3": {
        "rms_norm_eps": _EVERY["rms_norm_eps"],
        "rope_theta": _EVERY["rope_theta"],
        "rope_scaling": [_PHI3_LONG],
        "original_max_position_embeddings": [_PHI3_LONG | {"original_max_position_embeddings": 100}],
        "max_position_embeddings": [_PHI3_LONG | {"max_position_embeddings": 1024}],
        "partial_rotary_factor": [{"partial_rotary_factor": 0.75}],
        "sliding_window": [{"sliding_window": WINDOW}],
    },
    "gemma": {**_EVERY, **_SCALED_ONCE, **_LONGROPE_CONTEXT},
    "gemma2": {
        **_EVERY,
        **_SCALED_ONCE,
        **_LONGROPE_CONTEXT,
        "sliding_window": [{"sliding_window": 5}],
        "layer_types": _LAYER_TYPES,
        "attn_logit_softcapping": [{"attn_logit_softcapping": 0.5}],
        "final_logit_softcapping": [{"final_logit_softcapping": 0.5}],
    },
    "gemma3_text": {
        **_EVERY,
        **_SCALED_ONCE,
        **_LONGROPE_CONTEXT,
        "sliding_window": [{"sliding_window": 5}],
        "layer_types": _LAYER_TYPES,
        "sliding_window_pattern": [{"sliding_window_pattern": 3, "layer_types": None}],
        "rope_local_base_freq": [{"rope_local_base_freq": 100.0}],
        "final_logit_softcapping": [{"final_logit_softcapping": 0.5}],
    },
}
#: model_type → key → (changes, number of tokens up to which they have no effect).
BOUNDED: dict[str, dict[str, list[tuple[dict[str, Any], int]]]] = {
    family: {
        "rope_scaling": [
            (
                {"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}, "max_position_embeddings": 32},
                32,
            )
        ]
    }
    for family in BASES
    if family != "phi3"
}
BOUNDED["mistral"]["sliding_window"] = [({"sliding_window": WINDOW}, WINDOW)]
_USED = {"use_sliding_window": True, "sliding_window": WINDOW}
for _family in ("qwen2", "qwen3"):
    BOUNDED[_family] |= {
        key: [({**_USED, "max_window_layers": 1, "layer_types": None}, WINDOW)]
        for key in ("use_sliding_window", "sliding_window", "max_window_layers")
    }
    BOUNDED[_family]["layer_types"] = [({**_USED, "layer_types": [_FULL, _WINDOWED]}, WINDOW)]
BOUNDED["smollm3"] |= {
    key: [({**_USED, "layer_types": None}, WINDOW)] for key in ("use_sliding_window", "sliding_window")
}
BOUNDED["smollm3"]["layer_types"] = [({**_USED, "layer_types": [_WINDOWED] + [_FULL] * 3}, WINDOW)]

_ATTENTION = {"is_causal": [False], "add_cross_attention": [True], "pruned_heads": [{"0": [1]}]}
_SILU = {**_ATTENTION, "partial_rotary_factor": [0.5], "hidden_act": ["gelu"]}
_GEMMA = {**_ATTENTION, "partial_rotary_factor": [0.5], "attention_bias": [True]}
#: model_type → key → values that are refused with an error that names the key.
REFUSED: dict[str, dict[str, list[Any]]] = {
    "llama": {**_SILU, "attention_bias": [False], "mlp_bias": [False], "quantization_config": [{"bits": 4}]},
    "mistral": {**_SILU, "attention_bias": [True], "tie_word_embeddings": ["yes"]},
    "qwen2": {**_SILU, "tie_word_embeddings": ["yes"]},
    "qwen3": {**_SILU, "attention_bias": [True], "tie_word_embeddings": ["yes"]},
    "smollm3": {
        **_SILU,
        "attention_bias": [True],
        "mlp_bias": [True],
        "no_rope_layers": [[1, 1, 0, 1], [1, 1, 1, 1]],
        "no_rope_layer_interval": [2],
        "tie_word_embeddings": ["yes"],
    },
    "phi3": {**_ATTENTION, "hidden_act": ["gelu"], "tie_word_embeddings": ["yes"]},
    "gemma": {**_GEMMA, "hidden_act": ["gelu", "silu"], "tie_word_embeddings": ["yes"]},
    "gemma2": {
        **_GEMMA,
        "hidden_activation": ["gelu", "silu"],
        "query_pre_attn_scalar": [32, 256],
        "tie_word_embeddings": ["yes"],
    },
    "gemma3_text": {
        **_GEMMA,
        "hidden_activation": ["gelu", "silu"],
        "query_pre_attn_scalar": [32, 256],
        "attn_logit_softcapping": [50.0],
        "use_bidirectional_attention": [True],
        "tie_word_embeddings": ["yes"],
    },
}
#: Sizes; a value that does not match the tensors is refused.
SIZES = {
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
}
#: Keys without effect on the computed values, with unusual values.
IRRELEVANT: dict[str, Any] = {
    "attention_dropout": 0.5,
    "resid_pdrop": 0.5,
    "embd_pdrop": 0.5,
    "initializer_range": 1.0,
    "use_cache": False,
    "pretraining_tp": 2,
    "output_hidden_states": True,
    "output_attentions": True,
    "torchscript": True,
    "dtype": "float32",
    "chunk_size_feed_forward": 4,
    "is_encoder_decoder": False,
    "is_decoder": True,
    "cross_attention_hidden_size": 7,
    "tie_encoder_decoder": True,
    "architectures": ["Nothing"],
    "finetuning_task": "x",
    "id2label": {"0": "a"},
    "label2id": {"a": 0},
    "num_labels": 1,
    "task_specific_params": {"a": 1},
    "problem_type": "regression",
    "tokenizer_class": "X",
    "prefix": "x",
    "sep_token_id": 3,
    "decoder_start_token_id": 3,
    # Tokens that a tokenizer adds or generation stops at; the vocabulary reader handles them.
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "return_dict": True,
}
#: The same for families, with keys that have an effect in other families.
IRRELEVANT_IN: dict[str, dict[str, Any]] = {"gemma": {"hidden_activation": "silu"}}
