"""Mixtures that few people run."""

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
)


def exaone_moe(*, layers: int = 4, window: int = 32) -> Recipe:
    """Layers that attend to everything do not rotate."""
    more = EIGHT | {
        "vocab_size": VOCABULARY,
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": alternating(layers, 4),
        "expert_feed_forward_length": INNER,
        "expert_shared_count": 1,
        "expert_shared_feed_forward_length": INNER,
        "expert_gating_func": SIGMOID,
        "expert_weights_scale": 2.5,
        "expert_weights_norm": True,
        "leading_dense_block_count": 1,
        "rope.scaling.type": "none",
    }
    recipe = started("exaone-moe", layers=layers, base=1e6, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="head"),
        )
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=True), shared(INNER))
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def cohere2moe(*, layers: int = 4, window: int = 32, beside: int = 2) -> Recipe:
    """`beside`: number of parts that run for every token."""
    more = EIGHT | {
        "attention.layer_norm_rms_epsilon": None,
        "attention.layer_norm_epsilon": 1e-3,
        "logit_scale": 0.5,
        "attention.sliding_window": window,
        "attention.sliding_window_pattern": alternating(layers, 4),
        "vocab_size": VOCABULARY,
        "expert_feed_forward_length": INNER,
        "leading_dense_block_count": 1,
        "expert_weights_norm": True,
        "expert_gating_func": SIGMOID,
        "rope.dimension_count": 32,
        "rope.scaling.type": "none",
    }
    if beside:
        more |= {"expert_shared_count": beside, "expert_shared_feed_forward_length": beside * INNER}
    recipe = started("cohere2moe", layers=layers, base=5e4, tied=True, more=more)
    recipe.spreads["token_embd.weight"] = 0.4
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm"), attention(4, 2, 32))
        if layer:
            recipe.block(layer, experts(INNER, 8), shared(beside * INNER) if beside else {})
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def phimoe(*, layers: int = 3, original: int = 64) -> Recipe:
    """Long factors hold where the context exceeds `original`."""
    more = EIGHT | {"rope.dimension_count": 16, "attention.sliding_window": 0}
    more |= {"rope.scaling.original_context_length": original, "rope.scaling.attn_factor": 1.15}
    recipe = started("phimoe", layers=layers, head=None, feed_forward=INNER, more=more)
    recipe.shapes |= {"output_norm.bias": (WIDTH,), "output.bias": (VOCABULARY,)}
    recipe.values["rope_factors_long.weight"] = frequency_factors(8)
    recipe.values["rope_factors_short.weight"] = frequency_factors(8) ** 0.25
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            {"attn_norm.bias": (WIDTH,), "ffn_norm.bias": (WIDTH,)},
            attention(4, 2, 16, biases="qkvo"),
            experts(INNER, 8),
        )
    return recipe


def deepseek(*, layers: int = 3) -> Recipe:
    """Write the first DeepSeek mixture, with ordinary attention."""
    more = EIGHT | {
        "rope.dimension_count": 16,
        "rope.scaling.type": "none",
        "leading_dense_block_count": 1,
        "vocab_size": VOCABULARY,
        "expert_feed_forward_length": INNER,
        "expert_weights_scale": 1.0,
        "expert_shared_count": 2,
    }
    recipe = started("deepseek", layers=layers, head=None, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 16))
        if layer:
            recipe.block(layer, experts(INNER, 8), shared(2 * INNER))
        else:
            recipe.block(layer, feed_forward(96))
    return recipe
