"""How each key of config.json is treated in the families that are described; see `checkpoint_decisions`."""

from __future__ import annotations

from typing import Any

WINDOWED, FULL, LINEAR = "sliding_attention", "full_attention", "linear_attention"
WINDOW = 20
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_ALPHA = {"rope_type": "dynamic", "alpha": 50.0, "factor": 1.0}
_SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
_EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_LOCAL = {"num_local_experts": 6, "num_experts_per_tok": 2}
_ROUTED = {"n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 24}
_GRANITE = {
    "attention_multiplier": 0.3,
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.4,
    "logits_scaling": 2.0,
}
_DELTA = {
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
_LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 24,
    "q_lora_rank": 40,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 12,
    "head_dim": 8,
    "rms_norm_eps": 1e-6,
    "first_k_dense_replace": 1,
    **_ROUTED,
}
_MAMBA = {"mamba_n_heads": 4, "mamba_d_state": 16}
_FALCON = {
    "lm_head_multiplier": 0.7,
    "embedding_multiplier": 1.5,
    "mlp_multipliers": [0.8, 1.2],
    "key_multiplier": 0.6,
    "attention_out_multiplier": 1.3,
    "attention_in_multiplier": 0.9,
    "ssm_multipliers": [0.7, 0.9, 1.1, 1.2, 0.8],
    "ssm_in_multiplier": 1.1,
    "ssm_out_multiplier": 0.6,
}
_MIXED = {"layer_types": [WINDOWED, FULL, WINDOWED], "sliding_window": WINDOW, "num_hidden_layers": 3}

#: Settings of each family's saved model, before a key is changed.
BASES: dict[str, dict[str, Any]] = {
    family: _SMALL | settings
    for family, settings in {
        "qwen3_moe": {**_EXPERTS, "norm_topk_prob": True},
        "mixtral": _LOCAL,
        "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 40},
        "gpt_oss": {**_LOCAL, "sliding_window": WINDOW, "rope_scaling": {**YARN, "truncate": False}},
        "qwen3_next": {
            **_EXPERTS,
            **_DELTA,
            "shared_expert_intermediate_size": 40,
            "rms_norm_eps": 1e-6,
            "layer_types": [LINEAR, FULL],
        },
        "olmo2": {},
        "olmo3": _MIXED,
        "olmoe": _EXPERTS,
        "granite": {**_GRANITE, "attention_bias": True},
        "granitemoe": {**_GRANITE, **_LOCAL},
        "granitemoeshared": {**_GRANITE, **_LOCAL, "shared_intermediate_size": 40},
        "granitemoehybrid": {
            **_GRANITE,
            **_LOCAL,
            **_MAMBA,
            "shared_intermediate_size": 40,
            "layer_types": ["mamba", "attention"],
        },
        "arcee": {},
        "apertus": {},
        "dots1": {
            **_ROUTED,
            "n_shared_experts": 2,
            "first_k_dense_replace": 1,
            "n_group": 2,
            "topk_group": 1,
        },
        "glm4": {"pad_token_id": 0},
        "glm4_moe": {**_ROUTED, "attention_bias": True, "use_qk_norm": True, "n_group": 2, "topk_group": 1},
        "exaone4": _MIXED,
        "seed_oss": {},
        "cohere2": {**_MIXED, "logit_scale": 0.5, "layer_norm_eps": 1e-3},
        "ernie4_5": {"use_bias": True},
        "ernie4_5_moe": {
            "moe_num_experts": 8,
            "moe_k": 2,
            "moe_intermediate_size": 24,
            "moe_num_shared_experts": 1,
        },
        "llama4_text": {**_LOCAL, "intermediate_size_mlp": 56, "num_hidden_layers": 4},
        "hunyuan_v1_dense": {},
        "hunyuan_v1_moe": {"num_experts": 6, "moe_topk": 2},
        "lfm2": {
            "norm_eps": 1e-3,
            "layer_types": ["conv", "full_attention"],
            "block_multiple_of": 8,
        },
        "deepseek_v3": {**_LATENT, "n_group": 2, "topk_group": 1},
        "deepseek_v2": _LATENT,
        "gemma3n_text": {
            "num_hidden_layers": 4,
            "layer_types": [WINDOWED, FULL, WINDOWED, FULL],
            "sliding_window": WINDOW,
            "vocab_size_per_layer_input": 262,
            "hidden_size_per_layer_input": 8,
            "laurel_rank": 8,
            "num_kv_shared_layers": 1,
            "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0],
        },
        "falcon_h1": {**_MAMBA, **_FALCON, "mamba_d_ssm": 64, "mamba_d_head": 16},
    }.items()
}

_EVERY: dict[str, list[dict[str, Any]]] = {
    "rms_norm_eps": [{"rms_norm_eps": 0.3}],
    "rope_theta": [{"rope_theta": 100.0}],
    "rope_scaling": [{"rope_scaling": YARN}],
    "max_position_embeddings": [
        {"max_position_embeddings": 16, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}
    ],
}
_OTHER_TYPES = [{"layer_types": [FULL, WINDOWED, WINDOWED]}]
_USED = {"num_experts_per_tok": [{"num_experts_per_tok": 1}]}


def _without(*keys: str, **more: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {key: cases for key, cases in _EVERY.items() if key not in keys} | more


_SCALED_SCORES = {"mscale": 1.0, "mscale_all_dim": 1.0}
_SCALES = {key: [{key: 0.9}] for key in _GRANITE}
_DEEPSEEK = {
    **_without("rms_norm_eps", "rope_scaling", "max_position_embeddings"),
    **_USED,
    "routed_scaling_factor": [{"routed_scaling_factor": 0.5}],
    "norm_topk_prob": [{"norm_topk_prob": False}],
}
#: model_type → key → changes of the configuration, each of which changes the logits, also the graph's.
HONOURED: dict[str, dict[str, list[dict[str, Any]]]] = {
    "qwen3_moe": _EVERY | _USED,
    "mixtral": _EVERY | _USED,
    "qwen2_moe": _EVERY | _USED,
    "gpt_oss": {
        **_EVERY,
        **_USED,
        "rope_scaling": [{"rope_scaling": {"rope_type": "linear", "factor": 4.0}}],
        "max_position_embeddings": [
            {"max_position_embeddings": 8, "rope_scaling": {"rope_type": "yarn", "factor": 9.0}}
        ],
        "sliding_window": [{"sliding_window": 5}],
    },
    "qwen3_next": {
        **_without("rms_norm_eps"),
        **_USED,
        "partial_rotary_factor": [{"partial_rotary_factor": 0.5}],
    },
    "olmo2": _EVERY
    | {
        "rope_scaling": [{"rope_scaling": {"type": "linear", "factor": 4.0}}],
        "max_position_embeddings": [],
    },
    "olmo3": _EVERY | {"sliding_window": [{"sliding_window": 5}], "layer_types": _OTHER_TYPES},
    "olmoe": _EVERY | _USED,
    "granite": _EVERY | _SCALES,
    "granitemoe": _EVERY | _SCALES | _USED,
    "granitemoeshared": _EVERY | _SCALES | _USED,
    "granitemoehybrid": {
        **_SCALES,
        **_USED,
        "rms_norm_eps": _EVERY["rms_norm_eps"],
        "position_embedding_type": [{"position_embedding_type": "rope"}],
        "rope_theta": [{"position_embedding_type": "rope", "rope_theta": 100.0}],
        "rope_scaling": [{"position_embedding_type": "rope", "rope_scaling": YARN}],
        "max_position_embeddings": [
            {"position_embedding_type": "rope"} | _EVERY["max_position_embeddings"][0]
        ],
    },
    "arcee": _EVERY,
    "apertus": _EVERY,
    "dots1": {
        **_EVERY,
        **_USED,
        "routed_scaling_factor": [{"routed_scaling_factor": 0.5}],
        "norm_topk_prob": [{"norm_topk_prob": True}],
        "n_group": [{"n_group": 4, "topk_group": 2}],
        "topk_group": [{"topk_group": 2}],
    },
    "glm4": _EVERY | {"partial_rotary_factor": [{"partial_rotary_factor": 1.0}]},
    "glm4_moe": {
        **_EVERY,
        **_USED,
        "partial_rotary_factor": [{"partial_rotary_factor": 1.0}],
        "routed_scaling_factor": [{"routed_scaling_factor": 0.5}],
        "norm_topk_prob": [{"norm_topk_prob": False}],
        "n_group": [{"n_group": 4, "topk_group": 2}],
        "topk_group": [{"topk_group": 2}],
    },
    "exaone4": {
        **_EVERY,
        "sliding_window": [{"sliding_window": 5}],
        "layer_types": _OTHER_TYPES,
        "sliding_window_pattern": [{"sliding_window_pattern": 3, "layer_types": None}],
    },
    "seed_oss": _EVERY,
    "cohere2": {
        **_without("rms_norm_eps"),
        "layer_norm_eps": [{"layer_norm_eps": 0.3}],
        "logit_scale": [{"logit_scale": 0.25}],
        "sliding_window": [{"sliding_window": 5}],
        "layer_types": _OTHER_TYPES,
    },
    "ernie4_5": _EVERY,
    "ernie4_5_moe": _EVERY | {"moe_k": [{"moe_k": 1}]},
    "llama4_text": {
        **_EVERY,
        **_USED,
        "rope_scaling": [{"rope_scaling": _LLAMA3}],
        "max_position_embeddings": [],
    },
    "hunyuan_v1_dense": {
        **_EVERY,
        "rope_scaling": [
            {"rope_scaling": YARN},
            {"rope_scaling": {"rope_type": "dynamic", "alpha": 50.0, "factor": 1.0}},
        ],
    },
    "hunyuan_v1_moe": _EVERY | {"moe_topk": [{"moe_topk": 1}, {"moe_topk": [3, 3]}]},
    "lfm2": _without("rms_norm_eps") | {"norm_eps": [{"norm_eps": 0.3}]},
    "deepseek_v3": {
        **_DEEPSEEK,
        "rope_scaling": [{"rope_scaling": YARN | _SCALED_SCORES}],
        "max_position_embeddings": [
            {
                "max_position_embeddings": 16,
                "rope_scaling": {"rope_type": "yarn", "factor": 4.0, **_SCALED_SCORES},
            }
        ],
        "n_group": [{"n_group": 4, "topk_group": 2}],
        "topk_group": [{"topk_group": 2}],
    },
    # With YaRN, transformers leaves out the scaling of scores that the model's own code has.
    "deepseek_v2": _DEEPSEEK | {"norm_topk_prob": [], "rope_scaling": [], "max_position_embeddings": []},
    "gemma3n_text": {
        **_EVERY,
        "sliding_window": [{"sliding_window": 5}],
        "layer_types": [{"layer_types": [WINDOWED, FULL, FULL, FULL]}],
        "rope_local_base_freq": [{"rope_local_base_freq": 100.0}],
        "final_logit_softcapping": [{"final_logit_softcapping": 0.5}],
        "activation_sparsity_pattern": [{"activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.9]}],
        "num_kv_shared_layers": [{"num_kv_shared_layers": 2}],
        "altup_active_idx": [{"altup_active_idx": 1}],
        "altup_coef_clip": [{"altup_coef_clip": 0.01}],
    },
    "falcon_h1": {
        **_EVERY,
        **{
            key: [{key: [1.1] * len(value) if isinstance(value, list) else 1.7}]
            for key, value in _FALCON.items()
        },
    },
}
