"""Tensor types as llama-quantize reads them from a file."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from stock_cases import CASES, case_importances, case_model

from evaluator.quantize.batch import select
from evaluator.quantize.tensor_types import tensor_type_lines
from evaluator.quantize.type_plan import make_plan
from evaluator.support.errors import RequestError, SourceError

CASE = CASES[2]


def plan(tmp_path, text, quant="Q4_K_M"):
    path = tmp_path / "types.txt"
    path.write_text(text, encoding="utf-8")
    [choice] = select(str(path), [quant])
    return make_plan(case_model(CASE), choice, None)


def test_first_pattern_that_matches_decides_and_the_mixture_does_the_rest(tmp_path):
    types = plan(tmp_path, "blk\\.[01]\\.ffn_down=Q8_0 ffn_down=q5_k\n\ttoken_embd=q6_K\n")
    found = {
        name: types[name].name for name in types if "ffn_down" in name or "token" in name or "out" in name
    }
    stock = make_plan(case_model(CASE), select("main", ["Q4_K_M"])[0], None)
    assert {found.pop(f"blk.{layer}.ffn_down.weight") for layer in (0, 1)} == {"Q8_0"}
    assert {found.pop(f"blk.{layer}.ffn_down.weight") for layer in range(2, CASE.layers)} == {"Q5_K"}
    assert found.pop("token_embd.weight") == "Q6_K"
    assert found == {name: stock[name].name for name in found}


def test_overridden_tensors_do_not_count_as_layers(tmp_path):
    """As in llama.cpp: the rule for the first values then falls to the next ones."""
    types = plan(tmp_path, "blk\\.0\\.attn_v=Q8_0", "Q4_K_S")
    kinds = [types[f"blk.{layer}.attn_v.weight"].name for layer in range(6)]
    assert kinds == ["Q8_0", "Q5_K", "Q5_K", "Q5_K", "Q5_K", "Q4_K"]


def test_what_is_written_reads_back(tmp_path):
    model = case_model(CASE)
    lines = tensor_type_lines(model)
    assert len(lines) == sum(len(info.shape) > 1 for info in model.tensors.values())
    types = plan(tmp_path, "\n".join(line.replace("=f16", "=q5_0") for line in lines))
    assert {types[name].name for name, info in model.tensors.items() if len(info.shape) > 1} == {"Q5_0"}
    assert all(re.fullmatch(r"\^[\w\\.]+\$=f16", line) for line in lines)


@pytest.mark.parametrize("name", ["blk.0.attn_q\nattn_k=q2_k.weight", "a b.weight", "a=b.weight", "\x1b[2J"])
def test_name_that_the_format_cannot_hold_is_refused(name):
    model = case_model(CASE)
    info = replace(model.tensor("blk.0.attn_q.weight"), name=name)
    with pytest.raises(SourceError, match="cannot be written in a file of tensor types"):
        tensor_type_lines(replace(model, tensors={name: info}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "contains no PATTERN=TYPE"),
        ("attn_q", "'attn_q' does not have the form PATTERN=TYPE"),
        ("attn_q=", "attn_q=: unknown tensor type ''"),
        ("attn_q=Q9", "unknown tensor type 'Q9'"),
        ("(=Q8_0", r"\(=Q8_0: missing \)"),
        (r"attn_q\Z=Q8_0", r"attn_q\\Z=Q8_0: bad escape \\z"),
        ("wing=Q8_0", "recipe types: pattern 'wing' matches no tensor"),
        (
            "attn_norm=Q8_0",
            r"attn_norm=Q8_0 has no effect: blk\.0\.attn_norm\.weight is F32: .* never quantized",
        ),
        ("attn=Q8_0 attn_q=Q4_0", r"attn_q=Q4_0 has no effect: .* is Q8_0: an earlier pattern decides"),
    ],
)
def test_wrong_entries_are_named(tmp_path, text, message):
    with pytest.raises(RequestError, match=message):
        plan(tmp_path, text)


def test_vectors_and_matrices_that_stay_may_be_told_to_stay(tmp_path):
    types = plan(tmp_path, "attn_norm=F32 attn_q=Q8_0")
    assert types["blk.0.attn_norm.weight"].name == "F32"


@pytest.mark.parametrize("quant", ["F16", "BF16", "F32"])
def test_sizes_that_do_not_quantize_take_no_tensor_types(tmp_path, quant):
    """llama-quantize passes over them without a word."""
    with pytest.raises(
        RequestError, match=f"recipe types, {quant}: tensor types apply to sizes that quantize"
    ):
        plan(tmp_path, "attn_q=Q8_0", quant)


def test_importances_are_asked_for_where_a_type_needs_them(tmp_path):
    with pytest.raises(RequestError, match=r"IQ2_XS \(blk.0.attn_q.weight\) needs an importance matrix"):
        plan(tmp_path, "attn_q=IQ2_XS")
    assert case_importances(CASE) is None
