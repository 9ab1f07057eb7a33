"""Sharing out bytes: brute force over all combinations is the oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gguf import GGMLQuantizationType as GGMLType

from evaluator.quantize.allocation import Option, allocate

KINDS = (GGMLType.Q2_K, GGMLType.Q3_K, GGMLType.Q4_K, GGMLType.Q6_K)


def random_options(seed):
    """Losses that fall by about four per step, as quantization errors do."""
    generator = np.random.default_rng(seed)
    options = {}
    for index in range(5):
        size, scale = int(generator.integers(1, 20)), generator.lognormal(0, 1)
        losses = scale * 4.0 ** -np.arange(len(KINDS)) * generator.uniform(0.9, 1.1, len(KINDS))
        steps = zip(KINDS, (2, 3, 4, 6), losses, strict=True)
        options[f"m{index}"] = [Option(kind, size * bits, float(loss)) for kind, bits, loss in steps]
    return options


def totals(options, types):
    picked = [next(item for item in offers if item.kind == types[name]) for name, offers in options.items()]
    return sum(item.n_bytes for item in picked), sum(item.loss for item in picked)


@pytest.mark.parametrize("seed", range(8))
def test_budget_is_kept_and_the_loss_is_near_the_least_possible(seed):
    options = random_options(seed)
    cheapest = sum(offers[0].n_bytes for offers in options.values())
    budget = int(1.6 * cheapest)
    n_bytes, loss = totals(options, allocate(options, budget))
    every = (
        dict(zip(options, kinds, strict=True)) for kinds in itertools.product(KINDS, repeat=len(options))
    )
    least = min(found[1] for found in (totals(options, types) for types in every) if found[0] <= budget)
    assert n_bytes <= budget
    assert loss <= 1.02 * least


def test_a_large_matrix_is_not_left_behind_by_small_steps_that_gain_a_little_more():
    small = [Option(GGMLType.Q4_0, 1, 1.1), Option(GGMLType.Q8_0, 2, 0.0)]
    large = [Option(GGMLType.Q4_0, 10, 10.0), Option(GGMLType.Q8_0, 20, 0.0)]
    options = {"head": large, "last": large} | {f"m{index}": small for index in range(10)}
    chosen = allocate(options, 45)
    # 45 bytes: 30 for the cheapest, 15 more. Small steps first would leave 5 that no large step fits into.
    assert totals(options, chosen) == (45, pytest.approx(10.0 + 5 * 1.1))


def test_larger_budgets_never_lose_more():
    options = random_options(3)
    losses = [totals(options, allocate(options, budget))[1] for budget in range(0, 400, 5)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(losses))
    assert losses[-1] < losses[0] / 10


def test_the_cheapest_are_the_answer_to_too_small_a_budget():
    assert set(allocate(random_options(1), 0).values()) == {GGMLType.Q2_K}


def test_a_type_that_costs_more_and_loses_more_is_never_taken():
    options = {
        "m": [Option(GGMLType.Q4_0, 10, 1.0), Option(GGMLType.Q4_1, 11, 1.2), Option(GGMLType.Q8_0, 20, 0.1)]
    }
    assert allocate(options, 12) == {"m": GGMLType.Q4_0}
    assert allocate(options, 20) == {"m": GGMLType.Q8_0}


def test_equal_gains_go_by_name():
    offers = [Option(GGMLType.Q4_0, 10, 1.0), Option(GGMLType.Q8_0, 20, 0.1)]
    assert allocate({"b": offers, "a": offers}, 30) == {"b": GGMLType.Q4_0, "a": GGMLType.Q8_0}
