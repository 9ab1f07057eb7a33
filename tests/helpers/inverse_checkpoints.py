"""Checkpoints written from GGUF files, for families that the installed transformers does not have.

Each rule undoes in numpy what llama.cpp's converter does to a tensor; nothing comes from the code under test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from inverse_rules import (
    ATTENTION,
    DENSE,
    ENDS,
    Undo,
    Values,
    apart,
    as_backbone,
    gemma4,
    grouped,
    less_one,
    nemotron_h,
    renamed,
    rows_of_heads,
)
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.model_file import ModelFile


def _qwen35(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    prefix = file.architecture
    of = lambda name: file.metadata[f"{prefix}.{name}"]  # noqa: E731
    keys, heads, width = of("ssm.group_count"), of("ssm.time_step_rank"), of("ssm.state_size")
    before = 2 * keys * width
    text = {
        "model_type": "qwen3_5_text" if prefix == "qwen35" else "qwen3_5_moe_text",
        "partial_rotary_factor": of("rope.dimension_count") / of("attention.key_length"),
        "linear_conv_kernel_dim": of("ssm.conv_kernel"),
        "linear_key_head_dim": width,
        "linear_value_head_dim": of("ssm.inner_size") // heads,
        "linear_num_key_heads": keys,
        "linear_num_value_heads": heads,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": of("rope.freq_base"),
            "mrope_section": [int(size) for size in of("rope.dimension_sections")[:3]],
            "partial_rotary_factor": of("rope.dimension_count") / of("attention.key_length"),
        },
    }
    linear = "linear_attn"
    undo = {
        **{role: renamed(name) for role, name in (ATTENTION | DENSE).items()},
        "attn_norm.weight": less_one("input_layernorm.weight"),
        "post_attention_norm.weight": less_one("post_attention_layernorm.weight"),
        "attn_q_norm.weight": less_one("self_attn.q_norm.weight"),
        "attn_k_norm.weight": less_one("self_attn.k_norm.weight"),
        "output_norm.weight": less_one("model.norm.weight"),
        "attn_qkv.weight": lambda v: {f"{linear}.in_proj_qkv.weight": grouped(v, keys, heads, before)},
        "attn_gate.weight": lambda v: {f"{linear}.in_proj_z.weight": grouped(v, keys, heads)},
        "ssm_beta.weight": lambda v: {f"{linear}.in_proj_b.weight": grouped(v, keys, heads)},
        "ssm_alpha.weight": lambda v: {f"{linear}.in_proj_a.weight": grouped(v, keys, heads)},
        "ssm_a": lambda v: {f"{linear}.A_log": np.log(-grouped(v, keys, heads))},
        "ssm_dt.bias": lambda v: {f"{linear}.dt_bias": grouped(v, keys, heads)},
        "ssm_conv1d.weight": lambda v: {f"{linear}.conv1d.weight": grouped(v, keys, heads, before)[:, None]},
        "ssm_norm.weight": renamed(f"{linear}.norm.weight"),
        "ssm_out.weight": lambda v: {f"{linear}.out_proj.weight": grouped(v.T, keys, heads).T},
        "ffn_gate_inp.weight": renamed("mlp.gate.weight"),
        "ffn_gate_inp_shexp.weight": lambda v: {"mlp.shared_expert_gate.weight": v.reshape(1, -1)},
        "ffn_down_exps.weight": renamed("mlp.experts.down_proj"),
        "ffn_gate_exps.weight": renamed("gates"),
        "ffn_up_exps.weight": renamed("ups"),
        **{
            f"ffn_{r}_shexp.weight": renamed(f"mlp.shared_expert.{r}_proj.weight")
            for r in ("gate", "up", "down")
        },
    }
    return text, undo


def _minimax_m2(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata[f"minimax-m2.{name}"]  # noqa: E731
    experts = "block_sparse_moe.experts.{}"
    undo = {
        **{role: renamed(name) for role, name in ATTENTION.items()},
        "attn_q_norm.weight": renamed("self_attn.q_norm.weight"),
        "attn_k_norm.weight": renamed("self_attn.k_norm.weight"),
        "ffn_norm.weight": renamed("post_attention_layernorm.weight"),
        "ffn_gate_inp.weight": renamed("block_sparse_moe.gate.weight"),
        "exp_probs_b.bias": renamed("block_sparse_moe.e_score_correction_bias"),
        "ffn_gate_exps.weight": apart(f"{experts}.w1.weight"),
        "ffn_down_exps.weight": apart(f"{experts}.w2.weight"),
        "ffn_up_exps.weight": apart(f"{experts}.w3.weight"),
    }
    return {"model_type": "minimax_m2", "rotary_dim": of("rope.dimension_count")}, undo


def _ministral3(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata[f"mistral3.{name}"]  # noqa: E731
    undo = {
        **{role: renamed(name) for role, name in (ATTENTION | DENSE).items()},
        "attn_q.weight": rows_of_heads("self_attn.q_proj.weight", of("attention.head_count")),
        "attn_k.weight": rows_of_heads("self_attn.k_proj.weight", of("attention.head_count_kv")),
        "ffn_norm.weight": renamed("post_attention_layernorm.weight"),
    }
    scaling = {
        "rope_type": "yarn",
        "rope_theta": of("rope.freq_base"),
        "factor": of("rope.scaling.factor"),
        "original_max_position_embeddings": of("rope.scaling.original_context_length"),
        "beta_fast": of("rope.scaling.yarn_beta_fast"),
        "beta_slow": of("rope.scaling.yarn_beta_slow"),
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "llama_4_scaling_beta": of("attention.temperature_scale"),
    }
    return {"model_type": "ministral3", "rope_parameters": scaling}, undo


def _lfm2_moe(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata[f"lfm2moe.{name}"]  # noqa: E731
    kv_heads = [int(count) for count in of("attention.head_count_kv")]
    letters = {"gate": "w1", "down": "w2", "up": "w3"}
    undo = {
        **{role: renamed(name) for role, name in ATTENTION.items()},
        "attn_norm.weight": renamed("operator_norm.weight"),
        "attn_output.weight": renamed("self_attn.out_proj.weight"),
        "attn_q_norm.weight": renamed("self_attn.q_layernorm.weight"),
        "attn_k_norm.weight": renamed("self_attn.k_layernorm.weight"),
        "ffn_norm.weight": renamed("ffn_norm.weight"),
        "token_embd_norm.weight": renamed("model.embedding_norm.weight"),
        "shortconv.conv.weight": lambda v: {"conv.conv.weight": v[:, None]},
        "shortconv.in_proj.weight": renamed("conv.in_proj.weight"),
        "shortconv.out_proj.weight": renamed("conv.out_proj.weight"),
        "ffn_gate_inp.weight": renamed("feed_forward.gate.weight"),
        "exp_probs_b.bias": renamed("feed_forward.expert_bias"),
        **{f"ffn_{r}.weight": renamed(f"feed_forward.{w}.weight") for r, w in letters.items()},
        **{
            f"ffn_{r}_exps.weight": apart(f"feed_forward.experts.{{}}.{w}.weight") for r, w in letters.items()
        },
    }
    config = {
        "model_type": "lfm2_moe",
        "norm_eps": of("attention.layer_norm_rms_epsilon"),
        "conv_L_cache": of("shortconv.l_cache"),
        "num_key_value_heads": max(kv_heads),
        "layer_types": ["full_attention" if count else "conv" for count in kv_heads],
        "num_dense_layers": of("leading_dense_block_count"),
        "head_dim": None,
    }
    return config, undo


def _qwen3vl(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    prefix = file.architecture
    of = lambda name: file.metadata[f"{prefix}.{name}"]  # noqa: E731
    undo = {
        **{role: renamed(name) for role, name in (ATTENTION | DENSE).items()},
        "attn_q_norm.weight": renamed("self_attn.q_norm.weight"),
        "attn_k_norm.weight": renamed("self_attn.k_norm.weight"),
        "ffn_norm.weight": renamed("post_attention_layernorm.weight"),
        "ffn_gate_inp.weight": renamed("mlp.gate.weight"),
        "ffn_down_exps.weight": lambda v: {"mlp.experts.down_proj": v.swapaxes(1, 2)},
        "ffn_gate_exps.weight": renamed("gates"),
        "ffn_up_exps.weight": renamed("ups"),
    }
    config = {
        "model_type": "qwen3_vl_text" if prefix == "qwen3vl" else "qwen3_vl_moe_text",
        "rope_scaling": {
            "rope_type": "default",
            "mrope_interleaved": True,
            "mrope_section": [int(size) for size in of("rope.dimension_sections")[:3]],
        },
    }
    return config, undo


INVERSES = {
    "gemma4": gemma4,
    "qwen35": _qwen35,
    "qwen35moe": _qwen35,
    "minimax-m2": _minimax_m2,
    "mistral3": _ministral3,
    "lfm2moe": _lfm2_moe,
    "nemotron_h": nemotron_h,
    "nemotron_h_moe": nemotron_h,
    "qwen3vl": _qwen3vl,
    "qwen3vlmoe": _qwen3vl,
}
_KEYS = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "max_position_embeddings": "context_length",
    "intermediate_size": "feed_forward_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "head_dim": "attention.key_length",
    "num_experts": "expert_count",
    "num_local_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
}


def write_inverse(path: Path, folder: Path, *, nested: bool = False) -> Path:
    """Write the checkpoint from which a converter would make the GGUF file at `path`, and return `folder`.

    Args:
        path: the file.
        folder: the new folder.
        nested: whether the text model is a part of one that sees images too.
    """
    file = open_gguf(path)
    own, undo = INVERSES[file.architecture](file)
    prefix = file.architecture
    config = {
        key: _as_written(file.metadata[f"{prefix}.{name}"])
        for key, name in _KEYS.items()
        if f"{prefix}.{name}" in file.metadata
    }
    config |= {"vocab_size": len(file.metadata["tokenizer.ggml.tokens"])} | own
    config["tie_word_embeddings"] = "output.weight" not in file.tensors
    arrays: dict[str, Values] = {}
    for name in file.tensors:
        values = np.array(file.dequantize(name))
        layer, _, role = (
            name.removeprefix("blk.").partition(".") if name.startswith("blk.") else ("", "", name)
        )
        made = undo[role](values) if role in undo else {ENDS[role]: values}
        arrays |= {f"model.layers.{layer}.{key}" if layer else key: item for key, item in made.items()}
    for name in [name for name in arrays if name.endswith(".gates")]:
        both = [arrays.pop(name), arrays.pop(name.replace("gates", "ups"))]
        joined = np.concatenate(both, axis=1)
        turned = prefix == "qwen3vlmoe"
        arrays[name.replace("gates", "mlp.experts.gate_up_proj")] = (
            joined.swapaxes(1, 2) if turned else joined
        )
    if prefix.startswith("nemotron_h"):
        arrays = {as_backbone(name): item for name, item in arrays.items()}
    if nested:
        arrays = {name.replace("model.", "model.language_model.", 1): item for name, item in arrays.items()}
        arrays |= {"model.visual.patch_embed.weight": np.zeros((2, 2), np.float32)}
        tied = config.pop("tie_word_embeddings")
        config = {
            "model_type": "outer",
            "text_config": config,
            "vision_config": {},
            "tie_word_embeddings": tied,
        }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config, default=lambda item: item.item()))
    save_file(
        {name: np.ascontiguousarray(item) for name, item in arrays.items()}, folder / "model.safetensors"
    )
    _write_tokenizer(file, folder)
    return folder


def _as_written(value: Any) -> Any:
    """Return a number as a configuration has it, which GGUF rounded to float32."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _write_tokenizer(file: ModelFile, folder: Path) -> None:
    tokens = [str(token) for token in file.metadata["tokenizer.ggml.tokens"]]
    pairs = [tuple(str(merge).split(" ")) for merge in file.metadata["tokenizer.ggml.merges"]]
    model = models.BPE({token: index for index, token in enumerate(tokens)}, pairs)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(tokens[0], special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
