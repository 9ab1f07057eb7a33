"""Attribution of a mixture against brute force: a file with the one tensor in it, scored from end to end."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from passes import head_of, scores_of
from tiny_mixtures import write_tiny_mixture

from evaluator.comparison.layers.attribution import Attributor
from evaluator.comparison.layers.weight_error import place_of
from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.models.exchanged import Exchanged
from evaluator.models.gguf.reader import open_gguf
from evaluator.runtime.device import choose_device
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.scoring import window_states
from evaluator.texts.windows import Window

pytestmark = pytest.mark.usefixtures("exporting_here")

CPU = choose_device("cpu", 2)
WINDOWS = [
    Window(index, "d", ids, 12)
    for index, ids in enumerate(np.random.default_rng(6).integers(0, 256, (3, 24)).astype(np.int32))
]
ROLES = (
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_down_exps",
    "ffn_gate_shexp",
    "ffn_up_shexp",
    "ffn_down_shexp",
    "ffn_gate_inp",
    "ffn_gate_inp_shexp",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixture")
    lossy = write_tiny_mixture(folder / "v.gguf", ggml_type=gguf.GGMLQuantizationType.Q8_0, noise=0.01)
    return open_gguf(write_tiny_mixture(folder / "b.gguf")), open_gguf(lossy)


@pytest.fixture(scope="module")
def attributor(files, tmp_path_factory):
    model = LayeredModel(load_graph(files[0]), CPU)
    return Attributor(files[0], model, WINDOWS, tmp_path_factory.mktemp("branches"), 1 << 30)


def mean_kld(file, baseline, model):
    head = head_of(head_weights(file), head_weights(baseline), CPU)
    reference = window_states(model, baseline, WINDOWS)
    scored = scores_of(file, load_graph(baseline), CPU, WINDOWS, head, reference)
    return np.mean([scores.kld for scores in scored], dtype=np.float64)


def test_each_cause_is_what_a_file_with_that_tensor_alone_shows(attributor, files):
    baseline, variant = files
    found = attributor.attribute(variant)
    assert {role for layer, role in found.causes if layer == 1 and role.startswith("ffn")} == set(ROLES)
    for name in ("attn_v", "ffn_up_exps", "ffn_down_exps", "ffn_gate_shexp"):
        tensor = f"blk.0.{name}.weight"
        file = Exchanged.of(baseline, variant, [tensor])
        expected = mean_kld(file, baseline, attributor.model)
        assert found.causes[place_of(tensor)] == pytest.approx(expected, rel=1e-2)
        assert expected > 1e-6
    assert found.whole == pytest.approx(mean_kld(variant, baseline, attributor.model), rel=1e-2)


def test_equal_tensors_cause_exactly_nothing(attributor, files):
    baseline, variant = files
    assert set(attributor.attribute(Exchanged.of(baseline, baseline, [])).causes.values()) == {0.0}
    one = attributor.attribute(Exchanged.of(baseline, variant, ["blk.0.ffn_up_exps.weight"]))
    assert {place for place, kld in one.causes.items() if kld} == {(0, "ffn_up_exps")}
    assert one.whole == pytest.approx(one.causes[0, "ffn_up_exps"], rel=1e-3)
