"""A graph carried to another folder is the same graph."""

from __future__ import annotations

from dataclasses import replace

import random_families

from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.graph_files import graph_from_files, read_files
from evaluator.export.fusion.stored import FUSION_VERSION
from evaluator.models.gguf.reader import open_gguf


def test_carried_graph_is_the_exported_one(tiny, tiny_graph, tmp_path):
    files = read_files(tiny_graph)
    carried = graph_from_files(files, tmp_path / "graph", tiny)
    assert carried.path.parent == tmp_path / "graph"
    here = replace(tiny_graph.fused, path=carried.fused.path)
    assert carried == replace(tiny_graph, path=carried.path, fused=here)
    assert read_files(carried) == files


def test_graph_that_is_there_is_not_written_again(tiny, tiny_graph, tmp_path):
    first = graph_from_files(read_files(tiny_graph), tmp_path, tiny)
    before = first.path.stat().st_mtime_ns
    assert graph_from_files({}, tmp_path, tiny) == first
    assert first.path.stat().st_mtime_ns == before


def test_graph_without_fusion_stays_without(tiny, tiny_graph, tmp_path):
    files = {
        name: content
        for name, content in read_files(tiny_graph).items()
        if name not in ("fused.onnx", "fusion.json")
    }
    record = b'{"version": "%s", "residuals": [], "fused": null, "reason": "a test"}'
    files["fusion.json"] = record % FUSION_VERSION.encode()
    carried = graph_from_files(files, tmp_path, tiny)
    assert carried.fused is None
    assert carried.plain_reason == "a test"


def test_a_described_graph_has_no_files_and_is_made_from_the_description(tmp_path):
    file = open_gguf(random_families.write("qwen35", tmp_path / "m.gguf"))
    graph = load_graph(file)
    assert read_files(graph) == {}
    assert graph_from_files({}, tmp_path / "graph", file) == graph
