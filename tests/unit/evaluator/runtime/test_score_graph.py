"""The scoring graph in onnxruntime against float64 numpy."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from numpy_llama import log_softmax
from passes import head_of, hidden_of, scores_of

from evaluator.export.exact.weights import head_weights
from evaluator.runtime import head, layered_model
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.head import Head, HeadRows
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.session import Session
from evaluator.texts.windows import Window

VOCABULARY, HIDDEN, ROWS = 101, 16, 7
CPU = choose_device("cpu", 1)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(3)

    def random(*shape):
        return generator.standard_normal(shape).astype(np.float32)

    heads = random(VOCABULARY, HIDDEN), random(VOCABULARY, HIDDEN)
    hidden = random(ROWS, HIDDEN)
    return (
        heads,
        (hidden, hidden + 0.1 * random(ROWS, HIDDEN)),
        generator.integers(0, VOCABULARY, ROWS, np.int32),
    )


def distributions(data):
    heads, hidden, _ = data
    return [
        log_softmax(h.astype(np.float64) @ w.astype(np.float64).T) for h, w in zip(hidden, heads, strict=True)
    ]


def test_likelihood_equals_float64(data):
    heads, hidden, targets = data
    found = head_of(heads[0], None, CPU).score(hidden[0], targets, None)
    logp = distributions(data)[0]
    np.testing.assert_allclose(found.nll, -logp[np.arange(ROWS), targets], rtol=1e-5)
    np.testing.assert_allclose(found.top_prob, np.exp(logp.max(axis=1)), rtol=1e-5)
    assert found.kld is None
    assert found.same_top is None


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_logits_may_be_given(data, softcap, monkeypatch):
    """They are not capped again; slices of 16 tokens do not divide the vocabulary."""
    monkeypatch.setattr(head, "_SLICE_TOKENS", 16)
    heads, hidden, targets = data
    wide = [h.astype(np.float64) @ w.astype(np.float64).T for h, w in zip(hidden, heads, strict=True)]
    if softcap:
        wide[1] = softcap * np.tanh(wide[1] / softcap)
    given, exact = (log_softmax(values) for values in wide)
    reference = HeadRows(VOCABULARY, HIDDEN, lambda start, stop, out=None: heads[1][start:stop])
    scorer = Head(None, reference, CPU, softcap)
    assert scorer.vocabulary == VOCABULARY
    found = scorer.score(wide[0].astype(np.float32), targets, hidden[1])
    np.testing.assert_allclose(found.nll, -given[np.arange(ROWS), targets], rtol=1e-5)
    np.testing.assert_allclose(found.kld, (np.exp(exact) * (exact - given)).sum(axis=1), rtol=1e-4)


def test_divergence_equals_float64(data):
    heads, hidden, targets = data
    found = head_of(heads[0], heads[1], CPU).score(hidden[0], targets, hidden[1])
    variant, baseline = distributions(data)
    np.testing.assert_allclose(found.kld, (np.exp(baseline) * (baseline - variant)).sum(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(found.same_top, variant.argmax(axis=1) == baseline.argmax(axis=1))
    np.testing.assert_allclose(found.nll, -variant[np.arange(ROWS), targets], rtol=1e-5)


@pytest.mark.parametrize("tokens", [1, 13, 4096])
def test_identical_models_diverge_by_exactly_nothing(data, monkeypatch, tokens):
    heads, hidden, targets = data
    monkeypatch.setattr(head, "_SLICE_TOKENS", tokens)
    found = head_of(heads[0], heads[0].copy(), CPU).score(hidden[0], targets, hidden[0].copy())
    assert found.kld.tolist() == [0.0] * ROWS
    assert found.same_top.all()


@pytest.mark.parametrize(("rows", "tokens"), [(1, 200), (3, 50), (6, 7), (200, 1)])
def test_slices_and_blocks_give_the_same_as_one_pass(data, monkeypatch, rows, tokens):
    heads, hidden, targets = data
    whole = head_of(heads[0], heads[1], CPU).score(hidden[0], targets, hidden[1])
    monkeypatch.setattr(head, "_BLOCK_ROWS", rows)
    monkeypatch.setattr(head, "_SLICE_TOKENS", tokens)
    parts = head_of(heads[0], heads[1], CPU).score(hidden[0], targets, hidden[1])
    for name in ("nll", "top_prob", "kld"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-6)
        assert getattr(parts, name).shape == (ROWS,)
    np.testing.assert_array_equal(parts.same_top, whole.same_top)


def test_a_gpu_takes_more_at_a_time_and_only_columns_come_back(data, monkeypatch):
    heads, hidden, targets = data
    taken = []

    class Watched(Session):
        def run(self, inputs):
            outputs = super().run(inputs)
            taken.append((len(inputs["variant_head"].numpy()), {output.shape for output in outputs}))
            return outputs

    monkeypatch.setattr(head, "Session", Watched)
    monkeypatch.setattr(head, "_SLICE_ON_GPU", 60)
    monkeypatch.setattr(head, "_BLOCK_ON_GPU", 4)
    gpu = Device("cuda", "CPUExecutionProvider", 1)
    found = head_of(heads[0], heads[1], gpu).score(hidden[0], targets, hidden[1])
    assert taken == [(60, {(4, 1)}), (60, {(3, 1)}), (41, {(4, 1)}), (41, {(3, 1)})]
    expected = head_of(heads[0], heads[1], CPU).score(hidden[0], targets, hidden[1])
    np.testing.assert_allclose(found.kld, expected.kld, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.nll, expected.nll, rtol=1e-5)


def test_heads_and_hidden_states_are_put_where_the_device_computes(data, monkeypatch):
    placed, on_host = [], ort.OrtValue.ortvalue_from_numpy

    def place(values, *where):
        placed.append(where)
        return on_host(values)

    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_numpy", staticmethod(place))
    monkeypatch.setattr(Device, "providers", ["CPUExecutionProvider"])
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda _: ["CUDAExecutionProvider"])
    heads, hidden, targets = data
    on_second = Device("cuda", "CUDAExecutionProvider", 1, index=1)
    head_of(heads[0], heads[1], on_second).score(hidden[0], targets, hidden[1])
    assert placed == [("cuda", 1)] * 5  # two heads, two hidden states, places of the targets


@pytest.mark.parametrize(("length", "cpu", "gpu"), [(16, 2, 512), (512, 2, 16), (2048, 2, 4), (8192, 1, 2)])
def test_windows_go_through_a_gpu_in_larger_numbers(tiny, tiny_graph, length, cpu, gpu):
    assert LayeredModel(tiny_graph, CPU).together(length) == cpu
    assert LayeredModel(tiny_graph, Device("cuda", "CPUExecutionProvider", 1)).together(length) == gpu


def test_huge_logits_stay_finite(data):
    heads, hidden, targets = data
    found = head_of(heads[0], heads[1], CPU).score(1000 * hidden[0], targets, 1000 * hidden[1])
    assert np.isfinite(found.nll).all()
    assert np.isfinite(found.kld).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_spoils_its_own_row_and_warns_nobody(data, value):
    heads, hidden, targets = data
    spoilt = hidden[0].copy()
    spoilt[2] = value
    found = head_of(heads[0], heads[1], CPU).score(spoilt, targets, hidden[1])
    sound = head_of(heads[0], heads[1], CPU).score(hidden[0], targets, hidden[1])
    assert not np.isfinite(found.kld[2])
    others = np.arange(ROWS) != 2
    np.testing.assert_array_equal(found.kld[others], sound.kld[others])
    np.testing.assert_array_equal(found.nll[others], sound.nll[others])


@pytest.mark.parametrize("together", [1, 2, 3])
def test_windows_run_together_score_as_they_do_alone(tiny, tiny_graph, monkeypatch, together):
    monkeypatch.setattr(layered_model, "_TOGETHER", together)
    generator = np.random.default_rng(4)
    ids = generator.integers(0, 200, (5, 24)).astype(np.int32)
    windows = [Window(index, "d", row, 12) for index, row in enumerate(ids)]
    values = head_weights(tiny)
    paired = head_of(values, generator.permuted(values, axis=1), CPU)
    hidden = np.stack([hidden_of(tiny, tiny_graph, CPU, window) for window in windows])
    found = scores_of(tiny, tiny_graph, CPU, windows, paired, hidden)
    for index, (window, scores) in enumerate(zip(windows, found, strict=True)):
        alone = paired.score(hidden[index], window.targets, hidden[index])
        for name in ("nll", "top_prob", "kld"):
            np.testing.assert_allclose(getattr(scores, name), getattr(alone, name), rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(scores.same_top, alone.same_top)


def test_a_baselines_windows_have_no_divergence(tiny, tiny_graph):
    windows = [Window(index, "d", np.arange(24, dtype=np.int32) + index, 12) for index in range(3)]
    found = scores_of(tiny, tiny_graph, CPU, windows, head_of(head_weights(tiny), None, CPU))
    assert [(len(item.nll), item.kld, item.same_top) for item in found] == [(11, None, None)] * 3


def test_logits_that_do_not_vary_and_those_that_float32_cannot_tell_apart_say_nothing(data):
    """Row 0 is flat, row 1 varies by a ten-thousandth, rows 2 and 3 have a logit of ±1e30 beside their target's.

    Row 3's nll alone would be a value, ln of the vocabulary but one; its KLD is 1e30 times a probability.
    """
    heads, hidden, _ = data
    head = np.zeros((VOCABULARY, 4), np.float32)
    head[7] = (0, 1e-4, 1e30, -1e30)
    states = np.eye(4, dtype=np.float32)
    targets = np.full(4, 3, np.int32)
    found = head_of(head, heads[0][:, :4].copy(), CPU).score(states, targets, hidden[0][:4, :4].copy())
    assert np.isnan(found.nll).tolist() == np.isnan(found.kld).tolist() == [True, False, True, True]
    assert found.nll[1] == pytest.approx(np.log(VOCABULARY), rel=1e-6)
    tops = [1 / VOCABULARY, 1.0001 / VOCABULARY, 1, 1 / (VOCABULARY - 1)]
    np.testing.assert_allclose(found.top_prob, tops, rtol=1e-6)
