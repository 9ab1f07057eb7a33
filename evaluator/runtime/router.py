"""Choose each token's experts and the weights of their outputs, from the router's logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluator.models.architectures.mixture import Router

Values = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
_Scores = npt.NDArray[np.float64]

#: A group of experts is ranked by this many of its best scores.
_RANKED_BY = 2
#: Smallest divisor of weights; transformers adds it to their sum.
_SMALLEST_SUM = 1e-20


@dataclass(frozen=True)
class Share:
    """The tokens of one expert: int64 [tokens], and the weight of its output for each, float32 [tokens]."""

    expert: int
    tokens: Numbers
    weights: Values


def choose(logits: Values, router: Router, selection_bias: Values | None = None) -> tuple[Numbers, Values]:
    """Choose experts, best first; of experts with equal scores, the one with the lower number.

    Args:
        logits: float32 [tokens, experts].
        router: how the layer chooses.
        selection_bias: float32 [experts], added to the scores by which experts are chosen.

    Returns:
        The chosen experts, int64 [tokens, used], and the weights of their outputs, float32 [tokens, used].
    """
    values = logits.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        scores = values
        if router.gating == "softmax":
            scores = _softmax(values)
        elif router.gating == "sigmoid":
            scores = _sigmoid(values)
        # Logits have the same order as their softmax, but no ties by rounding; their sums have not.
        by_logits = router.gating == "softmax" and selection_bias is None and router.groups == 1
        ranking = values if by_logits else scores
        if selection_bias is not None:
            ranking = ranking + selection_bias
        if router.groups > 1:
            ranking = _within_best_groups(ranking, router)
        chosen = _best(ranking, router.used)
        weights = np.take_along_axis(scores, chosen, axis=1)
        if router.gating == "softmax of chosen":
            weights = _softmax(weights)
        if router.renormalized:
            weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), _SMALLEST_SUM)
        return chosen, (weights * router.scale).astype(np.float32)


def probabilities(logits: Values, router: Router) -> Values:
    """Return each token's distribution over all experts, float32 [tokens, experts]: scores divided by their sum.

    Args:
        logits: float32 [tokens, experts].
        router: how the layer chooses; chosen by logits, experts have the scores of a softmax over all of them.
    """
    values = logits.astype(np.float64)
    scores = _sigmoid(values) if router.gating == "sigmoid" else _softmax(values)
    shared: _Scores = scores / np.maximum(scores.sum(axis=1, keepdims=True), _SMALLEST_SUM)
    return shared.astype(np.float32)


def shares(chosen: Numbers, weights: Values) -> Iterator[Share]:
    """Yield the experts that any token chose, in order, each with its tokens in order.

    Args:
        chosen: int64 [tokens, used].
        weights: float32 [tokens, used].
    """
    used = chosen.shape[1]
    order = np.argsort(chosen, axis=None, kind="stable")
    experts, starts = np.unique(chosen.reshape(-1)[order], return_index=True)
    for expert, places in zip(experts, np.split(order, starts[1:]), strict=True):
        yield Share(int(expert), places // used, weights.reshape(-1)[places])


def _best(ranking: _Scores, count: int) -> Numbers:
    """Return the places of the `count` largest values of each row, largest first."""
    return np.argsort(-ranking, axis=1, kind="stable")[:, :count].astype(np.int64)


def _within_best_groups(ranking: _Scores, router: Router) -> _Scores:
    """Set the ranking of experts outside of the best groups to −∞."""
    grouped = ranking.reshape(len(ranking), router.groups, -1)
    best = -np.sort(-grouped, axis=2)[:, :, :_RANKED_BY].sum(axis=2)
    open_groups = np.zeros(best.shape, np.bool_)
    np.put_along_axis(open_groups, _best(best, router.groups_used), values=True, axis=1)
    masked: _Scores = np.where(open_groups[:, :, None], grouped, -np.inf).reshape(ranking.shape)
    return masked


def _softmax(values: _Scores) -> _Scores:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: _Scores = powers / powers.sum(axis=1, keepdims=True)
    return result


def _sigmoid(values: _Scores) -> _Scores:
    result: _Scores = 1 / (1 + np.exp(-values))
    return result
