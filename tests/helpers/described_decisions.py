"""How each key of config.json is treated in the families that are described; see `checkpoint_decisions`."""

from __future__ import annotations

from typing import Any

_WINDOWED, _FULL, _LINEAR = "sliding_attention", "full_attention", "linear_attention"
WINDOW = 20
_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
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
_MIXED = {"layer_types": [_WINDOWED, _FULL, _WINDOWED], "sliding_window": WINDOW, "num_hidden_layers": 3}

#: Settings of each family's saved model, before a key is changed.
BASES: dict[str, dict[str, Any]] = {
    family: _SMALL | settings
    for family, settings in {
        "qwen3_moe": {**_EXPERTS, "norm_topk_prob": True},
        "mixtral": _LOCAL,
        "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 40},
        "gpt_oss": {**_LOCAL, "sliding_window": WINDOW, "rope_scaling": {**_YARN, "truncate": False}},
        "qwen3_next": {
            **_EXPERTS,
            **_DELTA,
            "shared_expert_intermediate_size": 40,
            "rms_norm_eps": 1e-6,
            "layer_types": [_LINEAR, _FULL],
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
        "glm4": {"pad_token_id": 0},
        "glm4_moe": {**_ROUTED, "attention_bias": True, "use_qk_norm": True, "n_group": 4, "topk_group": 2},
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
        "deepseek_v3": {**_LATENT, "n_group": 4, "topk_group": 2},
        "deepseek_v2": _LATENT,
        "falcon_h1": {**_MAMBA, **_FALCON, "mamba_d_ssm": 64, "mamba_d_head": 16},
    }.items()
}
