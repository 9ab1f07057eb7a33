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
    attention,
    experts,
    feed_forward,
    started,
    vectors,
)

SOFTMAX, SIGMOID = 1, 2
EIGHT: dict[str, Any] = {"expert_count": 8, "expert_used_count": 2}
INNER = 32


def shared(inner: int) -> Shapes:
    """Return the shapes of the part that runs beside the experts, for every token."""
    return feed_forward(inner, suffix="_shexp")


def mixtral(*, layers: int = 3) -> Recipe:
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 16} | EIGHT
    recipe = started("llama", layers=layers, head=None, feed_forward=INNER, base=1e6, more=more)
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


def granitemoe(*, layers: int = 3, beside: int = 0, marked: bool = False) -> Recipe:
    """`beside`: width of the shared part, 0 for none. `marked`: as a model without positions, which it is not."""
    more = GRANITE | EIGHT | ({"rope.scaling.finetuned": False} if marked else {})
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
    recipe = started("olmoe", layers=layers, kv_heads=4, head=None, feed_forward=INNER, more=EIGHT)
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
    recipe = started("ernie4_5-moe", layers=layers, base=5e5, tied=True, more=more)
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
    recipe = started("hunyuan-moe", layers=layers, feed_forward=INNER, base=11158839.0, tied=True, more=more)
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
    recipe = started("dots1", layers=layers, kv_heads=4, base=1e7, more=more)
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
    recipe = started("glm4moe", layers=layers, base=1e6, more=more)
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
