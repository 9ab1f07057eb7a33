"""Say in plain words what the matrix of a role does."""

from __future__ import annotations

_WORDS = {
    "token_embd": "embedding",
    "per_layer_token_embd": "embedding per layer",
    "per_layer_model_proj": "projection to the embeddings per layer",
    "attn_q": "attention: queries",
    "attn_k": "attention: keys",
    "attn_v": "attention: values",
    "attn_qkv": "attention: queries, keys and values",
    "attn_q_a": "attention: narrow queries",
    "attn_q_b": "attention: queries of the heads",
    "attn_kv_a_mqa": "attention: narrow keys and values",
    "attn_kv_b": "attention: keys and values of the heads",
    "attn_k_b": "attention: keys of the heads",
    "attn_v_b": "attention: values of the heads",
    "attn_gate": "attention: gate",
    "attn_output": "attention: output",
    "ssm_in": "state: input",
    "ssm_alpha": "state: decay",
    "ssm_beta": "state: step",
    "ssm_ba": "state: step and decay",
    "ssm_out": "state: output",
    "shortconv.in_proj": "short convolution: input",
    "shortconv.out_proj": "short convolution: output",
    "laurel_l": "low-rank residual: down",
    "laurel_r": "low-rank residual: up",
    "ffn_gate_inp": "router",
    "ffn_latent_down": "experts: to a narrow vector",
    "ffn_latent_up": "experts: from a narrow vector",
    "ffn_gate_inp_shexp": "shared expert: how much it counts",
    "inp_gate": "embedding per layer: gate",
    "proj": "embedding per layer: projection",
    "output": "head",
    "layer": "whole layer",
}
_PARTS = {"gate": "gate", "up": "up", "down": "down", "gate_up": "gate and up"}
_OWNERS = {"exps": "experts", "shexp": "shared expert"}


def in_words(role: str) -> str:
    """Describe a role, such as `experts: down` for `ffn_down_exps`; a role without a description stays as it is."""
    if role in _WORDS:
        return _WORDS[role]
    part, _, owner = role.removeprefix("ffn_").rpartition("_")
    if owner not in _OWNERS:
        part, owner = role.removeprefix("ffn_"), ""
    known = _PARTS.get(part) if role.startswith("ffn_") else None
    return f"{_OWNERS.get(owner, 'feed-forward')}: {known}" if known else role
