"""llama-quantize itself, where `LLAMA_CPP_BIN` names its folder: types and bytes of every mixture."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from stock_cases import (
    CASES,
    GOLDEN,
    llama_quantize,
    llama_types,
    packed,
    write_case,
    write_case_importances,
)

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.batch import Evidence, make_plan, select
from evaluator.quantize.imatrix import read_imatrix
from evaluator.quantize.recipe import choices
from evaluator.quantize.variants import Job, make_variant

TOOL = llama_quantize()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TOOL is None, reason="LLAMA_CPP_BIN names no llama-quantize"),
]

#: Mixtures that llama-quantize refuses without importances.
NEED_IMPORTANCE = ("Q2_K_S", "IQ1_", "IQ2_", "IQ3_XXS", "IQ3_XS")


def test_table_is_what_the_tool_says(tmp_path):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for case in CASES:
        model = write_case(tmp_path / "m.gguf", case)
        imatrix = write_case_importances(tmp_path / "i.gguf", case) if case.importance else None
        for label in ("Q2_K", "Q4_K_M", "IQ4_XS"):
            assert packed(llama_types(TOOL, model, label, imatrix)) == golden[case.name][label]


@pytest.mark.parametrize("index", [0, 3, 6], ids=lambda index: CASES[index].name)
@pytest.mark.parametrize("label", choices("main"))
@pytest.mark.parametrize("part", ["blk.", "blk.0."])
def test_every_byte(tmp_path, index, label, part):
    case = CASES[index]
    model = write_case(tmp_path / "m.gguf", case)
    imatrix = write_case_importances(tmp_path / "i.gguf", case, part) if case.importance else None
    flags = ["--imatrix", str(imatrix)] if imatrix else []
    if label.startswith(NEED_IMPORTANCE) and (imatrix is None or part != "blk."):
        pytest.skip("needs an importance matrix for every matrix")
    if imatrix is None and part != "blk.":
        pytest.skip("has no importance matrix")
    theirs = tmp_path / "theirs.gguf"
    subprocess.run([TOOL, *flags, model, theirs, label], check=True, capture_output=True)
    evidence = Evidence(read_imatrix(imatrix) if imatrix else None)
    source, [choice] = open_gguf(model), select("main", [label])
    plan = make_plan(source, choice, evidence.importance.means if evidence.importance else None)
    job = Job("", choice, plan, evidence.importance, tmp_path / "ours.gguf")
    with ThreadPoolExecutor(2) as pool:
        make_variant(source, job, pool)
    ours, expected = open_gguf(job.target), open_gguf(theirs)
    assert list(ours.tensors) == list(expected.tensors)
    for name in expected.tensors:
        assert ours.tensors[name].ggml_type == expected.tensors[name].ggml_type, name
        np.testing.assert_array_equal(ours.raw(name), expected.raw(name), err_msg=name)
