"""Drift of layers against numpy on the same residual streams."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.comparison.layers.drift import BaselineStream, Drift, spread
from evaluator.export.exact.weights import head_weights
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.runtime.scoring import Body, Head, score_windows
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 2)
IDS = np.random.default_rng(8).integers(0, 256, (3, 24)).astype(np.int32)
WINDOWS = [Window(index, "d", ids, 12) for index, ids in enumerate(IDS)]


@pytest.mark.parametrize(
    ("n", "most", "expected"), [(3, 8, [0, 1, 2]), (9, 3, [0, 4, 8]), (1, 64, [0]), (255, 2, [0, 254])]
)
def test_spread(n, most, expected):
    assert spread(n, most).tolist() == expected


@pytest.fixture(scope="module")
def stream(tiny, tiny_graph):
    found = BaselineStream(WINDOWS)
    head = Head(head_weights(tiny), None, CPU)
    score_windows(Body(tiny, tiny_graph, CPU), head, WINDOWS, [None] * 3, watch=found.watch())
    return found


def test_stream_seen_while_scoring_is_that_of_a_run_of_its_own(stream, tiny, tiny_graph):
    again = BaselineStream(WINDOWS)
    assert not again.is_complete
    again.complete(Body(tiny, tiny_graph, CPU))
    assert again.is_complete
    assert stream.is_complete
    for index in range(3):
        np.testing.assert_array_equal(again.seen[index], stream.seen[index])


def test_drift_of_a_variant(stream, tiny_graph, tmp_path):
    variant = open_gguf(write_tiny_llama(tmp_path / "v.gguf", noise=0.01))
    drift, body = Drift(stream.seen), Body(variant, tiny_graph, CPU)
    head = Head(head_weights(variant), None, CPU)
    score_windows(body, head, WINDOWS, [None] * 3, watch=drift.watch(WINDOWS))
    frame = drift.rows("v")
    rows = np.arange(11)
    v = np.concatenate([body.observe([window], rows)[1][0] for window in WINDOWS], axis=1).astype(np.float64)
    b = np.concatenate([stream.seen[index] for index in range(3)], axis=1).astype(np.float64)
    assert frame["layer"].to_list() == [0, 1]
    assert set(frame["role"]) == {"layer"}
    for layer in range(2):
        x, y = v[layer + 1], b[layer + 1]
        error = np.linalg.norm(x - y) / np.linalg.norm(y)
        cosine = ((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).mean()
        assert frame["hidden_error"][layer] == pytest.approx(error, rel=1e-6)
        assert frame["cosine"][layer] == pytest.approx(cosine, rel=1e-6)
        assert 0.01 < error < 1


def test_same_model_drifts_by_exactly_nothing(stream):
    drift = Drift(stream.seen)
    for index, values in stream.seen.items():
        drift.take(index, values.copy())
    assert drift.rows("v")["hidden_error"].to_list() == [0.0, 0.0]
    np.testing.assert_allclose(drift.rows("v")["cosine"], 1, rtol=1e-12)


def test_values_that_overflow_are_null_and_nothing_seen_is_no_row(stream):
    drift = Drift(stream.seen)
    assert drift.rows("v").is_empty()
    broken = stream.seen[0].copy()
    broken[1] = np.inf
    drift.take(0, broken)
    assert drift.rows("v")["hidden_error"].to_list() == [None, 0.0]
    assert drift.rows("v")["cosine"][0] is None
