"""Choose each token's experts inside a graph, as `runtime.router` does outside of one."""

from __future__ import annotations

import numpy as np

from evaluator.export.composing.builder import Builder
from evaluator.models.architectures.mixture import Router

#: A group of experts is ranked by this many of its best scores.
_RANKED_BY = 2
#: Smallest divisor of weights.
_SMALLEST_SUM = 1e-20


def choose(
    builder: Builder, logits: str, router: Router, count: int, bias: str | None = None
) -> tuple[str, str]:
    """Add the choice of experts, best first.

    Args:
        builder: the piece.
        logits: float32 [tokens, experts].
        router: how the layer chooses.
        count: number of experts.
        bias: float32 [experts], added to the scores by which experts are chosen.

    Returns:
        The chosen experts, int64 [tokens, used], and the weights of their outputs, float32 [tokens, used].
    """
    scores = logits
    if router.gating == "softmax":
        scores = builder.op("Softmax", logits, axis=-1)
    elif router.gating == "sigmoid":
        scores = builder.op("Sigmoid", logits)
    # Logits have the same order as their softmax, but no ties by rounding; their sums have not.
    by_logits = router.gating == "softmax" and bias is None and router.groups == 1
    ranking = logits if by_logits else scores
    if bias is not None:
        ranking = builder.op("Add", ranking, bias)
    if router.groups > 1:
        ranking = _within_best_groups(builder, ranking, router, count)
    _, chosen = _best(builder, ranking, router.used)
    weights = builder.op("GatherElements", scores, chosen, axis=-1)
    if router.gating == "softmax of chosen":
        weights = builder.op("Softmax", weights, axis=-1)
    if router.renormalized:
        total = builder.op("ReduceSum", weights, builder.constant([-1], np.int64), keepdims=1)
        weights = builder.op("Div", weights, builder.op("Max", total, builder.constant(_SMALLEST_SUM)))
    return chosen, builder.scaled(weights, router.scale)


def _best(builder: Builder, ranking: str, count: int) -> tuple[str, str]:
    """Return the `count` largest values of the last axis and their places; of equal ones, the first."""
    values, places = builder.node("TopK", ranking, builder.constant([count], np.int64), outputs=2, axis=-1)
    return values, places


def _within_best_groups(builder: Builder, ranking: str, router: Router, count: int) -> str:
    """Return a ranking in which experts outside of the best groups have −∞."""
    size = count // router.groups
    grouped = builder.reshape(ranking, [-1, router.groups, size])
    best, _ = _best(builder, grouped, min(_RANKED_BY, size))
    ranks = builder.op("ReduceSum", best, builder.constant([-1], np.int64), keepdims=0)
    _, groups = _best(builder, ranks, router.groups_used)
    # [tokens, used groups, 1] against [groups]: a group is open if any of the used ones is it.
    places = builder.op("Unsqueeze", groups, builder.constant([-1], np.int64))
    same = builder.op("Equal", places, builder.constant(np.arange(router.groups), np.int64))
    marks = builder.op("Cast", same, to=1)
    opened = builder.op("ReduceMax", marks, builder.constant([1], np.int64), keepdims=0)
    mask = builder.op("Cast", builder.op("Unsqueeze", opened, builder.constant([-1], np.int64)), to=9)
    return builder.reshape(
        builder.op("Where", mask, grouped, builder.constant(-np.inf)), [-1, router.groups * size]
    )
