"""What memory is said to be free."""

from __future__ import annotations

import pytest

from evaluator.support import memory
from evaluator.support.memory import free_memory


def test_free_memory_is_what_the_container_leaves(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", limit)
    everything = free_memory()
    limit.write_text("max\n")
    assert free_memory() == pytest.approx(everything, rel=0.5)
    limit.write_text("1000\n")
    assert free_memory() == 0
