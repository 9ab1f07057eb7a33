"""What the values of a variant's layers say about roles and depth."""

from math import log

import pytest

from dashboard.insights.layers import attention_share, depth, first_third, last_part, role_means

#: Attention twice as hard as feed-forward in six layers of which the last is hit four times as hard.
VALUES = {
    (layer, role): value * (4 if layer == 5 else 1)
    for layer in (5, 0, 1, 2, 3, 4)
    for role, value in (("attn_q", 0.1), ("attn_k", 0.3), ("ffn_up", 0.1))
}
WHOLE = {(layer, "layer"): float(layer) for layer in (2, 0, 1)}


def test_attention_is_compared_with_feed_forward_layer_by_layer() -> None:
    share = attention_share({**VALUES, (-1, "output"): 9.0, (6, "attn_q"): 5.0, (7, "ffn_up"): 0.0})
    assert share is not None
    assert share.value == pytest.approx(log(2)), "a layer without both says nothing"
    assert share.se == pytest.approx(0, abs=1e-12)
    assert attention_share({cell: value for cell, value in VALUES.items() if cell[0] < 2}) is None
    assert attention_share({}) is None


def test_depth_is_the_mean_of_the_roles_or_the_whole_layer() -> None:
    assert depth(VALUES) == pytest.approx([0.5 / 3] * 5 + [2 / 3])
    assert depth({**VALUES, (-1, "token_embd"): 7.0}) == depth(VALUES), "the embedding is in no layer"
    assert depth(WHOLE) == [0.0, 1.0, 2.0]
    assert depth({**WHOLE, (0, "attn_q"): 3.0}) == [3.0]
    assert depth({}) == []


def test_the_head_counts_with_the_last_layers() -> None:
    last, first = last_part(VALUES), first_third(VALUES)
    assert last is not None
    assert first is not None
    assert last.value == pytest.approx(log(4))
    assert first.value == pytest.approx(-log(4) / 4), "one of the four layers after the first two"
    with_head = last_part({**VALUES, (-1, "output"): 0.5 / 3})
    assert with_head is not None
    assert with_head.value == pytest.approx(log(4) / 2)
    assert last_part({}) is None


def test_roles_are_averaged_over_variants_in_the_models_order() -> None:
    found = {"a": {(0, "ffn_up"): 1.0, (0, "attn_q"): 2.0}, "b": {(1, "ffn_up"): 3.0, (1, "layer"): 9.0}}
    assert list(role_means(found).items()) == [("attn_q", 2.0), ("ffn_up", 2.0)]
