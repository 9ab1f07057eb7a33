"""Keys of config.json in families that are described: bounded, refused, or without effect."""

from __future__ import annotations

from typing import Any

from described_decisions import FULL, LINEAR, WINDOW, WINDOWED, YARN

_DYNAMIC = {"rope_scaling": {"rope_type": "dynamic", "factor": 8.0}, "max_position_embeddings": 32}
_QWEN_WINDOW = {"use_sliding_window": True, "sliding_window": WINDOW}
#: model_type → key → (changes, number of tokens up to which they have no effect).
BOUNDED: dict[str, dict[str, list[tuple[dict[str, Any], int]]]] = {
    family: {"rope_scaling": [(_DYNAMIC, 32)]} for family in ("qwen3_moe", "glm4_moe")
}
BOUNDED["qwen3_moe"] |= {key: [(_QWEN_WINDOW, WINDOW)] for key in _QWEN_WINDOW}
BOUNDED["olmo2"] = {
    "max_position_embeddings": [({**_DYNAMIC, "rope_scaling": {"type": "dynamic", "factor": 8.0}}, 32)]
}
_LATE_WINDOW = ({"sliding_window": WINDOW, "max_window_layers": 1, "layer_types": None}, WINDOW)
BOUNDED["dots1"] = {key: [_LATE_WINDOW] for key in ("sliding_window", "max_window_layers")} | {
    "layer_types": [({"sliding_window": WINDOW, "layer_types": [FULL, WINDOWED]}, WINDOW)]
}
BOUNDED["mixtral"] = {"sliding_window": [({"sliding_window": WINDOW}, WINDOW)]}

_ATTENTION = {"is_causal": [False], "add_cross_attention": [True], "pruned_heads": [{"0": [1]}]}
_SILU = {**_ATTENTION, "hidden_act": ["gelu"], "tie_word_embeddings": ["yes"]}
_WHOLE = {**_SILU, "partial_rotary_factor": [0.5]}
_PLAIN = {**_WHOLE, "attention_bias": [True]}
_ALL_EXPERTS = {"decoder_sparse_step": [2], "mlp_only_layers": [[1]]}
_LATENT_REFUSED = {**_PLAIN, "rms_norm_eps": [1e-5]}
#: model_type → key → values that are refused with an error that names the key.
REFUSED: dict[str, dict[str, list[Any]]] = {
    "qwen3_moe": {**_PLAIN, **_ALL_EXPERTS, "norm_topk_prob": [False]},
    "mixtral": _PLAIN,
    "qwen2_moe": {**_WHOLE, **_ALL_EXPERTS, "norm_topk_prob": [True], "qkv_bias": [False]},
    "gpt_oss": {
        **_WHOLE,
        "attention_bias": [False],
        "layer_types": [[FULL, WINDOWED]],
        "swiglu_limit": [5.0],
    },
    "qwen3_next": {
        **_SILU,
        **_ALL_EXPERTS,
        "attention_bias": [True],
        "norm_topk_prob": [False],
        "rms_norm_eps": [1e-5],
        "layer_types": [[LINEAR, WINDOWED]],
    },
    "olmo2": _PLAIN,
    "olmo3": _PLAIN,
    "olmoe": {**_PLAIN, "norm_topk_prob": [True], "clip_qkv": [8.0]},
    "granite": {**_WHOLE, "attention_bias": [False], "mlp_bias": [True]},
    "granitemoe": {**_PLAIN, "position_embedding_type": ["nope"]},
    "granitemoeshared": {**_PLAIN, "position_embedding_type": ["nope"]},
    "granitemoehybrid": {
        **_PLAIN,
        "mamba_n_groups": [2],
        "mamba_conv_bias": [False],
        "mamba_proj_bias": [True],
        "mamba_d_head": [16],
        "layer_types": [["mamba", "mamba"], ["mamba", WINDOWED]],
    },
    "arcee": {**_PLAIN, "mlp_bias": [True]},
    "apertus": _PLAIN,
    "dots1": _PLAIN,
    "glm4": {**_SILU, "attention_bias": [False]},
    "glm4_moe": {**_SILU, "attention_bias": [False]},
    "exaone4": _PLAIN,
    "seed_oss": {**_WHOLE, "attention_bias": [False], "attention_out_bias": [True], "mlp_bias": [True]},
    "cohere2": _PLAIN,
    "ernie4_5": {**_WHOLE, "use_bias": [False]},
    "ernie4_5_moe": {**_WHOLE, "use_bias": [True], "moe_layer_end_index": [0]},
    "llama4_text": {
        **_PLAIN,
        "rope_scaling": [YARN],
        "use_qk_norm": [False],
        "moe_layers": [[1]],
        "no_rope_layers": [[1, 1, 1, 1]],
        "no_rope_layer_interval": [2],
        "attention_chunk_size": [16],
        "attn_temperature_tuning": [False],
        "floor_scale": [16],
        "attn_scale": [0.5],
        "layer_types": [["full_attention"] * 4],
    },
    "hunyuan_v1_dense": _PLAIN,
    "hunyuan_v1_moe": {**_PLAIN, "moe_topk": [[2, 3]]},
    "lfm2": {**_WHOLE, "conv_bias": [True], "layer_types": [["conv", WINDOWED]]},
    "deepseek_v3": {**_LATENT_REFUSED, "rope_interleave": [False]},
    "deepseek_v2": {**_LATENT_REFUSED, "topk_method": ["group_limited_greedy"], "mlp_bias": [True]},
    "gemma3n_text": {
        **{key: values for key, values in _PLAIN.items() if key != "hidden_act"},
        "hidden_activation": ["silu"],
        "altup_correct_scale": [False],
    },
    "falcon_h1": {
        **_PLAIN,
        "mamba_conv_bias": [False],
        "mamba_proj_bias": [True],
        "projectors_bias": [True],
        "mlp_bias": [True],
        "mamba_rms_norm": [True],
        "mamba_d_head": [8],
    },
}
#: Numbers that do not match the tensors are refused.
NUMBERS = {"num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"}
#: Sizes that are taken from the tensors, whatever the configuration says, and which layers the tensors belong to.
SHOWN = {
    "intermediate_size",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "shared_intermediate_size",
    "intermediate_size_mlp",
    "n_shared_experts",
    "moe_num_shared_experts",
    "moe_layer_start_index",
    "moe_layer_interval",
    "interleave_moe_layer_step",
    "use_qk_norm",
    "linear_conv_kernel_dim",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "mamba_n_heads",
    "mamba_n_groups",
    "mamba_d_state",
    "mamba_d_conv",
    "mamba_d_ssm",
    "mamba_expand",
    "mamba_d_head",
    "conv_L_cache",
    "block_multiple_of",
    "block_ffn_dim_multiplier",
    "block_auto_adjust_ff_dim",
    "kv_lora_rank",
    "q_lora_rank",
    "qk_rope_head_dim",
    "qk_nope_head_dim",
    "v_head_dim",
    "first_k_dense_replace",
    "full_attn_idxs",
    "hidden_size_per_layer_input",
    "vocab_size_per_layer_input",
    "laurel_rank",
    "altup_num_inputs",
}
_LOSSES = {"output_router_logits": True, "router_aux_loss_coef": 0.5, "router_jitter_noise": 0.5}
#: Keys without effect on the computed values, with unusual values.
IRRELEVANT_IN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("qwen3_moe", "mixtral", "gpt_oss", "qwen3_next", "olmoe", "llama4_text"), _LOSSES),
    **dict.fromkeys(("granitemoe", "granitemoeshared"), _LOSSES | {"output_router_logits": False}),
    "granitemoehybrid": {
        **_LOSSES,
        "output_router_logits": False,
        "mamba_chunk_size": 256,
        "layers_block_type": ["mamba", "attention"],
    },
    "qwen2_moe": _LOSSES | {"use_sliding_window": False, "sliding_window": 7, "max_window_layers": 1},
    "ernie4_5_moe": _LOSSES | {"moe_norm_min": 1e-12},
    "seed_oss": {"residual_dropout": 0.5},
    "cohere2": {"use_parallel_residual": False},
    "hunyuan_v1_dense": {"eod_token_id": 1},
    "hunyuan_v1_moe": {"eod_token_id": 1, "sep_token_id": 1},
    "deepseek_v3": {"num_key_value_heads": 4, "head_dim": 8, "qk_head_dim": 24},
    "deepseek_v2": {
        "num_key_value_heads": 4,
        "head_dim": 8,
        "aux_loss_alpha": 0.5,
        "seq_aux": False,
        "n_group": None,
        "topk_group": None,
    },
    "gemma3n_text": {"use_cache": True},  # transformers shares keys and values by its cache
    "falcon_h1": {"num_logits_to_keep": 0, "mamba_chunk_size": 8, "mamba_norm_before_gate": True},
}
