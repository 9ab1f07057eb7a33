"""Drift of layers against numpy on the same residual streams."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_llama import final_hidden
from passes import head_of, scores_of
from tiny_models import write_tiny_llama

from evaluator.comparison.layers.drift import BaselineStream, Drift, Sample
from evaluator.export.exact.weights import head_weights
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 2)
IDS = np.random.default_rng(8).integers(0, 256, (3, 24)).astype(np.int32)
WINDOWS = [Window(index, "d", ids, 12) for index, ids in enumerate(IDS)]


SAMPLE = Sample.of(WINDOWS, 2, 256)


def run(file, graph, observer):
    """Score the windows with an observer, without a baseline."""
    scores_of(file, graph, CPU, WINDOWS, head_of(head_weights(file), None, CPU), observer=observer)


@pytest.fixture(scope="module")
def stream(tiny, tiny_graph, tmp_path_factory):
    found = BaselineStream(tmp_path_factory.mktemp("s") / "b.npy", SAMPLE)
    assert not found.is_complete
    run(tiny, tiny_graph, found)
    found.seal()
    return found


def stream_of(file, ids):
    """Return the stream by numpy after each layer, float64 [points, positions, hidden]."""
    layers = []
    final_hidden(file.dequantize, ids, stream=layers)
    return np.stack(layers)


def test_the_baselines_stream_is_that_of_an_independent_model(stream, tiny):
    assert stream.is_complete
    for index in range(3):
        expected = stream_of(tiny, IDS[index])[:, 12:23]
        for point in range(3):
            np.testing.assert_allclose(stream.of(point, index), expected[point], rtol=1e-3, atol=1e-4)


def test_another_sample_is_not_complete(stream):
    fewer = BaselineStream(stream.path, Sample.of(WINDOWS[:2], 2, 256))
    assert not fewer.is_complete


def test_drift_of_a_variant(stream, tiny, tiny_graph, tmp_path):
    variant = open_gguf(write_tiny_llama(tmp_path / "v.gguf", noise=0.01))
    drift = Drift(stream, 256)
    run(variant, tiny_graph, drift)
    frame = drift.layer_rows("v")
    v, b = (np.concatenate([stream_of(f, ids)[:, 12:23] for ids in IDS], axis=1) for f in (variant, tiny))
    assert frame["layer"].to_list() == [0, 1]
    assert set(frame["role"]) == {"layer"}
    for layer in range(2):
        x, y = v[layer + 1], b[layer + 1]
        error = np.linalg.norm(x - y) / np.linalg.norm(y)
        cosine = ((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).mean()
        assert frame["hidden_error"][layer] == pytest.approx(error, rel=1e-4)
        assert frame["cosine"][layer] == pytest.approx(cosine, rel=1e-5)
        assert 0.01 < error < 1


def test_same_model_drifts_by_exactly_nothing(stream, tiny, tiny_graph):
    drift = Drift(stream, 256)
    run(tiny, tiny_graph, drift)
    assert drift.layer_rows("v")["hidden_error"].to_list() == [0.0, 0.0]


def test_drift_goes_on_from_its_state(stream, tiny_graph, tmp_path):
    variant = open_gguf(write_tiny_llama(tmp_path / "v.gguf", noise=0.01))
    whole, first, second = Drift(stream, 256), Drift(stream, 256), Drift(stream, 256)
    run(variant, tiny_graph, whole)
    values = {(p, i): stream.of(p, i) + np.float32(1 + p) for p in range(3) for i in range(3)}
    for (point, index), sample in values.items():
        (first if point < 2 else second).take(point, index, sample)
    second.restore({**first.state(), **second.state()})
    once = Drift(stream, 256)
    for (point, index), sample in values.items():
        once.take(point, index, sample)
    assert second.layer_rows("v").equals(once.layer_rows("v"))


@pytest.mark.parametrize(("n_layers", "hidden", "rows"), [(30, 576, 11), (80, 8192, 8)])
def test_sample_is_smaller_for_large_models(n_layers, hidden, rows):
    windows = [Window(index, "d", np.zeros(512, np.int32), 500) for index in range(9)]
    assert len(Sample.of(windows, n_layers, hidden).rows) == rows


def test_layers_without_a_finite_value_are_null(stream):
    drift = Drift(stream, 256)
    for point in range(3):
        drift.take(point, 0, np.full_like(stream.of(point, 0), np.inf if point == 1 else 1))
    frame = drift.layer_rows("v")
    assert frame["hidden_error"].is_null().to_list() == [True, False]


class _Routed:
    """A baseline's sample of one window and layer, without a stream."""

    windows, rows = frozenset({0}), np.arange(3)

    def __init__(self, probabilities, chosen):
        self._values = np.concatenate([np.ones((3, 1)), probabilities, chosen], axis=1).astype(np.float32)

    def of(self, point, index):
        return self._values


def test_routing_is_compared_by_hand():
    p = np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0], [0.2, 0.2, 0.6]])
    q = np.array([[0.25, 0.5, 0.25], [0.5, 0.5, 0], [0.2, 0.2, 0.6]])
    chosen = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]])
    others = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
    drift = Drift(_Routed(p, chosen), 1)
    drift.take(1, 0, _Routed(q, others).of(1, 0))
    (row,) = drift.layer_rows("v").to_dicts()
    assert row["routing_changed"] == pytest.approx(1 / 3)
    divergence = 0.5 * np.log(0.5 / 0.25) + 0.25 * np.log(0.25 / 0.5)
    assert row["routing_kld"] == pytest.approx(divergence / 3, rel=1e-6)


def test_layers_without_experts_have_no_routing():
    nothing = np.full((3, 3), np.nan)
    drift = Drift(_Routed(nothing, nothing), 1)
    drift.take(1, 0, _Routed(nothing, nothing).of(1, 0))
    (row,) = drift.layer_rows("v").to_dicts()
    assert (row["hidden_error"], row["routing_changed"], row["routing_kld"]) == (0, None, None)
