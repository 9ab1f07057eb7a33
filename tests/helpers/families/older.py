"""Families of dense models that came before most others."""

from __future__ import annotations

from typing import Any

from families.recipe import (
    VOCABULARY,
    WIDTH,
    Recipe,
    Shapes,
    attention,
    feed_forward,
    frequency_factors,
    started,
    vectors,
)

_LAYER_NORM: dict[str, Any] = {
    "attention.layer_norm_rms_epsilon": None,
    "attention.layer_norm_epsilon": 1e-3,
}


def command_r(*, layers: int = 3) -> Recipe:
    more = _LAYER_NORM | {"logit_scale": 0.25, "rope.scaling.type": "none"}
    recipe = started("command-r", layers=layers, head=None, base=8e6, tied=True, more=more)
    recipe.spreads["token_embd.weight"] = 0.5
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm"), attention(4, 2, 16), feed_forward(96))
    return recipe


def starcoder2(*, layers: int = 3) -> Recipe:
    recipe = started("starcoder2", layers=layers, head=None, base=1e5, more=_LAYER_NORM)
    recipe.shapes["output_norm.bias"] = (WIDTH,)
    for layer in range(layers):
        recipe.block(layer, _with_offsets("qkvo"), {"ffn_up.bias": (96,), "ffn_down.bias": (WIDTH,)})
    return recipe


def nemotron(*, layers: int = 3) -> Recipe:
    more = _LAYER_NORM | {"rope.dimension_count": 8, "rope.scaling.type": "none", "vocab_size": VOCABULARY}
    recipe = started("nemotron", layers=layers, head=None, more=more)
    recipe.shapes["output_norm.bias"] = (WIDTH,)
    for layer in range(layers):
        recipe.block(layer, _with_offsets())
    return recipe


def exaone(*, layers: int = 3) -> Recipe:
    recipe = started("exaone", layers=layers, head=None, base=1e6, more={"rope.dimension_count": 16})
    for layer in range(layers):
        recipe.block(layer, vectors(WIDTH, "attn_norm", "ffn_norm"), attention(4, 2, 16), feed_forward(96))
    recipe.values["rope_freqs.weight"] = frequency_factors(8)
    return recipe


def _with_offsets(biases: str = "") -> Shapes:
    """Return the shapes of a layer whose norms have offsets and whose feed-forward part has no gate."""
    offsets = {f"{name}.bias": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
    norms = vectors(WIDTH, "attn_norm", "ffn_norm")
    return norms | offsets | attention(4, 2, 16, biases=biases) | feed_forward(96, gate=False)
