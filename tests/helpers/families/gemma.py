"""Gemma 3n and Gemma 4."""

from __future__ import annotations

import numpy as np

from families.mixtures import EIGHT, INNER
from families.recipe import (
    VOCABULARY,
    WIDTH,
    Recipe,
    alternating,
    attention,
    experts,
    feed_forward,
    started,
    vectors,
)

#: llama.cpp's own constants for Gemma 3n.
_INPUTS, _RANK, _PER_LAYER = 4, 64, 256

#: Gains of norms. Scores are not divided by the root of their width, and all that is added is normalized: with gains
#: around one, rounding would decide what is attended to, and deep files would show nothing else.
_GENTLE = dict.fromkeys(
    (
        "attn_q_norm.weight",
        "post_attention_norm.weight",
        "post_ffw_norm.weight",
        "post_norm.weight",
        "laurel_post_norm.weight",
    ),
    0.2,
)


def gemma4(
    *,
    layers: int = 6,
    per_layer: int = 32,
    shared_layers: int = 2,
    period: int = 2,
    mixture: bool = False,
    joined: bool = True,
    softcap: float = 5.0,
) -> Recipe:
    """Write a dense model with an embedding per layer, or a mixture.

    Args:
        layers: Each `period`-th of them attends to everything, the rest slides over 32 tokens.
        per_layer: Width of the embedding per layer; 0 for none.
        shared_layers: This number of last layers takes keys and values of an earlier one and is twice as wide.
        period: See `layers`.
        mixture: Experts beside the dense part; layers that attend to everything have no matrix for values.
        joined: Gate and up of the experts are one tensor.
        softcap: Bound of the logits; 0 for none.
    """
    sliding = alternating(layers, period)
    kv_heads = [2 if slides or not mixture else 1 for slides in sliding]
    inner = [96 * (1 + (layer >= layers - shared_layers)) for layer in range(layers)]
    more = {
        "rope.freq_base_swa": 10000.0,
        "attention.sliding_window": 32,
        "attention.sliding_window_pattern": sliding,
        "attention.shared_kv_layers": shared_layers,
        "embedding_length_per_layer_input": per_layer,
        "attention.key_length_swa": 32,
        "attention.value_length_swa": 32,
        "rope.dimension_count": 64,
        "rope.dimension_count_swa": 32,
        "final_logit_softcapping": softcap,  # without it, llama.cpp takes 30
    }
    more |= EIGHT | {"expert_feed_forward_length": INNER} if mixture else {}
    recipe = started(
        "gemma4",
        layers=layers,
        kv_heads=kv_heads if mixture else 2,
        head=64,
        feed_forward=inner if shared_layers else 96,
        base=1e6,
        tied=True,
        more=more,
    )
    recipe.spreads |= {"ffn_gate_inp.weight": 4.0} | _GENTLE
    recipe.values["rope_freqs.weight"] = np.repeat(np.asarray([1.0, 1e30], np.float32), (8, 24))
    if per_layer:
        recipe.shapes |= _tables(layers, per_layer)
    norms = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
    for layer, slides in enumerate(sliding):
        part = attention(4, kv_heads[layer], 32 if slides else 64, norm="head")
        if layer >= layers - shared_layers:
            part = {
                name: shape
                for name, shape in part.items()
                if name[:7] not in ("attn_k.", "attn_k_", "attn_v.")
            }
        elif mixture and not slides:
            del part["attn_v.weight"]
        recipe.block(layer, vectors(WIDTH, *norms), part, feed_forward(inner[layer]))
        recipe.block(layer, {"layer_output_scale.weight": (1,)})
        if per_layer:
            recipe.block(layer, _inputs(per_layer))
        if mixture:
            recipe.block(
                layer,
                experts(INNER, 8, joined=joined),
                vectors(WIDTH, "pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"),
                {"ffn_gate_inp.scale": (WIDTH,), "ffn_down_exps.scale": (8,)},
            )
    return recipe


def gemma3n(*, layers: int = 2, period: int = 2, shared_layers: int = 0) -> Recipe:
    """Layers from the 20th on take keys and values of earlier ones; the first 10 are sparse.

    llama.cpp has these numbers, the bound of the logits, the sparsity and AltUp's sizes in its code; it does
    not read them in the file.
    """
    more = {
        "rope.freq_base_swa": 10000.0,
        "final_logit_softcapping": 30.0,
        "attention.sliding_window": 32,
        "altup.active_idx": 0,
        "altup.num_inputs": _INPUTS,
        "embedding_length_per_layer_input": _PER_LAYER,
        "attention.shared_kv_layers": shared_layers,
        "activation_sparsity_scale": [
            1.6448535919189453 if layer < 10 else -np.inf for layer in range(layers)
        ],
        "attention.sliding_window_pattern": alternating(layers, period),
    }
    inner = 512
    recipe = started("gemma3n", layers=layers, feed_forward=[inner] * layers, base=1e6, tied=True, more=more)
    recipe.spreads |= _GENTLE
    recipe.shapes |= _tables(layers, _PER_LAYER)
    recipe.shapes["altup_proj.weight"] = (WIDTH, WIDTH, _INPUTS - 1)
    recipe.shapes["altup_unembd_proj.weight"] = (WIDTH, WIDTH, _INPUTS - 1)
    norms = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "laurel_post_norm")
    for layer in range(layers):
        recipe.block(
            layer,
            vectors(WIDTH, *norms, "altup_router_norm", "altup_correct_scale"),
            attention(4, 2, 32, norm="head"),
            feed_forward(inner),
            _inputs(_PER_LAYER),
            {
                "altup_correct_coef.weight": (_INPUTS, _INPUTS),
                "altup_predict_coef.weight": (_INPUTS, _INPUTS * _INPUTS),
                "altup_router.weight": (WIDTH, _INPUTS),
                "laurel_l.weight": (WIDTH, _RANK),
                "laurel_r.weight": (_RANK, WIDTH),
            },
        )
    return recipe


def _tables(layers: int, per_layer: int) -> dict[str, tuple[int, ...]]:
    return {
        "per_layer_token_embd.weight": (per_layer * layers, VOCABULARY),
        "per_layer_model_proj.weight": (WIDTH, per_layer * layers),
        "per_layer_proj_norm.weight": (per_layer,),
    }


def _inputs(per_layer: int) -> dict[str, tuple[int, ...]]:
    return {
        "inp_gate.weight": (WIDTH, per_layer),
        "proj.weight": (per_layer, WIDTH),
        "post_norm.weight": (WIDTH,),
    }
