"""Registries discover entries, suggest names and reject duplicates."""

from __future__ import annotations

import pytest

from evaluator.metrics import METRIC_FAMILIES
from evaluator.models.architectures import ARCHITECTURES
from evaluator.support.registry import Registry


def test_unknown_name_suggests_the_nearest_and_lists_the_known():
    with pytest.raises(LookupError, match=r"did you mean llama\?.*known: .*llama, .*qwen2"):
        ARCHITECTURES.get("lama")


def test_far_name_gets_no_suggestion():
    with pytest.raises(LookupError) as caught:
        ARCHITECTURES.get("zzzz")
    assert "did you mean" not in str(caught.value)


def test_duplicate_is_refused():
    registry: Registry[int] = Registry("number", "evaluator.metrics.families")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="'one' is registered twice"):
        registry.register("one")(2)
    assert registry.get("one") == 1


def test_families_are_discovered_from_their_files():
    assert {"likelihood", "divergence", "delta_p", "confidence", "efficiency"} <= set(METRIC_FAMILIES.names())
    assert [name for name, _ in METRIC_FAMILIES] == METRIC_FAMILIES.names()
