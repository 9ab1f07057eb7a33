"""What llama.cpp adds to the loss, against divergences of its logits in float64."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import gguf
import numpy as np
import pytest
from llama_logits import float32_settings, logits
from numpy_llama import log_softmax
from tiny_models import write_tiny_llama

from evaluator.engines import Bench, Case
from evaluator.engines.llama_cpp import scoring
from evaluator.engines.llama_cpp.scoring import llama_losses
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.results.schema import CACHE_LOSSES
from evaluator.runtime.device import choose_device
from evaluator.runtime.head import Head
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.scoring import window_states
from evaluator.runtime.timing import Exercise
from evaluator.support.errors import EvaluatorError
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 1)
DEFAULT, FLOAT32 = Settings(1), float32_settings(32)
WINDOWS = [
    Window(number, "d", ids, 16)
    for number, ids in enumerate(np.random.default_rng(4).integers(0, 256, (3, 32)).astype(np.int32))
]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The same weights in several types; the first is the baseline."""
    folder, kinds = tmp_path_factory.mktemp("cases"), gguf.GGMLQuantizationType
    found = {}
    for kind in (kinds.F32, kinds.Q8_0, kinds.Q4_0):
        file = open_gguf(write_tiny_llama(folder / f"Tiny-{kind.name}.gguf", ggml_type=kind))
        states = window_states(LayeredModel(load_graph(file), CPU), file, WINDOWS)
        baseline = found.get("F32")
        first = baseline.states() if baseline else states
        head = Head.of(file, baseline.file if baseline else file, CPU)
        scores = [head.score(states[w.index], w.targets, first[w.index]) for w in WINDOWS]
        nll, kld = (np.stack([getattr(item, name) for item in scores]) for name in ("nll", "kld"))
        own = lambda states=states: states  # noqa: E731
        exact = own, own, (lambda nll=nll: nll), (lambda kld=kld: kld)
        found[kind.name] = Case(kind.name, file, kind == kinds.F32, *exact)
    return found


@pytest.fixture
def bench(cases):
    said = []
    given = Exercise.of(WINDOWS[0].ids), 1 << 30, lambda: None, cases["F32"], said.append
    return Bench(CPU, WINDOWS, *given, range(3)), said


def test_float32_weights_in_float32_lose_nothing(cases, bench):
    found = llama_losses(cases["F32"], bench[0], FLOAT32)
    assert abs(found["kld_mean"]) < 1e-8
    assert found["baseline_kld_mean"] == found["kld_mean"]


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0"])
def test_kernels_of_quantized_types_lose_something(cases, bench, name):
    """They round activations to 8 bits, whatever the cache."""
    for settings in (FLOAT32, DEFAULT):
        assert 1e-6 < llama_losses(cases[name], bench[0], settings)["kld_mean"] < 0.01


def test_statistics_are_those_of_the_logits_in_double_precision(cases, bench, monkeypatch):
    monkeypatch.setattr(scoring, "_BLOCK_BYTES", 7 * 4 * 263)  # blocks that do not divide a window's 15 rows
    found = llama_losses(cases["Q4_0"], bench[0], FLOAT32)
    ids = np.stack([window.ids for window in WINDOWS])
    logp = {
        name: log_softmax(logits(case.file.path, ids)[:, 16:-1].astype(float)) for name, case in cases.items()
    }
    nll, exact = (
        -np.take_along_axis(logp[name], ids[:, 17:, None].astype(int), axis=2)[:, :, 0]
        for name in ("Q4_0", "F32")
    )
    assert found["ppl"] == pytest.approx(np.exp(nll.mean()), rel=1e-5)
    kld = (np.exp(logp["F32"]) * (logp["F32"] - logp["Q4_0"])).sum(axis=2)  # F32: exact also in llama.cpp
    assert found["baseline_kld_mean"] == pytest.approx(kld.mean(), rel=1e-3)
    assert found["baseline_kld_se"] == pytest.approx(kld.std() / np.sqrt(44), rel=1e-3)
    # Of windows of one length, the clustered error is that of the mean of their means.
    assert found["baseline_kld_se_clustered"] == pytest.approx(
        kld.mean(axis=1).std(ddof=1) / np.sqrt(3), rel=1e-3
    )
    paired = nll - exact
    assert found["baseline_ln_ppl_ratio"] == pytest.approx(paired.mean(), rel=1e-3)
    assert found["baseline_ln_ppl_ratio_se_clustered"] == pytest.approx(
        paired.mean(axis=1).std(ddof=1) / np.sqrt(3), rel=1e-3
    )
    assert found["baseline_same_top"] == (logp["F32"].argmax(axis=2) == logp["Q4_0"].argmax(axis=2)).mean()
    own = cases["Q4_0"].nll()
    assert found["ln_ppl_ratio"] == pytest.approx((nll - own).mean(), rel=1e-3)
    change = kld - cases["Q4_0"].kld()
    assert found["kld_change"] == pytest.approx(change.mean(), abs=1e-6)
    assert found["kld_change_se_clustered"] == pytest.approx(
        change.mean(axis=1).std(ddof=1) / np.sqrt(3), rel=1e-2
    )
    assert set(found) == set(CACHE_LOSSES)


def test_a_single_window_has_no_clustered_error(cases, bench):
    case = replace(cases["F32"], states=lambda: cases["F32"].states()[1:2])
    found = llama_losses(case, replace(bench[0], compared=[1]), DEFAULT)
    assert found["kld_mean"] < 0.01
    assert found["n_tokens"] == 15
    assert "kld_se" in found
    assert [name for name in found if "clustered" in name] == []


def test_some_windows_are_compared_with_their_own_exact_weights(cases, bench):
    """Any other would be far off."""
    chosen = [0, 2]
    case = replace(cases["F32"], states=lambda: cases["F32"].states()[chosen])
    found = llama_losses(case, replace(bench[0], compared=chosen), FLOAT32)
    assert found["n_tokens"] == 30
    assert abs(found["kld_mean"]) < 1e-7
    assert abs(found["ln_ppl_ratio"]) < 1e-5


def test_values_that_are_not_finite_are_left_out_and_said(cases, bench, monkeypatch):
    read = scoring.llama_logits

    class Spoilt:
        vocabulary = 263

        def __init__(self, logits, rows):
            self.logits, self.left = logits, rows

        def rows(self, count):
            values = self.logits.rows(count)
            self.left -= count
            return values if self.left >= 0 else values * np.float32(np.nan)

    @contextmanager
    def spoiling(*arguments, rows):
        with read(*arguments) as files:
            yield (Spoilt(logits, rows) for logits in files)

    case, (given, said) = cases["Q8_0"], bench
    monkeypatch.setattr(scoring, "llama_logits", lambda *given: spoiling(*given, rows=15))
    assert 0 < llama_losses(case, given, DEFAULT)["kld_mean"] < 0.01
    assert said == [
        "Q8_0: 30 of 45 tokens have logits in llama.cpp that are not finite, or too large; they are left out"
    ]
    monkeypatch.setattr(scoring, "llama_logits", lambda *given: spoiling(*given, rows=0))
    with pytest.raises(EvaluatorError, match="45 of 45 tokens"):
        llama_losses(case, given, DEFAULT)


def test_another_vocabulary_is_refused(bench, tmp_path):
    other = open_gguf(write_tiny_llama(tmp_path / "t.gguf", tokens=[("more", 1)]))
    with pytest.raises(EvaluatorError, match=r"holds 264 tokens in llama\.cpp, and its head 263"):
        next(scoring._blocks(other, bench[0].compared_windows, DEFAULT, 263))
