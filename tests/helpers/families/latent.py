"""Attention through a low-rank latent, as in DeepSeek V2 and V3."""

from __future__ import annotations

from families.mixtures import EIGHT, INNER, SIGMOID, shared
from families.recipe import VOCABULARY, WIDTH, Recipe, Shapes, experts, feed_forward, started, vectors, yarn

HEADS, NOPE, ROPE, VALUE, LATENT = 4, 32, 16, 24, 40


def deepseek2(
    *,
    layers: int = 3,
    query_rank: int = 48,
    absorbed: bool = True,
    gating: int = SIGMOID,
    groups: tuple[int, int] | None = (4, 2),
    scaled: bool = True,
    temperature: float = 0.0,
    value: int = VALUE,
) -> Recipe:
    """Write V3; V2 has softmax for `gating`, V2 Lite `query_rank=0` too (llama.cpp knows it by its 27 layers).

    `absorbed`: matrices of keys and values apart, as attention over the latent needs them; otherwise
    one, as older converters wrote it. `groups`: how many there are and how many a token may use.
    `temperature`: how queries grow from position 32 on, as in Mistral Large 3. `value`: width of
    a head's values.
    """
    length = LATENT + ROPE if absorbed else NOPE + ROPE
    more = EIGHT | {
        "attention.key_length": length,
        "attention.value_length": LATENT if absorbed else value,
        "attention.kv_lora_rank": LATENT,
        "vocab_size": VOCABULARY,
        "rope.dimension_count": ROPE,
        "leading_dense_block_count": 1,
        "expert_feed_forward_length": INNER,
        "expert_shared_count": 2,
        "expert_weights_scale": 2.5,
        "expert_weights_norm": gating == SIGMOID,
        "expert_gating_func": gating,
    }
    more |= {"attention.q_lora_rank": query_rank} if query_rank else {}
    if absorbed:
        more |= {"attention.key_length_mla": NOPE + ROPE, "attention.value_length_mla": value}
    if groups:
        more |= {"expert_group_count": groups[0], "expert_group_used_count": groups[1]}
    more |= yarn(yarn_log_multiplier=0.0707) if scaled else {}
    if temperature:
        more |= {"attention.temperature_scale": temperature, "attention.temperature_length": 32}
    recipe = started(
        "deepseek2", layers=layers, kv_heads=1 if absorbed else HEADS, head=None, epsilon=1e-6, more=more
    )
    for layer in range(layers):
        recipe.block(
            layer, vectors(WIDTH, "attn_norm", "ffn_norm"), _attention(query_rank, value, absorbed=absorbed)
        )
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=gating == SIGMOID), shared(2 * INNER))
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def _attention(query_rank: int, value: int, *, absorbed: bool) -> Shapes:
    query = HEADS * (NOPE + ROPE)
    shapes: Shapes = {
        "attn_kv_a_mqa.weight": (WIDTH, LATENT + ROPE),
        "attn_kv_a_norm.weight": (LATENT,),
        "attn_output.weight": (HEADS * value, WIDTH),
    }
    if query_rank:
        shapes["attn_q_a.weight"] = (WIDTH, query_rank)
        shapes["attn_q_a_norm.weight"] = (query_rank,)
        shapes["attn_q_b.weight"] = (query_rank, query)
    else:
        shapes["attn_q.weight"] = (WIDTH, query)
    if absorbed:
        shapes["attn_k_b.weight"] = (NOPE, LATENT, HEADS)
        shapes["attn_v_b.weight"] = (LATENT, value, HEADS)
    else:
        shapes["attn_kv_b.weight"] = (LATENT, HEADS * (NOPE + value))
    return shapes
