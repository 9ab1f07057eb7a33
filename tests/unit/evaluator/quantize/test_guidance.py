"""The file that keeps measured divergences."""

from __future__ import annotations

import pytest
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.ggml import ggml_type
from evaluator.quantize.guidance import Guidance, measurable, read_guidance, reference_plan, write_guidance

GUIDANCE = Guidance({"a.weight": ggml_type("Q4_0")}, {"a.weight": 0.25})


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
