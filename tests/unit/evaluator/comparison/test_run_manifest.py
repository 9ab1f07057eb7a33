"""What the manifest says about each variant's measurement."""

from __future__ import annotations

from types import SimpleNamespace

from evaluator.comparison.run_manifest import changes_for, in_words
from evaluator.results.manifest import MemoryUse, Node

NODE = Node(name="n1", cpu="a processor")


def test_scoring_a_variant_again_replaces_where_and_how_long():
    manifest = SimpleNamespace(
        stage_seconds={"a": {"reading": 1.0}, "b": {"reading": 2.0}}, nodes={"a": NODE}
    )
    here = changes_for(manifest, "a", {"reading": 0.12345}, None)
    assert here == {"stage_seconds": {"a": {"reading": 0.123}, "b": {"reading": 2.0}}, "nodes": {}}
    there = changes_for(manifest, "b", {"reading": 3.0}, NODE)
    assert there["nodes"] == {"a": NODE, "b": NODE}


def test_memory_in_words():
    memory = MemoryUse(
        budget_bytes=8_000_000_000,
        requested=False,
        streams="disk",
        stream_bytes=12_340_000_000,
        piece_bytes=700_000_000,
        ahead=True,
    )
    assert in_words(memory) == (
        "memory: at most 8.0 GB (80% of what is free; --memory changes it); weights: two parts of a layer at a time, "
        "up to 700 MB each; hidden states of all windows: 12.3 GB, on disk"
    )
    requested = in_words(memory.model_copy(update={"requested": True, "ahead": False, "streams": "device"}))
    assert "8.0 GB (--memory); weights: one part of a layer at a time" in requested
    assert requested.endswith("12.3 GB, in memory")
