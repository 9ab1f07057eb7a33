"""Attribution against brute force: a file with the one tensor in it, scored from end to end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from passes import head_of, hidden_of
from tiny_models import write_tiny_llama

from evaluator.comparison.layers import attribution
from evaluator.comparison.layers.attribution import Attributor, attribution_windows
from evaluator.comparison.layers.weight_error import place_of
from evaluator.export.exact.weights import head_weights
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.model_file import ModelFile
from evaluator.runtime.device import choose_device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.support.errors import ExportError
from evaluator.texts.windows import Window

CPU = choose_device("cpu", 2)
IDS = np.random.default_rng(6).integers(0, 256, (8, 48)).astype(np.int32)
WINDOWS = [Window(index, "d", ids, 24) for index, ids in enumerate(IDS)]


@dataclass(frozen=True)
class Exchanged(ModelFile):
    """A file with some tensors of another."""

    original: ModelFile
    other: ModelFile
    exchanged: frozenset[str]

    @property
    def files(self) -> tuple[Path, ...]:
        return self.original.files

    def raw(self, name):
        return (self.other if name in self.exchanged else self.original).raw(name)


def exchanged(original, other, *names):
    return Exchanged(
        original.path,
        original.metadata,
        original.value_types,
        original.tensors,
        original,
        other,
        frozenset(names),
    )


@pytest.fixture(scope="module")
def variant(tmp_path_factory):
    return open_gguf(write_tiny_llama(tmp_path_factory.mktemp("v") / "v.gguf", noise=0.01))


@pytest.fixture(scope="module")
def windows():
    return attribution_windows(WINDOWS)


@pytest.fixture(scope="module")
def attributor(tiny, tiny_graph, windows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("branches")
    return Attributor(tiny, LayeredModel(tiny_graph, CPU), windows, folder, 1 << 30)


def mean_kld(file, baseline, graph, windows):
    head = head_of(head_weights(file), head_weights(baseline), CPU)
    klds = []
    for window in windows:
        states, reference = (hidden_of(f, graph, CPU, window, fused=False) for f in (file, baseline))
        klds.append(head.score(states, window.targets, reference).kld)
    return np.mean(klds, dtype=np.float64)


def test_windows_are_first_halves_of_a_quarter_of_all(windows):
    assert [window.index for window in windows] == [0, 7]
    assert [len(window.ids) for window in windows] == [24, 24]
    assert [window.first_scored for window in windows] == [12, 12]
    assert len(attribution_windows([replace(WINDOWS[0], index=n) for n in range(100)])) == 4


def test_each_cause_is_what_a_file_with_that_tensor_alone_shows(
    attributor, tiny, tiny_graph, variant, windows
):
    found = attributor.attribute(variant)
    places = {place_of(name): name for name in tiny.tensors if place_of(name)}
    assert set(found.causes) == set(places)
    assert len(places) == 15
    for place in [(-1, "token_embd"), (0, "attn_q"), (0, "ffn_down"), (1, "attn_v"), (1, "attn_output")]:
        file = exchanged(tiny, variant, places[place])
        assert found.causes[place] == pytest.approx(mean_kld(file, tiny, tiny_graph, windows), rel=1e-2)
    assert found.whole == pytest.approx(mean_kld(variant, tiny, tiny_graph, windows), rel=1e-2)
    assert found.additivity == pytest.approx(sum(found.causes.values()) / found.whole)
    assert min(found.causes.values()) > 1e-5


def test_tensor_equal_to_the_baselines_causes_exactly_nothing(attributor, tiny, variant):
    copy = exchanged(tiny, variant)
    same = attributor.attribute(copy)
    assert set(same.causes.values()) == {0.0}
    assert same.whole == 0.0
    assert same.additivity is None
    one = attributor.attribute(exchanged(tiny, variant, "blk.1.ffn_up.weight"))
    assert {place for place, kld in one.causes.items() if kld} == {(1, "ffn_up")}
    assert one.whole == one.causes[1, "ffn_up"]
    assert one.additivity == 1.0


def test_head_of_its_own_counts_apart_from_the_embedding(tiny, tiny_graph, attributor, tmp_path):
    untied = open_gguf(write_tiny_llama(tmp_path / "u.gguf", untied=True))
    causes = attributor.attribute(untied).causes
    assert causes[-1, "output"] > 1e-3
    assert causes[-1, "token_embd"] == 0.0


def test_branches_in_a_file_give_the_same(attributor, variant):
    in_file = replace(attributor, most_bytes=0)
    assert in_file.attribute(variant) == attributor.attribute(variant)
    assert not any(attributor.folder.iterdir())


def test_the_plain_graph_gives_the_same(attributor, variant, tiny_graph):
    plain = replace(attributor, model=LayeredModel(tiny_graph, CPU, fused=False))
    expected = attributor.attribute(variant).causes
    for place, kld in plain.attribute(variant).causes.items():
        assert kld == pytest.approx(expected[place], rel=1e-2)


def test_a_graph_without_a_known_stream_is_refused_with_its_reason(tiny_graph):
    unknown = replace(tiny_graph, fused=None, residuals=(), plain_reason="layer 3 is odd")
    with pytest.raises(ExportError, match="cannot be run layer by layer: layer 3 is odd"):
        LayeredModel(unknown, CPU)


def test_states_scored_in_groups_and_weights_read_one_by_one_give_the_same(attributor, variant, monkeypatch):
    expected = attributor.attribute(variant)
    monkeypatch.setattr(attribution, "_STATE_BYTES", 3 * 22 * 256 * 4)
    found = replace(attributor, ahead=False).attribute(variant)
    assert set(found.causes) == set(expected.causes)
    for place, kld in found.causes.items():
        assert kld == pytest.approx(expected.causes[place], rel=1e-5)
