"""Estimated attribution against the measured one, and its moves against plain numpy."""

from __future__ import annotations

from dataclasses import replace

import gguf
import numpy as np
import numpy_llama
import pytest
from tiny_mixtures import write_tiny_mixture
from tiny_models import write_tiny_llama

from evaluator.comparison.layers.attribution import Attributor
from evaluator.comparison.layers.branches import Branches
from evaluator.comparison.layers.estimated_attribution import Estimator, Moves
from evaluator.export.exact.graph import load_graph
from evaluator.models.exchanged import Exchanged
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 2)
IDS = np.random.default_rng(6).integers(0, 256, (3, 48)).astype(np.int32)
WINDOWS = [Window(index, "d", ids, 24) for index, ids in enumerate(IDS)]
LAST = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimated")
    files = (folder / name for name in ("b.gguf", "v.gguf"))
    return [
        open_gguf(write_tiny_llama(path, layers=4, noise=noise))
        for path, noise in zip(files, (0, 0.01), strict=True)
    ]


@pytest.fixture(scope="module")
def estimator(files, tmp_path_factory):
    model = LayeredModel(load_graph(files[0]), CPU)
    return Estimator(files[0], model, WINDOWS, tmp_path_factory.mktemp("branches"), 1 << 30)


def attributed(estimator, variant):
    fields = (estimator.baseline, estimator.model, estimator.windows, estimator.folder, estimator.most_bytes)
    return Attributor(*fields).attribute(variant).causes


def test_estimates_are_near_the_measured_divergences_and_those_of_the_last_layer_equal_them(estimator, files):
    measured, found = attributed(estimator, files[1]), estimator.estimate(files[1])
    assert set(found) == set(measured)
    for place, kld in found.items():
        followed = place[0] in (LAST, -1)
        assert kld == pytest.approx(measured[place], rel=1e-2 if followed else 1.5), place
    ratios = [np.log(found[place] / measured[place]) for place in found]
    assert np.std(ratios) < 0.5


def test_moves_are_those_of_the_stream_behind_the_layer(estimator, files):
    with Branches(estimator.model, estimator.folder, 1 << 30) as branches:
        moves = estimator._walk(files[1], branches, lambda _: None)
    changed = Exchanged.of(files[0], files[1], ["blk.1.ffn_down.weight"])
    shares = []
    for ids in IDS:
        streams = []
        for file in (files[0], changed):
            streams.append([])
            numpy_llama.final_hidden(file.dequantize, ids, layers=4, stream=streams[-1])
        before, after = (stream[2][1:] for stream in streams)
        shares.append(((after - before) ** 2).sum(1) / (before**2).sum(1))
    assert moves.size[1, "ffn_down"] == pytest.approx(np.mean(shares), rel=1e-3)


def test_matrices_of_the_baseline_cause_nothing(estimator, files):
    one = Exchanged.of(files[0], files[1], ["blk.1.ffn_up.weight"])
    found = estimator.estimate(one)
    assert {place for place, kld in found.items() if kld} == {(1, "ffn_up")}
    assert set(estimator.estimate(files[0]).values()) == {0.0}


def test_a_head_of_its_own_is_measured_apart(estimator, tmp_path):
    untied = open_gguf(write_tiny_llama(tmp_path / "u.gguf", layers=4, untied=True, noise=0.01))
    found = replace(
        estimator, baseline=open_gguf(write_tiny_llama(tmp_path / "w.gguf", layers=4, untied=True))
    )
    estimated, measured = found.estimate(untied), attributed(found, untied)
    for place in [(-1, "output"), (-1, "token_embd"), (LAST, "ffn_down")]:
        assert estimated[place] == pytest.approx(measured[place], rel=1e-2)
        assert estimated[place] > 0


def test_branches_in_a_file_give_the_same(estimator, files):
    in_file = replace(estimator, most_bytes=0, ahead=False).estimate(files[1])
    assert in_file == pytest.approx(estimator.estimate(files[1]), rel=1e-3)


class Stream:
    """A stream as a branch returns it."""

    def __init__(self, values):
        self.values = values

    def numpy(self):
        return self.values


def test_a_move_larger_than_the_usual_stream_is_followed_and_tells_nothing_about_others():
    stream = np.ones((1, 4, 2), np.float32)
    stream[0, 0] = 100
    small, sink = stream.copy(), stream.copy()
    small[0, 2, 0] += 0.5
    sink[0, 0, 0] += 2
    moves = Moves()
    chosen = moves.add({(0, "a"): Stream(small), (0, "b"): Stream(sink)}, stream, probed=True, last=False)
    assert chosen == [(0, "b"), (0, "a")]
    assert moves.size == {(0, "a"): pytest.approx(0.25 / 2 / 3), (0, "b"): 0.0}
    assert moves.exceptions == {(0, "b")}
    moves.size[1, "c"] = 1.0
    found = moves.divergences({(0, "a"): 0.5, (0, "b"): 7.0})
    assert found == {(0, "a"): 0.5, (0, "b"): 7.0, (1, "c"): pytest.approx(0.5 / (0.25 / 6))}


def test_tensors_of_a_mixture_of_experts(tmp_path):
    baseline = open_gguf(write_tiny_mixture(tmp_path / "b.gguf"))
    q8_0 = gguf.GGMLQuantizationType.Q8_0
    variant = open_gguf(write_tiny_mixture(tmp_path / "v.gguf", ggml_type=q8_0, noise=0.01))
    estimator = Estimator(baseline, LayeredModel(load_graph(baseline), CPU), WINDOWS, tmp_path, 1 << 30)
    measured, found = attributed(estimator, variant), estimator.estimate(variant)
    assert set(found) == set(measured)
    last = max(layer for layer, _ in measured)
    for place, kld in measured.items():
        if place[0] == last:
            assert found[place] == pytest.approx(kld, rel=1e-2), place
