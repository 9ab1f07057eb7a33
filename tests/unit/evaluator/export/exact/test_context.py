"""Contexts of exported models: those that no memory holds the tables of are refused before weights are written."""

from __future__ import annotations

import gguf
import pytest
from tiny_models import write_tiny_llama

from evaluator.export.exact import context
from evaluator.export.exact.context import check_tables_fit
from evaluator.export.packing.artifact import WEIGHTS_FILE, write_decoder
from evaluator.models.gguf.reader import open_gguf
from evaluator.support.errors import ExportError

UINT32 = gguf.GGUFValueType.UINT32


def model(folder, tokens):
    metadata = {"llama.context_length": (tokens, UINT32)}
    return open_gguf(write_tiny_llama(folder / "Tiny-F32.gguf", metadata=metadata))


def test_absurd_context_is_refused_with_both_sizes_and_the_way_out(tiny_graph, tmp_path):
    with pytest.raises(
        ExportError, match=r"4,000,000,000 tokens, take [\d,.]+ GB of memory, and [\d,.]+ GB"
    ) as it:
        write_decoder(model(tmp_path, 4_000_000_000), tiny_graph, tmp_path / "out")
    assert str(it.value).startswith(f"{tmp_path}/Tiny-F32.gguf: ")
    assert "gguf-set-metadata FILE llama.context_length TOKENS" in str(it.value)
    assert not (tmp_path / "out" / WEIGHTS_FILE).exists()


def test_limit_is_the_free_memory(tiny_graph, tmp_path, monkeypatch):
    """Four float32 tables of 1000 positions: cosines and sines, and room to compute them."""
    file = model(tmp_path, 1000)
    frequencies = file.metadata["llama.embedding_length"] // file.metadata["llama.attention.head_count"] // 2
    needed = 4 * 4 * frequencies * 1000
    monkeypatch.setattr(context, "free_memory", lambda: needed)
    check_tables_fit(file, tiny_graph)
    monkeypatch.setattr(context, "free_memory", lambda: needed - 1)
    with pytest.raises(ExportError, match="1,000 tokens"):
        check_tables_fit(file, tiny_graph)
