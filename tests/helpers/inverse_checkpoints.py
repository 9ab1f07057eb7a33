"""Checkpoints written from GGUF files, for families that the installed transformers does not have.

Each rule undoes in numpy what llama.cpp's converter does to a tensor; nothing comes from the code under test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from evaluator.models.gguf.reader import open_gguf
from evaluator.models.model_file import ModelFile

Values = npt.NDArray[np.float32]
#: GGUF role → parameters by their names in the layer.
Undo = Callable[[Values], Mapping[str, Values]]

_ATTENTION = {
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_norm.weight": "input_layernorm.weight",
}
_DENSE = {f"ffn_{role}.weight": f"mlp.{role}_proj.weight" for role in ("gate", "up", "down")}
_ENDS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def _renamed(name: str) -> Undo:
    return lambda values: {name: values}


def _less_one(name: str) -> Undo:
    return lambda values: {name: values - 1}


def _apart(pattern: str) -> Undo:
    return lambda values: {pattern.format(number): matrix for number, matrix in enumerate(values)}


def _rows_of_heads(name: str, heads: int) -> Undo:
    """Undo the rearrangement for rotations of neighbouring dimensions."""

    def undo(values: Values) -> Mapping[str, Values]:
        return {name: values.reshape(heads, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)}

    return undo


def _grouped(values: Values, keys: int, heads: int, before: int = 0) -> Values:
    """Put the value heads of a key head side by side; the first rows stay."""
    tiled = values[before:].reshape(heads // keys, keys, -1, *values.shape[1:])
    return np.concatenate([values[:before], tiled.swapaxes(0, 1).reshape(-1, *values.shape[1:])])


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
        **{role: _renamed(name) for role, name in (_ATTENTION | _DENSE).items()},
        "attn_norm.weight": _less_one("input_layernorm.weight"),
        "post_attention_norm.weight": _less_one("post_attention_layernorm.weight"),
        "attn_q_norm.weight": _less_one("self_attn.q_norm.weight"),
        "attn_k_norm.weight": _less_one("self_attn.k_norm.weight"),
        "output_norm.weight": _less_one("model.norm.weight"),
        "attn_qkv.weight": lambda v: {f"{linear}.in_proj_qkv.weight": _grouped(v, keys, heads, before)},
        "attn_gate.weight": lambda v: {f"{linear}.in_proj_z.weight": _grouped(v, keys, heads)},
        "ssm_beta.weight": lambda v: {f"{linear}.in_proj_b.weight": _grouped(v, keys, heads)},
        "ssm_alpha.weight": lambda v: {f"{linear}.in_proj_a.weight": _grouped(v, keys, heads)},
        "ssm_a": lambda v: {f"{linear}.A_log": np.log(-_grouped(v, keys, heads))},
        "ssm_dt.bias": lambda v: {f"{linear}.dt_bias": _grouped(v, keys, heads)},
        "ssm_conv1d.weight": lambda v: {f"{linear}.conv1d.weight": _grouped(v, keys, heads, before)[:, None]},
        "ssm_norm.weight": _renamed(f"{linear}.norm.weight"),
        "ssm_out.weight": lambda v: {f"{linear}.out_proj.weight": _grouped(v.T, keys, heads).T},
        "ffn_gate_inp.weight": _renamed("mlp.gate.weight"),
        "ffn_gate_inp_shexp.weight": lambda v: {"mlp.shared_expert_gate.weight": v.reshape(1, -1)},
        "ffn_down_exps.weight": _renamed("mlp.experts.down_proj"),
        "ffn_gate_exps.weight": _renamed("gates"),
        "ffn_up_exps.weight": _renamed("ups"),
        **{
            f"ffn_{r}_shexp.weight": _renamed(f"mlp.shared_expert.{r}_proj.weight")
            for r in ("gate", "up", "down")
        },
    }
    return text, undo


def _minimax_m2(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata[f"minimax-m2.{name}"]  # noqa: E731
    experts = "block_sparse_moe.experts.{}"
    undo = {
        **{role: _renamed(name) for role, name in _ATTENTION.items()},
        "attn_q_norm.weight": _renamed("self_attn.q_norm.weight"),
        "attn_k_norm.weight": _renamed("self_attn.k_norm.weight"),
        "ffn_norm.weight": _renamed("post_attention_layernorm.weight"),
        "ffn_gate_inp.weight": _renamed("block_sparse_moe.gate.weight"),
        "exp_probs_b.bias": _renamed("block_sparse_moe.e_score_correction_bias"),
        "ffn_gate_exps.weight": _apart(f"{experts}.w1.weight"),
        "ffn_down_exps.weight": _apart(f"{experts}.w2.weight"),
        "ffn_up_exps.weight": _apart(f"{experts}.w3.weight"),
    }
    return {"model_type": "minimax_m2", "rotary_dim": of("rope.dimension_count")}, undo


def _ministral3(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
    of = lambda name: file.metadata[f"mistral3.{name}"]  # noqa: E731
    undo = {
        **{role: _renamed(name) for role, name in (_ATTENTION | _DENSE).items()},
        "attn_q.weight": _rows_of_heads("self_attn.q_proj.weight", of("attention.head_count")),
        "attn_k.weight": _rows_of_heads("self_attn.k_proj.weight", of("attention.head_count_kv")),
        "ffn_norm.weight": _renamed("post_attention_layernorm.weight"),
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
        **{role: _renamed(name) for role, name in _ATTENTION.items()},
        "attn_norm.weight": _renamed("operator_norm.weight"),
        "attn_output.weight": _renamed("self_attn.out_proj.weight"),
        "attn_q_norm.weight": _renamed("self_attn.q_layernorm.weight"),
        "attn_k_norm.weight": _renamed("self_attn.k_layernorm.weight"),
        "ffn_norm.weight": _renamed("ffn_norm.weight"),
        "token_embd_norm.weight": _renamed("model.embedding_norm.weight"),
        "shortconv.conv.weight": lambda v: {"conv.conv.weight": v[:, None]},
        "shortconv.in_proj.weight": _renamed("conv.in_proj.weight"),
        "shortconv.out_proj.weight": _renamed("conv.out_proj.weight"),
        "ffn_gate_inp.weight": _renamed("feed_forward.gate.weight"),
        "exp_probs_b.bias": _renamed("feed_forward.expert_bias"),
        **{f"ffn_{r}.weight": _renamed(f"feed_forward.{w}.weight") for r, w in letters.items()},
        **{
            f"ffn_{r}_exps.weight": _apart(f"feed_forward.experts.{{}}.{w}.weight")
            for r, w in letters.items()
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


def _gemma4(file: ModelFile) -> tuple[dict[str, Any], dict[str, Undo]]:
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
        **{role: _renamed(name) for role, name in (_ATTENTION | _DENSE).items()},
        **{f"{role}.weight": _renamed(f"{name}.weight") for role, name in norms.items()},
        "layer_output_scale.weight": _renamed("layer_scalar"),
        "ffn_gate_inp.scale": _renamed("router.scale"),
        "ffn_down_exps.scale": _renamed("router.per_expert_scale"),
        "ffn_gate_up_exps.weight": _renamed("experts.gate_up_proj"),
        "ffn_down_exps.weight": _renamed("experts.down_proj"),
        "rope_freqs.weight": lambda _: {},
    }
    return config, undo


INVERSES = {
    "gemma4": _gemma4,
    "qwen35": _qwen35,
    "qwen35moe": _qwen35,
    "minimax-m2": _minimax_m2,
    "mistral3": _ministral3,
    "lfm2moe": _lfm2_moe,
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
        made = undo[role](values) if role in undo else {_ENDS[role]: values}
        arrays |= {f"model.layers.{layer}.{key}" if layer else key: item for key, item in made.items()}
    for name in [name for name in arrays if name.endswith(".gates")]:
        both = [arrays.pop(name), arrays.pop(name.replace("gates", "ups"))]
        arrays[name.replace("gates", "mlp.experts.gate_up_proj")] = np.concatenate(both, axis=1)
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
