"""Families with experts whose layers attend differently: with windows, chunks, sinks or other heads."""

from __future__ import annotations

from families.mixtures import EIGHT, INNER, SIGMOID, shared
from families.recipe import (
    VOCABULARY,
    WIDTH,
    Recipe,
    alternating,
    attention,
    experts,
    feed_forward,
    frequency_factors,
    started,
    vectors,
    yarn,
)


def gpt_oss(*, layers: int = 4, window: int = 32, scaled: bool = True) -> Recipe:
    more = EIGHT | {"attention.sliding_window": window, "expert_feed_forward_length": INNER}
    more |= yarn() if scaled else {}
    recipe = started("gpt-oss", layers=layers, feed_forward=INNER, base=150000.0, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "post_attention_norm"),
            attention(4, 2, 32, biases="qkvo"),
            experts(INNER, 8, biased=True),
            {"attn_sinks.weight": (4,)},
        )
    return recipe


def llama4(*, layers: int = 4, step: int = 2, count: int = 8, heads: int = 4) -> Recipe:
    """Experts in each `step`-th layer; with 128 of them, queries and keys are not normalized.

    Attention is in chunks of 8192 in three of four layers, whatever the file says; the fourth does not rotate,
    and its queries grow from position 8192 on.
    """
    inner = 8 if count > 64 else INNER
    more = {
        "expert_count": count,
        "expert_used_count": 1,
        "vocab_size": VOCABULARY,
        "rope.dimension_count": 32,
        "interleave_moe_layer_step": step,
        "expert_feed_forward_length": inner,
    }
    recipe = started("llama4", layers=layers, heads=heads, kv_heads=-(-heads // 2), base=5e5, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(heads, -(-heads // 2), 32))
        if (layer + 1) % step == 0:
            recipe.block(layer, experts(inner, count), shared(inner))
        else:
            recipe.block(layer, feed_forward(96))
    recipe.values["rope_freqs.weight"] = frequency_factors(16)
    return recipe


def step35(*, layers: int = 4, window: int = 32, limit: float = 0.5) -> Recipe:
    """Layers that slide have more heads and rotate all dimensions; `limit` bounds the experts' activations."""
    sliding = [layer % 4 != 0 for layer in range(layers)]
    heads = [6 if slides else 4 for slides in sliding]
    kv_heads = [3 if slides else 2 for slides in sliding]
    more = EIGHT | {
        "attention.head_count": heads,
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": sliding,
        "rope.freq_base_swa": 10000.0,
        "expert_gating_func": SIGMOID,
        "expert_feed_forward_length": INNER,
        "expert_shared_feed_forward_length": 48,
        "expert_weights_scale": 3.0,
        "expert_weights_norm": True,
        "leading_dense_block_count": 1,
        "moe_every_n_layers": 1,
        "swiglu_clamp_exp": [limit if layer == layers - 1 else 0.0 for layer in range(layers)],
        "swiglu_clamp_shexp": [limit if layer == layers - 2 else 0.0 for layer in range(layers)],
    }
    recipe = started("step35", layers=layers, kv_heads=kv_heads, base=5e6, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(heads[layer], kv_heads[layer], 32, norm="head"),
            {"attn_gate.weight": (WIDTH, heads[layer])},
        )
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=True), shared(48))
        else:
            recipe.block(layer, feed_forward(96))
    factors = frequency_factors(16)
    factors[8:] = 1.0
    recipe.values["rope_freqs.weight"] = factors
    return recipe


def mimo2(*, layers: int = 4, window: int = 32, value_scale: float = 0.7) -> Recipe:
    """Layers that slide have more heads of keys, and sinks; values are shorter than keys."""
    sliding = [int(slides) for slides in alternating(layers, 4)]
    kv_heads = [4 if slides else 2 for slides in sliding]
    more = EIGHT | {
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": sliding,
        "attention.value_length": 16,
        "attention.value_scale": value_scale,
        "rope.freq_base_swa": 10000.0,
        "rope.dimension_count": 10,
        "expert_gating_func": SIGMOID,
        "expert_feed_forward_length": INNER,
    }
    recipe = started("mimo2", layers=layers, kv_heads=kv_heads, base=5e6, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, kv_heads[layer], 32, value=16),
            {"attn_sinks.weight": (4,)} if sliding[layer] else {},
            experts(INNER, 8, selection_bias=True) if layer else feed_forward(96),
        )
    return recipe
