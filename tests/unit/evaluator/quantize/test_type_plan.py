"""Types of stock mixtures: llama-quantize's own answers are the oracle."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from gguf import GGMLQuantizationType
from stock_cases import CASES, GOLDEN, case_importances, case_model, packed

from evaluator.models.model_file import TensorInfo
from evaluator.quantize.ggml import ggml_type
from evaluator.quantize.recipe import choices
from evaluator.quantize.type_plan import fitting, make_plan, role_of
from evaluator.support.errors import RequestError

LLAMA_TYPES = json.loads(GOLDEN.read_text(encoding="utf-8"))
STOCK = choices("main")


def planned(case, label, recipe="main"):
    plan = make_plan(case_model(case), choices(recipe)[label], case_importances(case))
    return packed({name: kind.name for name, kind in plan.items()})


def test_table_covers_every_mixture():
    assert all(set(LLAMA_TYPES[case.name]) == set(STOCK) for case in CASES)


def needs_importances(case, label):
    """As llama.cpp's refusals: types that are garbage without, outside embedding and head."""
    types = LLAMA_TYPES[case.name][label]
    inside = " ".join(types[role] for role in types if role not in ("output.weight", "token_embd.weight"))
    return not case.importance and (
        label == "Q2_K_S" or any(kind in inside for kind in ("IQ3_XXS", "IQ2_", "IQ1_"))
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_mixture_chooses_the_types_that_llama_quantize_chooses(case):
    model, importances = case_model(case), case_importances(case)
    for label, choice in STOCK.items():
        if needs_importances(case, label):
            with pytest.raises(RequestError, match="needs an importance matrix: --imatrix FILE"):
                make_plan(model, choice, importances)
        else:
            plan = make_plan(model, choice, importances)
            types = packed({name: kind.name for name, kind in plan.items()})
            assert types == LLAMA_TYPES[case.name][label], label


def test_large_sizes_keep_embedding_and_head_at_q8_0():
    case = CASES[3]
    stock, large = planned(case, "Q4_K_M"), planned(case, "Q4_K_L", "bartowski")
    changed = {role: kind for role, kind in large.items() if kind != stock[role]}
    assert changed == {"output.weight": "Q8_0*1", "token_embd.weight": "Q8_0*1"}


def test_vectors_and_expert_gates_stay():
    plan = make_plan(case_model(CASES[6]), STOCK["Q4_K_M"], None)
    assert plan["blk.0.attn_norm.weight"].name == "F32"
    assert plan["blk.0.ffn_gate_inp.weight"].name == "F16"


def test_tables_of_integers_stay():
    model = case_model(CASES[6])
    kind = GGMLQuantizationType.I32
    tables = {
        name: TensorInfo(name, shape, kind, 0, 0)
        for name, shape in (("blk.0.ffn_gate_tid2eid.weight", (2, 320)), ("blk.1.ids.weight", (320,)))
    }
    plan = make_plan(replace(model, tensors={**model.tensors, **tables}), STOCK["Q4_K_M"], None)
    assert {plan[name] for name in tables} == {kind}


@pytest.mark.parametrize(
    ("name", "tied", "role"),
    [
        ("output.weight", False, "head"),
        ("token_embd.weight", False, "token_embd"),
        ("token_embd.weight", True, "head"),
        ("per_layer_token_embd.weight", False, "token_embd"),
        ("per_layer_token_embd.weight", True, "head"),
        ("blk.3.attn_qkv.weight", False, "attn_v"),
        ("blk.3.ffn_gate_up_exps.weight", False, "ffn_gate"),
        ("blk.3.ffn_down_exps.weight", False, "ffn_down"),
        ("blk.3.attn_k.weight", False, "attn_k"),
        ("blk.3.shared_head_head.weight", False, "other"),
    ],
)
def test_roles(name, tied, role):
    assert role_of(name, tied=tied) == role


@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        ("Q4_K", 512, "Q4_K"),
        ("Q4_K", 576, "Q5_0"),
        ("IQ2_S", 576, "IQ4_NL"),
        ("Q6_K", 80, "F16"),
        ("Q8_0", 80, "F16"),
    ],
)
def test_fallback(kind, columns, expected):
    assert fitting(ggml_type(kind), columns).name == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda means: {}, "IQ2_XXS needs importances, and the importance matrix has none for blk.0.attn_k"),
        (lambda means: {"blk.0.other.weight": means["blk.0.attn_q.weight"]}, "has none for"),
    ],
)
def test_importances_that_do_not_fit(change, message):
    case = CASES[1]
    with pytest.raises(RequestError, match=message):
        make_plan(case_model(case), STOCK["IQ2_XXS"], change(case_importances(case)))
