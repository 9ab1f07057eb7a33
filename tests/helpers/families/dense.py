"""Families whose layers all have attention and one feed-forward part."""

from __future__ import annotations

import math
from typing import Any

from families.recipe import (
    CONTEXT,
    VOCABULARY,
    WIDTH,
    Recipe,
    alternating,
    attention,
    feed_forward,
    frequency_factors,
    started,
    vectors,
    yarn,
)


def llama(*, layers: int = 3, factors: bool = True, biased: bool = False, tied: bool = False) -> Recipe:
    """`factors`: frequencies as in Llama 3; `biased`: all projections of attention have biases."""
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 16}
    recipe = started("llama", layers=layers, head=16, epsilon=1e-5, tied=tied, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 16, biases="qkvo" if biased else ""),
            feed_forward(96),
        )
    if factors:
        recipe.values["rope_freqs.weight"] = frequency_factors(8)
    return recipe


def arcee(*, layers: int = 3, scaled: bool = True) -> Recipe:
    """`scaled`: YaRN."""
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 32} | (yarn() if scaled else {})
    recipe = started("arcee", layers=layers, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32),
            feed_forward(96, gate=False),
        )
    return recipe


def apertus(*, layers: int = 3) -> Recipe:
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 32}
    recipe = started("apertus", layers=layers, base=12e6, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="head"),
            feed_forward(96, gate=False),
        )
    recipe.values["rope_freqs.weight"] = frequency_factors(16)
    for key, first in (("alpha_n", 0.9), ("alpha_p", 0.7), ("beta", 0.5), ("eps", -0.05)):
        recipe.general[f"xielu.{key}"] = [first * (1 + 0.1 * layer) for layer in range(layers)]
    return recipe


def glm4(*, layers: int = 3, biased: bool = True) -> Recipe:
    recipe = started("glm4", layers=layers, more={"rope.dimension_count": 16})
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
            attention(4, 2, 32, biases="qkv" if biased else ""),
            feed_forward(96, joined=True),
        )
    return recipe


GRANITE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "rope.dimension_count": 16,
    "attention.scale": 0.2,
    "embedding_scale": 4.0,
    "residual_scale": 0.5,
    "logit_scale": 2.0,
}


def granite(*, layers: int = 3, tied: bool = False) -> Recipe:
    recipe = started("granite", layers=layers, head=None, tied=tied, more=GRANITE)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 16), feed_forward(96))
    return recipe


def olmo2(*, layers: int = 3, window: int = 0, scaled: bool = False) -> Recipe:
    """`window`: sliding in three of four layers; `scaled`: YaRN in the fourth. Both together are OLMo 3."""
    more = yarn(yarn_attn_factor=0.1 * math.log(8.0) + 1) if scaled else {}
    if window:
        pattern = alternating(layers, 4)
        more |= {"attention.sliding_window": window, "attention.sliding_window_pattern": pattern}
    recipe = started("olmo2", layers=layers, head=None, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "post_attention_norm", "post_ffw_norm"),
            attention(4, 2, 16, norm="row"),
            feed_forward(96),
        )
    return recipe


def mistral3(
    *, layers: int = 3, temperature: float = 0.1, betas: tuple[float, float] = (32.0, 1.0), base: float = 1e6
) -> Recipe:
    """`temperature`: how queries grow beyond the original context of 32; 0 leaves it away.

    `betas`: YaRN's; of all families, llama.cpp reads them in this one only.
    """
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 32} | yarn(yarn_log_multiplier=1.0)
    more |= {"rope.scaling.yarn_beta_fast": betas[0], "rope.scaling.yarn_beta_slow": betas[1]}
    if temperature:
        more["attention.temperature_scale"] = temperature
    recipe = started("mistral3", layers=layers, base=base, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 32), feed_forward(96))
    return recipe


def phi3(*, layers: int = 3, original: int = 64, rotary: int = 16, factors: bool = True) -> Recipe:
    """Long factors hold where the context exceeds `original`; `rotary` of 16 dimensions are rotated."""
    more = {"rope.dimension_count": rotary, "attention.sliding_window": 0}
    more["rope.scaling.original_context_length"] = original
    recipe = started("phi3", layers=layers, head=None, more=more)
    if factors:
        scale = math.log(max(CONTEXT / original, 1.0)) / math.log(original)
        recipe.metadata["rope.scaling.attn_factor"] = math.sqrt(1 + scale)
        recipe.values["rope_factors_long.weight"] = frequency_factors(rotary // 2)
        recipe.values["rope_factors_short.weight"] = frequency_factors(rotary // 2) ** 0.25
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 16, fused=True),
            feed_forward(96, joined=True),
        )
    return recipe


def ernie4_5(*, layers: int = 3, biased: bool = False, tied: bool = True) -> Recipe:
    recipe = started("ernie4_5", layers=layers, base=5e5, tied=tied)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            # llama.cpp reads a bias of the output, and leaves it out.
            attention(4, 2, 32, biases="qkv" if biased else ""),
            feed_forward(96),
        )
    return recipe


def hunyuan_dense(*, layers: int = 3, tied: bool = True) -> Recipe:
    more = {"rope.scaling.type": "none", "rope.scaling.factor": 1.0}
    more["rope.scaling.original_context_length"] = CONTEXT
    base = 10000.0 * 50 ** (32 / 30)
    recipe = started("hunyuan-dense", layers=layers, base=base, tied=tied, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="head"),
            feed_forward(96),
        )
    return recipe


def seed_oss(*, layers: int = 3) -> Recipe:
    recipe = started("seed_oss", layers=layers, base=1e7)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "post_attention_norm"),
            attention(4, 2, 32, biases="qkv"),
            feed_forward(96),
        )
    return recipe


def exaone4(*, layers: int = 3, width: int = WIDTH, inner: int = 96, window: int = 0) -> Recipe:
    """llama.cpp slides the window only in models of 64 layers, there in three of four."""
    more = {"vocab_size": VOCABULARY}
    if window:
        more["attention.sliding_window"] = window
    head = width // 4
    recipe = started(
        "exaone4", layers=layers, width=width, head=head, feed_forward=inner, base=1e6, more=more
    )
    if window:
        recipe.metadata["attention.sliding_window_pattern"] = alternating(layers, 4)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(width, "post_attention_norm", "post_ffw_norm"),
            attention(4, 2, head, width=width, norm="head"),
            feed_forward(inner, width=width),
        )
    recipe.values["rope_freqs.weight"] = frequency_factors(head // 2)
    return recipe


def cohere2(*, layers: int = 4, window: int = 32) -> Recipe:
    more = {
        "attention.layer_norm_rms_epsilon": None,
        "attention.layer_norm_epsilon": 1e-3,
        "attention.sliding_window": window,
        "logit_scale": 0.25,
        "vocab_size": VOCABULARY,
        "rope.dimension_count": 16,
        "rope.scaling.type": "none",
    }
    recipe = started("cohere2", layers=layers, head=16, base=5e4, tied=True, more=more)
    recipe.spreads["token_embd.weight"] = 0.5
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm"), attention(4, 2, 16), feed_forward(96))
    return recipe


def smollm3(*, layers: int = 4) -> Recipe:
    more = {"vocab_size": VOCABULARY, "rope.dimension_count": 16}
    recipe = started("smollm3", layers=layers, head=None, base=5e6, tied=True, more=more)
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 16), feed_forward(96))
    return recipe


def qwen3vl(*, layers: int = 3, deep: int = 2, tied: bool = False) -> Recipe:
    """`deep`: number of layers that take image features; texts have none."""
    more = {"rope.dimension_sections": [6, 5, 5, 0], "n_deepstack_layers": deep}
    recipe = started("qwen3vl", layers=layers, base=5e6, tied=tied, more=more)
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, "attn_norm", "ffn_norm"),
            attention(4, 2, 32, norm="head"),
            feed_forward(96),
        )
    return recipe
