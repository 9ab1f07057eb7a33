"""The exported graph of a tiny model, filled from its file, against a float64 Llama in numpy."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy_llama import final_hidden
from passes import hidden_of
from tiny_models import write_tiny_llama

from evaluator.export.exact import graph as graph_module
from evaluator.export.exact.artifact import write_exact
from evaluator.export.exact.graph import graph_request, is_cached, load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.support.errors import ExportError, SourceError
from evaluator.texts.windows import Window

IDS = np.random.default_rng(5).integers(0, 256, 24).astype(np.int32)


def test_body_computes_what_numpy_computes_from_the_same_file(tiny, tiny_graph):
    found = hidden_of(tiny, tiny_graph, choose_device("cpu", 2), Window(0, "d", IDS, 12))
    expected = final_hidden(tiny.dequantize, IDS)[12:23]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_frequency_factors_of_a_file_divide_the_rotary_frequencies(tiny_graph, tmp_path):
    factors = np.linspace(1, 8, 32)
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", frequency_factors=factors.tolist()))
    found = hidden_of(file, tiny_graph, choose_device("cpu", 2), Window(0, "d", IDS, 12))
    expected = final_hidden(file.dequantize, IDS, factors=factors)[12:23]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(expected - final_hidden(file.dequantize, IDS)[12:23]).max() > 0.01


def test_artifact_runs_alone_and_gives_the_logits(tiny, tiny_graph, tmp_path):
    n_bytes = write_exact(tiny, tiny_graph, tmp_path / "onnx")
    files = {path.name: path.stat().st_size for path in (tmp_path / "onnx").iterdir()}
    assert set(files) == {"model.onnx", "weights.bin", "export.json"}
    assert n_bytes == sum(files.values())
    session = ort.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    available = {
        "input_ids": IDS[None].astype(np.int64),
        "attention_mask": np.ones((1, 24), np.int64),
        "position_ids": np.arange(24)[None],
    }
    (logits,) = session.run(["logits"], {item.name: available[item.name] for item in session.get_inputs()})
    expected = final_hidden(tiny.dequantize, IDS) @ tiny.dequantize("token_embd.weight").T.astype(np.float64)
    np.testing.assert_allclose(logits[0], expected, rtol=1e-3, atol=1e-3)


def test_second_load_comes_from_the_cache(tiny, tiny_graph, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("exported again"))
    assert is_cached(tiny)
    assert load_graph(tiny) == tiny_graph


def test_files_of_one_shape_share_a_request_and_others_do_not(tiny, tmp_path):
    same = open_gguf(write_tiny_llama(tmp_path / "s.gguf", seed=3))
    other = open_gguf(write_tiny_llama(tmp_path / "o.gguf", ffn=256))
    assert graph_request(same) == graph_request(tiny) != graph_request(other)
    assert json.loads(json.dumps(graph_request(tiny))) == graph_request(tiny)


def test_failed_export_is_one_line_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(graph_module, "_EXPORT_MODULE", "evaluator.no_such_module")
    with pytest.raises(ExportError, match=r"llama graph failed: .*no_such_module"):
        load_graph(tiny)
    assert list((tmp_path / "graphs").iterdir()) == []


@pytest.fixture
def cached(tiny_graph, tmp_path, monkeypatch):
    """The folder of the tiny model's graph in a cache of its own, where exporting copies it."""

    def copy(_module, _request, folder):
        for path in (tiny_graph.path, tiny_graph.path.with_name("slots.json")):
            shutil.copy(path, folder)

    monkeypatch.setenv("EVALUATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(graph_module, "run_module", copy)
    source = tiny_graph.path.parent
    return Path(shutil.copytree(source, tmp_path / "graphs" / source.name))


@pytest.mark.parametrize("name", ["slots.json", "skeleton.onnx", "fused.onnx"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_damaged_graph_in_the_cache_is_exported_again_and_said(tiny, tiny_graph, cached, name, kept):
    content = (cached / name).read_bytes()
    (cached / name).write_bytes(content[: int(kept * len(content))])
    said = []
    loaded = load_graph(tiny, said.append)
    assert loaded.slots == tiny_graph.slots
    assert loaded.fused == replace(tiny_graph.fused, path=cached / "fused.onnx")
    assert (cached / name).read_bytes() == content
    (line,) = said
    assert line.startswith(f"{cached}: the exported graph is damaged: ")
    assert line.endswith("; exporting it again")
    load_graph(tiny, said.append)
    assert len(said) == 1


def test_exported_files_are_on_the_disk_before_they_are_in_the_cache(tiny, cached, monkeypatch):
    shutil.rmtree(cached)
    synced = []
    monkeypatch.setattr(graph_module, "sync", lambda path: synced.append((path.name, cached.exists())))
    load_graph(tiny)
    assert sorted(synced) == [("request.json", False), ("skeleton.onnx", False), ("slots.json", False)]


def test_file_without_an_embedding_is_refused(tmp_path):
    file = open_gguf(write_tiny_llama(tmp_path / "m.gguf", layers=1, drop=["token_embd.weight"]))
    with pytest.raises(SourceError, match=r"token_embd\.weight is missing"):
        graph_request(file)


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("token_embd.weight", (262, 256), "has 262 rows for 263 tokens"),
        ("output.weight", (200, 256), "has 200 rows for 263 tokens"),
        ("output.weight", (263, 128), r"is \(263, 128\), the metadata say rows of 256"),
        ("output.weight", (67_328,), r"is \(67328,\), the metadata say rows of 256"),
    ],
)
def test_embedding_or_head_that_does_not_hold_the_vocabulary_is_refused(tiny, name, shape, reason):
    info = replace(tiny.tensor("token_embd.weight"), name=name, shape=shape)
    with pytest.raises(SourceError, match=rf"{name} {reason}"):
        graph_request(replace(tiny, tensors={**tiny.tensors, name: info}))


def test_rows_beyond_the_vocabulary_are_padding(tiny):
    info = replace(tiny.tensor("token_embd.weight"), name="output.weight", shape=(320, 256))
    assert graph_request(replace(tiny, tensors={**tiny.tensors, "output.weight": info})) == graph_request(
        tiny
    )
