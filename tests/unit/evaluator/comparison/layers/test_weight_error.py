"""Weight errors against numpy's own norms."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import random_families
from tiny_mixtures import EXPERTS, write_tiny_mixture
from tiny_models import write_tiny_llama

from evaluator.comparison.layers.weight_error import place_of, relative_error, weight_errors
from evaluator.models.gguf.reader import open_gguf


@pytest.mark.parametrize(
    ("tensor", "place"),
    [
        ("blk.0.attn_q.weight", (0, "attn_q")),
        ("blk.31.ffn_down.weight", (31, "ffn_down")),
        ("token_embd.weight", (-1, "token_embd")),
        ("output.weight", (-1, "output")),
        ("output_norm.weight", None),
        ("blk.0.attn_norm.weight", None),
        ("blk.0.attn_q.bias", None),
        ("blk.0.strange.weight", None),
    ],
)
def test_places_of_tensors(tensor, place):
    assert place_of(tensor) == place


@pytest.mark.parametrize(
    ("variant", "baseline", "expected"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0),
        ([0, 0], [3, 4], 1.0),
        ([3, 9], [3, 4], 1.0),
        ([1, 1], [0, 0], None),
        ([np.inf, 0], [3, 4], None),
        ([np.inf, 0], [np.inf, 4], None),
        ([6e25, 0], [3e25, 4e25], pytest.approx(1.0)),
    ],
)
@pytest.mark.filterwarnings("error")
def test_relative_error_by_hand(variant, baseline, expected):
    values, reference = np.array(variant, np.float32), np.array(baseline, np.float32)
    assert relative_error([(values, reference)]) == expected
    assert relative_error(zip(values[:, None], reference[:, None], strict=True)) == expected


def test_rows_hold_type_bits_and_error_per_matrix(tiny, tmp_path):
    kind = gguf.GGMLQuantizationType.Q4_0
    path = write_tiny_llama(tmp_path / "v.gguf", ggml_type=kind)
    frame = weight_errors("v", open_gguf(path), tiny)
    assert frame.height == 2 * 7 + 1
    assert set(frame["quant_type"]) == {"Q4_0"}
    assert set(frame["bits_per_weight"]) == {4.5}
    found = {
        (layer, role): error
        for layer, role, error in frame.select("layer", "role", "weight_error").iter_rows()
    }
    for item in gguf.GGUFReader(path).tensors:
        if place := place_of(item.name):
            exact = tiny.dequantize(item.name).astype(np.float64)
            error = np.linalg.norm(gguf.dequantize(item.data, kind) - exact) / np.linalg.norm(exact)
            assert found[place] == pytest.approx(error, rel=1e-4)


def test_untied_head_is_compared_with_the_tied_embedding(tiny, tmp_path):
    variant = open_gguf(write_tiny_llama(tmp_path / "v.gguf", untied=True))
    rows = {
        row["role"]: row["weight_error"]
        for row in weight_errors("v", variant, tiny).to_dicts()
        if row["layer"] < 0
    }
    assert rows["token_embd"] == 0
    assert rows["output"] == pytest.approx(2**0.5, rel=0.05)  # independent values of one spread


def test_tensor_that_the_baseline_lacks_has_no_row(tiny, tmp_path):
    baseline = open_gguf(write_tiny_llama(tmp_path / "b.gguf", drop=["blk.0.attn_q.weight"]))
    places = [(row["layer"], row["role"]) for row in weight_errors("v", tiny, baseline).to_dicts()]
    assert (0, "attn_q") not in places
    assert {(0, "attn_k"), (1, "attn_q")} <= set(places)


def test_experts_have_an_error_each_and_one_together(tmp_path):
    kind = gguf.GGMLQuantizationType.Q4_0
    variant, baseline = (
        open_gguf(write_tiny_mixture(tmp_path / f"{name}.gguf", ggml_type=item))
        for name, item in (("v", kind), ("b", gguf.GGMLQuantizationType.F32))
    )
    frame = weight_errors("v", variant, baseline)
    (row,) = (row for row in frame.to_dicts() if (row["layer"], row["role"]) == (1, "ffn_up_exps"))
    values, reference = (file.dequantize("blk.1.ffn_up_exps.weight") for file in (variant, baseline))
    expected = [
        np.linalg.norm(values[e] - reference[e]) / np.linalg.norm(reference[e]) for e in range(EXPERTS)
    ]
    assert row["expert_errors"] == pytest.approx(expected, rel=1e-5)
    together = np.linalg.norm(values - reference) / np.linalg.norm(reference)
    assert row["weight_error"] == pytest.approx(together, rel=1e-5)
    (dense,) = (row for row in frame.to_dicts() if (row["layer"], row["role"]) == (1, "attn_q"))
    assert dense["expert_errors"] is None


def test_layers_that_are_not_computed_have_no_error(tmp_path):
    path = random_families.write("qwen35", tmp_path / "m.gguf", architecture="qwen35moe", ahead=True)
    file = open_gguf(path)
    assert file.metadata["qwen35moe.block_count"] == 5
    assert weight_errors("v", file, file)["layer"].max() == 3
