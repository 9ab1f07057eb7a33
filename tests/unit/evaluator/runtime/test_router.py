"""Which experts are chosen and how they are weighed, computed by hand."""

from __future__ import annotations

import numpy as np

from evaluator.models.architectures.mixture import Router
from evaluator.runtime.router import choose, shares


def logits(*rows):
    return np.log(np.array(rows, np.float32))


#: exp(logit) = 1, 4, 2, 1: scores 1/8, 1/2, 1/4, 1/8.
ONE = logits([1, 4, 2, 1])


def test_softmax_over_all_experts():
    chosen, weights = choose(ONE, Router("softmax", 2, renormalized=False))
    assert chosen.tolist() == [[1, 2]]
    np.testing.assert_allclose(weights, [[1 / 2, 1 / 4]], rtol=1e-6)
    assert weights.dtype == np.float32


def test_renormalized_weights_add_up_to_the_scale():
    _, weights = choose(ONE, Router("softmax", 2, renormalized=True, scale=2.5))
    np.testing.assert_allclose(weights, [[2.5 * 2 / 3, 2.5 / 3]], rtol=1e-6)


def test_softmax_of_the_chosen_is_the_renormalized_softmax():
    chosen, weights = choose(ONE, Router("softmax of chosen", 3, renormalized=False))
    assert chosen.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(weights, [[4 / 7, 2 / 7, 1 / 7]], rtol=1e-6)


def test_sigmoid_of_each_expert():
    _, weights = choose(ONE, Router("sigmoid", 2, renormalized=False))
    np.testing.assert_allclose(weights, [[4 / 5, 2 / 3]], rtol=1e-6)
    _, weights = choose(ONE, Router("sigmoid", 2, renormalized=True))
    np.testing.assert_allclose(weights, [[12 / 22, 10 / 22]], rtol=1e-6)


def test_selection_bias_chooses_but_does_not_weigh():
    bias = np.array([0.5, 0, 0, 0], np.float32)
    # Scores 1/2, 4/5, 2/3, 1/2; with the bias 1, 4/5, 2/3, 1/2.
    chosen, weights = choose(ONE, Router("sigmoid", 2, renormalized=False), bias)
    assert chosen.tolist() == [[0, 1]]
    np.testing.assert_allclose(weights, [[1 / 2, 4 / 5]], rtol=1e-6)


def test_only_experts_of_the_best_groups_are_chosen():
    # Groups of two: sums 0.75 + 0.5, 0.9 + 0.1, 0.6 + 0.6.
    scores = np.array([0.75, 0.5, 0.9, 0.1, 0.6, 0.6])
    given = np.log(scores / (1 - scores)).astype(np.float32)[None]
    router = Router("sigmoid", 2, renormalized=False, groups=3, groups_used=2)
    chosen, weights = choose(given, router)
    assert chosen.tolist() == [[0, 4]]
    np.testing.assert_allclose(weights, [[0.75, 0.6]], rtol=1e-6)
    alone = Router("sigmoid", 2, renormalized=False, groups=3, groups_used=1)
    assert choose(given, alone)[0].tolist() == [[0, 1]]


def test_groups_are_ranked_by_their_two_best_experts():
    scores = np.array([0.9, 0.1, 0.1, 0.4, 0.4, 0.4])  # 1.0 against 0.8; with all three 1.1 against 1.2
    given = np.log(scores / (1 - scores)).astype(np.float32)[None]
    router = Router("sigmoid", 1, renormalized=False, groups=2, groups_used=1)
    assert choose(given, router)[0].tolist() == [[0]]


def test_ties_go_to_the_lower_number_even_where_softmax_rounds_to_zero():
    assert choose(np.zeros((1, 5), np.float32), Router("softmax", 3, renormalized=True))[0].tolist() == [
        [0, 1, 2]
    ]
    far = np.array([[0, -2000, -1000]], np.float32)  # the last two scores are both 0
    assert choose(far, Router("softmax", 2, renormalized=True))[0].tolist() == [[0, 2]]


def test_logits_that_are_not_finite_stay_visible():
    weights = choose(np.array([[np.nan, 1, 2]], np.float32), Router("softmax", 2, renormalized=True))[1]
    assert np.isnan(weights).all()


def test_shares_are_in_order_of_experts_and_tokens():
    chosen = np.array([[3, 1], [1, 0], [3, 0]])
    weights = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], np.float32)
    found = [
        (share.expert, share.tokens.tolist(), share.weights.tolist()) for share in shares(chosen, weights)
    ]
    expected = [(0, [1, 2], [0.4, 0.6]), (1, [0, 1], [0.2, 0.3]), (3, [0, 2], [0.1, 0.5])]
    assert [(expert, tokens) for expert, tokens, _ in found] == [(e, t) for e, t, _ in expected]
    np.testing.assert_allclose([w for _, _, w in found], [w for _, _, w in expected], rtol=1e-6)
