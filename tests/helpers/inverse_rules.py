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
