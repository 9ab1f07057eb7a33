"""What llama.cpp's converter does to tensors of several families, undone in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.models.model_file import ModelFile

Values = npt.NDArray[np.float32]
#: GGUF role → parameters by their names in the layer.
Undo = Callable[[Values], Mapping[str, Values]]

ATTENTION = {
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_norm.weight": "input_layernorm.weight",
}
DENSE = {f"ffn_{role}.weight": f"mlp.{role}_proj.weight" for role in ("gate", "up", "down")}
ENDS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def renamed(name: str) -> Undo:
    return lambda values: {name: values}


def less_one(name: str) -> Undo:
    return lambda values: {name: values - 1}


def apart(pattern: str) -> Undo:
    return lambda values: {pattern.format(number): matrix for number, matrix in enumerate(values)}


def rows_of_heads(name: str, heads: int) -> Undo:
    """Undo the rearrangement for rotations of neighbouring dimensions."""

    def undo(values: Values) -> Mapping[str, Values]:
        return {name: values.reshape(heads, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)}

    return undo


def grouped(values: Values, keys: int, heads: int, before: int = 0) -> Values:
    """Put the value heads of a key head side by side; the first rows stay."""
    tiled = values[before:].reshape(heads // keys, keys, -1, *values.shape[1:])
    return np.concatenate([values[:before], tiled.swapaxes(0, 1).reshape(-1, *values.shape[1:])])


def gemma4(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata.get(f"gemma4.{name}")  # noqa: E731
    windowed = [bool(slides) for slides in of("attention.sliding_window_pattern")]
    kv_heads = np.broadcast_to(of("attention.head_count_kv"), len(windowed)).tolist()
    inner = np.broadcast_to(of("feed_forward_length"), len(windowed)).tolist()
    config = {
        "model_type": "gemma4_text",
        "head_dim": of("attention.key_length_swa"),
        "global_head_dim": of("attention.key_length"),
        "num_key_value_heads": kv_heads[windowed.index(True)],
        "num_global_key_value_heads": kv_heads[windowed.index(False)],
        "attention_k_eq_v": "blk.1.attn_v.weight" not in file.tensors,
        "intermediate_size": inner[0],
        "use_double_wide_mlp": inner[-1] != inner[0],
        "layer_types": ["sliding_attention" if slides else "full_attention" for slides in windowed],
        "sliding_window": of("attention.sliding_window"),
        "num_kv_shared_layers": of("attention.shared_kv_layers"),
        "hidden_size_per_layer_input": of("embedding_length_per_layer_input"),
        "final_logit_softcapping": of("final_logit_softcapping") or None,
        "enable_moe_block": of("expert_count") is not None,
        "top_k_experts": of("expert_used_count"),
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": of("rope.freq_base_swa")},
            "full_attention": {
                "rope_type": "proportional",
                "partial_rotary_factor": 0.25,
                "rope_theta": of("rope.freq_base"),
            },
        },
    }
    norms = {
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
        "post_ffw_norm_1": "post_feedforward_layernorm_1",
        "post_ffw_norm_2": "post_feedforward_layernorm_2",
        "pre_ffw_norm_2": "pre_feedforward_layernorm_2",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "inp_gate": "per_layer_input_gate",
        "proj": "per_layer_projection",
        "post_norm": "post_per_layer_input_norm",
        "per_layer_token_embd": "model.embed_tokens_per_layer",
        "per_layer_model_proj": "model.per_layer_model_projection",
        "per_layer_proj_norm": "model.per_layer_projection_norm",
        "ffn_gate_inp": "router.proj",
    }
    undo = {
        **{role: renamed(name) for role, name in (ATTENTION | DENSE).items()},
        **{f"{role}.weight": renamed(f"{name}.weight") for role, name in norms.items()},
        "layer_output_scale.weight": renamed("layer_scalar"),
        "ffn_gate_inp.scale": renamed("router.scale"),
        "ffn_down_exps.scale": renamed("router.per_expert_scale"),
        "ffn_gate_up_exps.weight": renamed("experts.gate_up_proj"),
        "ffn_down_exps.weight": renamed("experts.down_proj"),
        "rope_freqs.weight": lambda _: {},
    }
    return config, undo


def nemotron_h(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata.get(f"{file.architecture}.{name}")  # noqa: E731
    mixture = file.architecture.endswith("moe")
    inner, kv_heads = of("feed_forward_length"), of("attention.head_count_kv")
    pattern = "".join(
        ("E" if mixture else "-") if width else "*" if heads else "M"
        for width, heads in zip(inner, kv_heads, strict=True)
    )
    config = {
        "model_type": "nemotron_h",
        "hybrid_override_pattern": pattern,
        "num_key_value_heads": max(kv_heads),
        "head_dim": of("attention.key_length"),
        "intermediate_size": max(inner),
        "layer_norm_epsilon": of("attention.layer_norm_epsilon"),
        "mlp_hidden_act": "relu2",
        "mamba_hidden_act": "silu",
        "mamba_num_heads": of("ssm.time_step_rank"),
        "mamba_head_dim": of("ssm.inner_size") // of("ssm.time_step_rank"),
        "conv_kernel": of("ssm.conv_kernel"),
        "ssm_state_size": of("ssm.state_size"),
        "n_groups": of("ssm.group_count"),
        "time_step_limit": [0.0, float("inf")],
        "max_position_embeddings": 128,
    }
    if mixture:
        config |= {
            "n_routed_experts": of("expert_count"),
            "n_shared_experts": of("expert_shared_count"),
            "moe_shared_expert_intermediate_size": of("expert_shared_feed_forward_length"),
            "n_group": of("expert_group_count"),
            "topk_group": of("expert_group_used_count"),
            "norm_topk_prob": bool(of("expert_weights_norm")),
            "routed_scaling_factor": of("expert_weights_scale"),
            "moe_latent_size": of("moe_latent_size"),
        }
    undo = {
        "attn_norm.weight": renamed("norm.weight"),
        **{f"attn_{letter}.weight": renamed(f"mixer.{letter}_proj.weight") for letter in "qkv"},
        "attn_output.weight": renamed("mixer.o_proj.weight"),
        "ssm_in.weight": renamed("mixer.in_proj.weight"),
        "ssm_out.weight": renamed("mixer.out_proj.weight"),
        "ssm_conv1d.weight": lambda v: {"mixer.conv1d.weight": v[:, None]},
        "ssm_conv1d.bias": renamed("mixer.conv1d.bias"),
        "ssm_a": lambda v: {"mixer.A_log": np.log(-v.reshape(-1))},
        "ssm_d": lambda v: {"mixer.D": v.reshape(-1)},
        "ssm_dt.bias": renamed("mixer.dt_bias"),
        "ssm_norm.weight": lambda v: {"mixer.norm.weight": v.reshape(-1)},
        "ffn_gate_inp.weight": renamed("mixer.gate.weight"),
        "exp_probs_b.bias": renamed("mixer.gate.e_score_correction_bias"),
        "ffn_latent_down.weight": renamed("mixer.fc1_latent_proj.weight"),
        "ffn_latent_up.weight": renamed("mixer.fc2_latent_proj.weight"),
    }
    for role in ("up", "down"):
        undo |= {
            f"ffn_{role}.weight": renamed(f"mixer.{role}_proj.weight"),
            f"ffn_{role}_exps.weight": apart(f"mixer.experts.{{}}.{role}_proj.weight"),
            f"ffn_{role}_shexp.weight": renamed(f"mixer.shared_experts.{role}_proj.weight"),
        }
    return config, undo


def as_backbone(name: str) -> str:
    """Return Nemotron-H's name of a parameter."""
    ends = {
        "model.embed_tokens.weight": "backbone.embeddings.weight",
        "model.norm.weight": "backbone.norm_f.weight",
    }
    return ends.get(name, name.replace("model.layers.", "backbone.layers.", 1))
