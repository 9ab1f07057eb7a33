"""Say in plain words what the matrix of a role does, and group the roles."""

from __future__ import annotations

from collections.abc import Collection

from evaluator.results.schema import ROLES

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
#: How the roles of a group begin: attention, layers with a state or a convolution, feed-forward.
_STARTS = (("attn_",), ("ssm_", "shortconv."), ("ffn_",))
#: Embedding and head.
_ENDS = frozenset({"token_embd", "per_layer_token_embd", "per_layer_model_proj", "output"})


def in_words(role: str) -> str:
    """Describe a role, such as `experts: down` for `ffn_down_exps`; a role without a description stays as it is."""
    if role in _WORDS:
        return _WORDS[role]
    part, _, owner = role.removeprefix("ffn_").rpartition("_")
    if owner not in _OWNERS:
        part, owner = role.removeprefix("ffn_"), ""
    known = _PARTS.get(part) if role.startswith("ffn_") else None
    return f"{_OWNERS.get(owner, 'feed-forward')}: {known}" if known else role


def named(role: str) -> str:
    """Return a role's plain name beside that of llama.cpp, such as `attention output (attn_output)`."""
    words = in_words(role)
    return role if words == role else f"{words.replace(': ', ' ')} ({role})"


def grouped(present: Collection[str]) -> list[list[str]]:
    """Return the roles that are `present`, group by group in the model's order, without empty groups.

    The groups are attention, layers with a state or a convolution, feed-forward with experts, what else a layer has,
    and embedding and head.
    """
    groups: list[list[str]] = [[] for _ in range(len(_STARTS) + 2)]
    for role in ROLES:
        if role in present:
            groups[_group(role)].append(role)
    return [group for group in groups if group]


def _group(role: str) -> int:
    if role in _ENDS:
        return len(_STARTS) + 1
    return next((place for place, starts in enumerate(_STARTS) if role.startswith(starts)), len(_STARTS))
