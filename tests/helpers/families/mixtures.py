"""Families with attention in all layers and experts in most of them."""

from __future__ import annotations

from typing import Any

from families.dense import GRANITE
from families.recipe import (
    CONTEXT,
    VOCABULARY,
    WIDTH,
    Recipe,
    Shapes,
    alternating,
    attention,
    experts,
    feed_forward,
    frequency_factors,
    started,
    vectors,
    yarn,
)

SOFTMAX, SIGMOID = 1, 2
EIGHT: dict[str, Any] = {"expert_count": 8, "expert_used_count": 2}
INNER = 32


def shared(inner: int) -> Shapes:
    """Return the shapes of the part that runs beside the experts, for every token."""
    return feed_forward(inner, suffix="_shexp")


def mixtral(*, layers: int = 3) -> Recipe:
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 16} | EIGHT
    recipe = started("llama", layers=layers, head=None, feed_forward=INNER, base=1e6, epsilon=1e-5, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 16), experts(INNER, 8))
    return recipe


def qwen2moe(*, layers: int = 3, flat: bool = False) -> Recipe:
    """`flat`: the gate of the shared part is a vector, as older converters wrote it."""
    more = EIGHT | {"expert_feed_forward_length": INNER, "expert_shared_feed_forward_length": 64}
    recipe = started("qwen2moe", layers=layers, head=None, base=1e6, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 16, biases="qkv"),
            experts(INNER, 8),
            shared(64),
            {"ffn_gate_inp_shexp.weight": (WIDTH,) if flat else (WIDTH, 1)},
        )
    return recipe


def qwen3moe(*, layers: int = 3, deep: int | None = None, tied: bool = False) -> Recipe:
    """`deep`: write Qwen3-VL's text model, with this number of layers that take image features."""
    more = EIGHT | {"expert_feed_forward_length": INNER}
    if deep is not None:
        more |= {"rope.dimension_sections": [6, 5, 5, 0], "n_deepstack_layers": deep}
    name = "qwen3moe" if deep is None else "qwen3vlmoe"
    recipe = started(name, layers=layers, base=1e6, tied=tied, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="head"),
            experts(INNER, 8),
        )
    return recipe


def gpt_oss(*, layers: int = 4, window: int = 32, scaled: bool = True) -> Recipe:
    more = EIGHT | {"attention.sliding_window": window, "expert_feed_forward_length": INNER}
    more |= yarn() if scaled else {}
    recipe = started("gpt-oss", layers=layers, feed_forward=INNER, base=150000.0, epsilon=1e-5, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "post_attention_norm"),
            attention(4, 2, 32, biases="qkvo"),
            experts(INNER, 8, biased=True),
            {"attn_sinks.weight": (4,)},
        )
    return recipe


def granitemoe(*, layers: int = 3, beside: int = 0) -> Recipe:
    """`beside`: width of the shared part, 0 for none."""
    more = GRANITE | EIGHT
    if beside:
        more["expert_shared_feed_forward_length"] = beside
    recipe = started("granitemoe", layers=layers, head=None, feed_forward=INNER, tied=True, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 16),
            experts(INNER, 8),
            shared(beside) if beside else {},
        )
    return recipe


def olmoe(*, layers: int = 3) -> Recipe:
    recipe = started(
        "olmoe", layers=layers, kv_heads=4, head=None, feed_forward=INNER, epsilon=1e-5, more=EIGHT
    )
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 4, 16, norm="row"),
            experts(INNER, 8),
        )
    return recipe


def ernie4_5_moe(*, layers: int = 3, beside: int = 48, selection_bias: bool = True) -> Recipe:
    more = EIGHT | {
        "interleave_moe_layer_step": 1,
        "leading_dense_block_count": 1,
        "expert_feed_forward_length": INNER,
    }
    if beside:
        more |= {"expert_shared_count": 2, "expert_shared_feed_forward_length": beside}
    recipe = started("ernie4_5-moe", layers=layers, base=5e5, epsilon=1e-5, tied=True, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 32))
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=selection_bias))
            recipe.block(layer, shared(beside) if beside else {})
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def hunyuan_moe(*, layers: int = 3) -> Recipe:
    more = EIGHT | {
        "expert_shared_feed_forward_length": INNER,
        "expert_feed_forward_length": INNER,
        "expert_shared_count": 1,
        "rope.scaling.type": "none",
        "rope.scaling.factor": 1.0,
        "rope.scaling.original_context_length": CONTEXT,
    }
    recipe = started(
        "hunyuan-moe", layers=layers, feed_forward=INNER, base=11158839.0, epsilon=1e-5, tied=True, more=more
    )
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="head"),
            experts(INNER, 8),
            shared(INNER),
        )
    return recipe


def minimax_m2(*, layers: int = 3) -> Recipe:
    more = EIGHT | {
        "expert_feed_forward_length": INNER,
        "expert_gating_func": SIGMOID,
        "rope.dimension_count": 16,
    }
    recipe = started("minimax-m2", layers=layers, feed_forward=INNER, base=5e6, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="row"),
            experts(INNER, 8, selection_bias=True),
        )
    return recipe


def bailingmoe(*, layers: int = 3, normalized: bool = True) -> Recipe:
    more = EIGHT | {
        "rope.dimension_count": 32,
        "leading_dense_block_count": 0,
        "vocab_size": VOCABULARY,
        "expert_feed_forward_length": INNER,
        "expert_weights_scale": 1.0,
        "expert_shared_count": 2,
        "expert_weights_norm": normalized,
    }
    recipe = started("bailingmoe", layers=layers, base=6e5, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32),
            experts(INNER, 8),
            shared(2 * INNER),
        )
    return recipe


def bailingmoe2(*, layers: int = 3, groups: tuple[int, int] = (4, 2)) -> Recipe:
    """`groups`: how many groups of experts there are, and how many of them a token may use."""
    more = EIGHT | {
        "expert_group_count": groups[0],
        "expert_group_used_count": groups[1],
        "expert_gating_func": SIGMOID,
        "rope.dimension_count": 8,
        "leading_dense_block_count": 1,
        "vocab_size": VOCABULARY,
        "expert_feed_forward_length": INNER,
        "expert_shared_feed_forward_length": INNER,
        "expert_weights_scale": 2.5,
        "expert_shared_count": 1,
        "expert_weights_norm": True,
    }
    recipe = started("bailingmoe2", layers=layers, head=16, base=6e5, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 16, norm="head", fused=True),
        )
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=True), shared(INNER))
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def dots1(*, layers: int = 3) -> Recipe:
    more = EIGHT | {
        "expert_gating_func": SIGMOID,
        "expert_feed_forward_length": INNER,
        "leading_dense_block_count": 1,
        "expert_shared_count": 2,
        "expert_weights_scale": 2.5,
        "expert_weights_norm": True,
    }
    recipe = started("dots1", layers=layers, kv_heads=4, base=1e7, epsilon=1e-5, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 4, 32, norm="head"))
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=True), shared(2 * INNER))
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def glm4moe(*, layers: int = 3, normed: bool = True) -> Recipe:
    """`normed`: queries and keys are normalized, as in the large one of the two models."""
    more = EIGHT | {
        "expert_group_count": 1,
        "expert_group_used_count": 1,
        "rope.dimension_count": 16,
        "expert_feed_forward_length": INNER,
        "expert_shared_count": 1,
        "leading_dense_block_count": 1,
        "expert_gating_func": SIGMOID,
        "expert_weights_scale": 1.5,
        "expert_weights_norm": True,
    }
    recipe = started("glm4moe", layers=layers, base=1e6, epsilon=1e-5, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "post_attention_norm"),
            attention(4, 2, 32, norm="head" if normed else "", biases="qkv"),
        )
        if layer:
            recipe.block(layer, experts(INNER, 8, selection_bias=True), shared(INNER))
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def llama4(*, layers: int = 4, step: int = 2, count: int = 8) -> Recipe:
    """Experts in each `step`-th layer; with 128 of them, queries and keys are not normalized.

    Attention is in chunks of 8192 in three of four layers; the fourth does not rotate.
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
    recipe = started("llama4", layers=layers, base=5e5, epsilon=1e-5, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 32))
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
    recipe = started("step35", layers=layers, kv_heads=kv_heads, base=5e6, epsilon=1e-5, more=more)
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
    recipe = started("mimo2", layers=layers, kv_heads=kv_heads, base=5e6, epsilon=1e-5, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, kv_heads[layer], 32, value=16),
            {"attn_sinks.weight": (4,)} if sliding[layer] else {},
            experts(INNER, 8, selection_bias=True) if layer else feed_forward(96),
        )
    return recipe
