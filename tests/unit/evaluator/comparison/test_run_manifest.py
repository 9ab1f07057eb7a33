"""What the manifest says about each variant's measurement."""

from __future__ import annotations

from types import SimpleNamespace

from evaluator.comparison.run_manifest import changes_for
from evaluator.results.manifest import Node

NODE = Node(name="n1", cpu="a processor")


def test_scoring_a_variant_again_replaces_where_and_how_long():
    manifest = SimpleNamespace(
        stage_seconds={"a": {"reading": 1.0}, "b": {"reading": 2.0}}, nodes={"a": NODE}
    )
    here = changes_for(manifest, "a", {"reading": 0.12345}, None)
    assert here == {"stage_seconds": {"a": {"reading": 0.123}, "b": {"reading": 2.0}}, "nodes": {}}
    there = changes_for(manifest, "b", {"reading": 3.0}, NODE)
    assert there["nodes"] == {"a": NODE, "b": NODE}
