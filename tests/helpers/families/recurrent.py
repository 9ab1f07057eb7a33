"""Families with recurrent layers: delta rule, Mamba 2 and short convolutions."""

from __future__ import annotations

from typing import Any

from families.dense import GRANITE
from families.mixtures import EIGHT, INNER, SIGMOID, shared
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
    started,
    vectors,
)

_KERNEL = 4


def mamba2(inner: int, state: int, heads: int, groups: int, *, norm: bool = True) -> Shapes:
    """Return the shapes of a Mamba 2 mixer."""
    mixed = inner + 2 * groups * state
    shapes: Shapes = {
        "ssm_in.weight": (WIDTH, inner + mixed + heads),
        "ssm_conv1d.weight": (_KERNEL, mixed),
        "ssm_conv1d.bias": (mixed,),
        "ssm_dt.bias": (heads,),
        "ssm_a": (1, heads),
        "ssm_d": (1, heads),
        "ssm_out.weight": (inner, WIDTH),
    }
    if norm:
        shapes["ssm_norm.weight"] = (inner // groups, groups)
    return shapes


def _recurrence(inner: int, state: int, heads: int, groups: int) -> dict[str, Any]:
    return {
        "ssm.conv_kernel": _KERNEL,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": heads,
        "ssm.group_count": groups,
    }


def _delta(architecture: str, state: int, heads: int, groups: int) -> Shapes:
    """Return the shapes of a gated delta rule; `groups` heads of keys, `heads` of values."""
    mixed = state * (2 * groups + heads)
    shapes: Shapes = {
        "attn_qkv.weight": (WIDTH, mixed),
        "attn_gate.weight": (WIDTH, state * heads),
        "ssm_conv1d.weight": (_KERNEL, mixed),
        "ssm_dt.bias": (heads,),
        "ssm_a": (heads,),
        "ssm_norm.weight": (state,),
        "ssm_out.weight": (state * heads, WIDTH),
    }
    if architecture == "qwen3next":
        shapes["ssm_ba.weight"] = (WIDTH, 2 * heads)
    else:
        shapes |= {"ssm_alpha.weight": (WIDTH, heads), "ssm_beta.weight": (WIDTH, heads)}
    return shapes


def qwen35(
    *,
    architecture: str = "qwen35",
    layers: int = 4,
    joined: bool = False,
    tied: bool = False,
    marked: bool = True,
) -> Recipe:
    """Write Qwen 3.5 (`qwen35`, `qwen35moe`) or Qwen3-Next; three of four layers have the delta rule.

    `joined`: gate and up of the experts are one tensor. `marked`: a list says which layers are recurrent;
    older files have only the interval.
    """
    more = _recurrence(128, 32, 4, 2) | {"full_attention_interval": 4, "rope.dimension_count": 16}
    if marked:
        more["attention.recurrent_layers"] = alternating(layers, 4)
    if architecture != "qwen3next":
        more["rope.dimension_sections"] = [3, 3, 2, 0]
    if architecture != "qwen35":
        more |= EIGHT | {"expert_feed_forward_length": INNER, "expert_shared_feed_forward_length": 48}
    # Elsewhere the keys of the delta rule are normalized with 1e-6 whatever the file says.
    recipe = started(architecture, layers=layers, epsilon=1e-6, base=1e4, tied=tied, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "post_attention_norm"))
        if (layer + 1) % 4 == 0:
            recipe.block(layer, attention(4, 2, 32, norm="head", gated=True))
        else:
            recipe.block(layer, _delta(architecture, 32, 4, 2))
        if architecture == "qwen35":
            recipe.block(layer, feed_forward(96))
        else:
            recipe.block(layer, experts(INNER, 8, joined=joined), shared(48))
            recipe.block(layer, {"ffn_gate_inp_shexp.weight": (WIDTH, 1)})
    return recipe


def lfm2(*, layers: int = 4, mixture: bool = False, tied: bool = True, window: int = 0) -> Recipe:
    """Each second layer has attention, the others a short convolution."""
    more: dict[str, Any] = {"vocab_size": VOCABULARY, "shortconv.l_cache": 3}
    more |= {"attention.sliding_window": window} if window else {}
    if mixture:
        more |= EIGHT | {
            "expert_feed_forward_length": INNER,
            "leading_dense_block_count": 1,
            "expert_gating_func": SIGMOID,
        }
    kv_heads = [2 * (layer % 2) for layer in range(layers)]
    name = "lfm2moe" if mixture else "lfm2"
    recipe = started(name, layers=layers, kv_heads=kv_heads, head=None, base=1e6, tied=tied, more=more)
    # The last norm goes by this name.
    recipe.shapes["token_embd_norm.weight"] = recipe.shapes.pop("output_norm.weight")
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"))
        if kv_heads[layer]:
            recipe.block(layer, attention(4, 2, 16, norm="head"))
        else:
            recipe.block(
                layer,
                {
                    "shortconv.conv.weight": (3, WIDTH),
                    "shortconv.in_proj.weight": (WIDTH, 3 * WIDTH),
                    "shortconv.out_proj.weight": (WIDTH, WIDTH),
                },
            )
        routed = mixture and layer
        recipe.block(layer, experts(INNER, 8, selection_bias=True) if routed else feed_forward(96))
    return recipe


def granitehybrid(
    *, layers: int = 4, mixture: bool = True, beside: int = 48, rotary: bool = False, groups: int = 1
) -> Recipe:
    """Each second layer has attention, the others Mamba 2; `rotary`: attention rotates, as in Bamba."""
    more = GRANITE | _recurrence(2 * WIDTH, 16, 4, groups) | {"rope.scaling.finetuned": rotary}
    if not rotary:
        more["context_length"] = 1 << 20
    if mixture:
        more |= EIGHT
        more |= {"expert_shared_feed_forward_length": beside} if beside else {}
    kv_heads = [2 * (layer % 2) for layer in range(layers)]
    recipe = started(
        "granitehybrid",
        layers=layers,
        kv_heads=kv_heads,
        head=None,
        feed_forward=INNER if mixture else 96,
        tied=True,
        more=more,
    )
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"))
        recipe.block(layer, attention(4, 2, 16) if kv_heads[layer] else mamba2(2 * WIDTH, 16, 4, groups))
        if mixture:
            recipe.block(layer, experts(INNER, 8), shared(beside) if beside else {})
        else:
            recipe.block(layer, feed_forward(96))
    return recipe


def nemotron_h(
    *, pattern: str = "M-*-", latent: int = 0, groups: tuple[int, int] = (1, 1), biased: bool = False
) -> Recipe:
    """Write one part per layer: M Mamba 2, * attention, - feed-forward, E experts.

    `latent`: width that experts work in. `groups`: of experts, and of them used. `biased`: biases of the
    output of attention and of the feed-forward parts.
    """
    mixture = "E" in pattern
    inner = INNER if mixture else 96
    more = _recurrence(2 * WIDTH, 16, 4, 2) | {
        "context_length": 1 << 20,
        "feed_forward_length": [inner * (kind in "-E") for kind in pattern],
        "attention.head_count_kv": [2 * (kind == "*") for kind in pattern],
        "attention.layer_norm_epsilon": 1e-3,
        "attention.layer_norm_rms_epsilon": None,
        "vocab_size": VOCABULARY,
        "rope.dimension_count": 16,
        "rope.scaling.finetuned": False,
    }
    if mixture:
        more |= EIGHT | {
            "expert_feed_forward_length": INNER,
            "expert_shared_feed_forward_length": 48,
            "expert_shared_count": 1,
            "expert_weights_norm": True,
            "expert_weights_scale": 2.5,
            "expert_group_count": groups[0],
            "expert_group_used_count": groups[1],
        }
        more |= {"moe_latent_size": latent} if latent else {}
    name = "nemotron_h_moe" if mixture else "nemotron_h"
    recipe = started(name, layers=len(pattern), base=None, more=more)
    for layer, kind in enumerate(pattern):
        recipe.block(layer, vectors(WIDTH, "attn_norm"))
        match kind:
            case "M":
                recipe.block(layer, mamba2(2 * WIDTH, 16, 4, 2))
            case "*":
                recipe.block(layer, attention(4, 2, 32, biases="o" if biased else ""))
            case "-":
                recipe.block(layer, feed_forward(inner, gate=False))
                if biased:
                    recipe.block(layer, {"ffn_up.bias": (inner,), "ffn_down.bias": (WIDTH,)})
            case _:
                recipe.block(layer, _squared_experts(latent))
    return recipe


def _squared_experts(latent: int) -> Shapes:
    shapes = experts(INNER, 8, width=latent or WIDTH, router=WIDTH, gate=False, selection_bias=True)
    shapes |= feed_forward(48, suffix="_shexp", gate=False)
    if latent:
        shapes |= {"ffn_latent_down.weight": (WIDTH, latent), "ffn_latent_up.weight": (latent, WIDTH)}
    return shapes


def falcon_h1(*, layers: int = 3, norm: bool = False, groups: int = 1, tied: bool = False) -> Recipe:
    """Attention and Mamba 2 side by side in each layer; `norm`: of what Mamba 2 gives."""
    more = _recurrence(2 * WIDTH, 16, 4, groups) | {"vocab_size": VOCABULARY, "context_length": CONTEXT}
    recipe = started("falcon-h1", layers=layers, head=16, base=1e11, tied=tied, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm"),
            # This name has no ".weight" in the files.
            {"ffn_norm": (WIDTH,)},
            attention(4, 2, 16),
            mamba2(2 * WIDTH, 16, 4, groups, norm=norm),
            feed_forward(96),
        )
    return recipe
