"""The file that keeps measured divergences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import gguf
import numpy as np
import pytest
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.ggml import ggml_type
from evaluator.quantize.guidance import (
    Guidance,
    judging_plan,
    measurable,
    read_guidance,
    reference_plan,
    write_guidance,
)

Q4_0 = ggml_type("Q4_0")
GUIDANCE = Guidance({"a.weight": Q4_0, "b.weight": Q4_0}, {"a.weight": 0.25})


def test_what_was_measured_on_the_same_files_is_read_back(tmp_path):
    path = tmp_path / "m-divergence.json"
    write_guidance(path, "same", GUIDANCE)
    assert read_guidance(path, "same") == GUIDANCE
    assert read_guidance(path, "other") is None
    assert read_guidance(tmp_path / "none", "same") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"fingerprint": "same"}',
        '{"fingerprint": "same", "matrices": 3}',
        '{"fingerprint": "same", "matrices": {"a": {"type": "Q9", "kld": 1}}}',
        '{"fingerprint": "same", "matrices": {"a": {"type": "Q4_0", "kld": "x"}}}',
    ],
)
def test_a_damaged_file_is_measured_again(tmp_path, content):
    path = tmp_path / "m-divergence.json"
    path.write_text(content)
    assert read_guidance(path, "same") is None


def test_every_matrix_has_the_reference_type(tmp_path):
    source = open_gguf(write_tiny_llama(tmp_path / "Tiny-F32.gguf", untied=True))
    plan = reference_plan(source)
    matrices = {name for name, info in source.tensors.items() if len(info.shape) > 1}
    assert set(measurable(plan)) == matrices
    assert {plan[name].name for name in matrices} == {"Q4_0"}


@pytest.mark.parametrize(("shape", "other"), [({}, "Q3_K"), ({"hidden": 64, "ffn": 96}, "IQ4_NL")])
def test_matrices_that_have_the_reference_type_are_measured_at_another(tmp_path, shape, other):
    source = open_gguf(write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", ggml_type=Q4_0, **shape))
    plan = reference_plan(source)
    assert {plan[name].name for name in measurable(plan)} == {other}


def test_matrices_on_the_reference_s_grid_are_measured_at_another_type(tmp_path, monkeypatch):
    """A matrix of zeros is on every grid."""
    source = open_gguf(write_tiny_llama(tmp_path / "Tiny-F32.gguf"))
    read = type(source).dequantize
    on_grid, zeros = "blk.0.attn_q.weight", "blk.1.ffn_up.weight"

    def values(file, name):
        found = read(file, name)
        if name == on_grid:
            restored = gguf.dequantize(gguf.quantize(found, Q4_0), Q4_0)
            return restored.astype(np.float16).astype(np.float32)
        return found * (name != zeros)

    monkeypatch.setattr(type(source), "dequantize", values)
    with ThreadPoolExecutor(2) as pool:
        plan, unjudged = judging_plan(source, reference_plan(source), {}, pool)
    assert {name: plan[name].name for name in measurable(plan) if plan[name] != Q4_0} == {on_grid: "Q3_K"}
    assert unjudged == [zeros]
