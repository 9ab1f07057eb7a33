"""The divergence of a packed artifact from exact weights."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.engines.engine_gap import divergence, engine_gap
from evaluator.export.packing.artifact import MODEL_FILE, write_decoder
from evaluator.export.packing.nodes import EXACT_PRODUCTS
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.scoring import window_states
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 1)


@pytest.fixture
def variant(tmp_path):
    return open_gguf(write_tiny_llama(tmp_path / "Tiny-Q4_1.gguf", ggml_type=gguf.GGMLQuantizationType.Q4_1))


def test_engine_gap_is_nothing_but_what_the_fast_kernels_add(variant, tiny_graph, tmp_path):
    ids = np.random.default_rng(2).integers(0, 256, 32).astype(np.int32)
    windows = [Window(0, "d", ids, 8)]
    gaps = {}
    for level in (EXACT_PRODUCTS, 4):
        write_decoder(variant, tiny_graph, tmp_path / str(level), accuracy_level=level)
        artifact = tmp_path / str(level) / MODEL_FILE
        gaps[level] = engine_gap(variant, tiny_graph, artifact, windows, CPU)
    assert abs(gaps[EXACT_PRODUCTS]) < 1e-7
    assert 1e-6 < gaps[4] < 0.05


def test_states_that_are_kept_need_not_be_computed(variant, tiny_graph, tmp_path):
    ids = np.random.default_rng(3).integers(0, 256, (3, 32)).astype(np.int32)
    windows = [Window(number, "d", row, 8) for number, row in enumerate(ids)]
    write_decoder(variant, tiny_graph, tmp_path / "packed")
    given = variant, tiny_graph, tmp_path / "packed" / MODEL_FILE, windows, CPU
    kept = window_states(LayeredModel(tiny_graph, CPU), variant, windows)
    assert engine_gap(*given, kept) == pytest.approx(engine_gap(*given), rel=1e-6)
    assert engine_gap(*given, kept[::-1]) > 100 * engine_gap(*given)


def test_divergence_of_logits_is_that_of_their_distributions():
    first, second = np.random.default_rng(0).standard_normal((2, 5, 40)).astype(np.float32) * 3
    p, q = (np.exp(x.astype(np.float64)) for x in (first, second))
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(divergence(first, second), (p * np.log(p / q)).sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(divergence(first, first), 0)
