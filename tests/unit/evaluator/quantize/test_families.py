"""Mixtures and hybrids: types and bytes are those of llama.cpp's quantizer, for every family."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from family_digests import (
    REFUSED,
    SAME_BYTES,
    WITH_BYTES,
    digest_of_bytes,
    digest_of_types,
    stored_digests,
)
from family_structures import Structure, structures
from llama_quantizing import Request, llama_library, quantize_with_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize.imatrix import read_imatrix
from evaluator.quantize.recipe import choices
from evaluator.quantize.type_plan import make_plan
from evaluator.quantize.variants import Job, make_variant
from evaluator.support.errors import RequestError

STOCK = choices("main")
CASES = structures()
GOLDEN = stored_digests()
#: Mixtures with most of the rules.
QUICK = ("Q3_K_M", "Q4_K_M", "IQ3_XXS", "IQ2_XXS", "MXFP4_MOE")
#: ggml prepares the codebook of IQ2_XXS for seconds when it is first used.
QUICK_BYTES = tuple(label for label in WITH_BYTES if label != "IQ2_XXS")
FAMILIES = [case for case in CASES if not case.settings and not case.more]

named = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_table_covers_every_structure_and_mixture():
    assert [case.name for case in CASES] == list(GOLDEN)
    assert all(list(GOLDEN[case.name]) == list(STOCK) for case in CASES)


def planned(case, label, importances):
    try:
        plan = make_plan(case.model(), STOCK[label], importances)
    except RequestError:
        return REFUSED
    return digest_of_types({name: kind.name for name, kind in plan.items()})


def check_types(case, labels):
    for position, importances in enumerate((None, case.importances())):
        found = {label: planned(case, label, importances) for label in labels}
        assert found == {label: GOLDEN[case.name][label][position] for label in labels}


@named
def test_types(case):
    check_types(case, QUICK)


@pytest.mark.slow
@named
def test_types_of_every_mixture(case):
    check_types(case, STOCK)


def made(case, label, folder):
    imatrix = read_imatrix(case.write_importances(folder / "imatrix.gguf"))
    source = open_gguf(case.write(folder / "model.gguf"))
    plan = make_plan(source, STOCK[label], imatrix.means)
    job = Job("", STOCK[label], plan, imatrix, folder / "made.gguf")
    with ThreadPoolExecutor(2) as pool:
        make_variant(source, job, pool)
    return digest_of_bytes(job.target)


def bytes_differ(case, label, folder):
    return made(case, label, folder) != GOLDEN[case.name][label][2]


@pytest.mark.skipif(not SAME_BYTES, reason="bytes were compared on x86-64 only")
@pytest.mark.parametrize(
    ("case", "label"),
    [(case, QUICK_BYTES[index % len(QUICK_BYTES)]) for index, case in enumerate(FAMILIES)],
    ids=lambda value: getattr(value, "name", value),
)
def test_bytes(case, label, tmp_path):
    assert not bytes_differ(case, label, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not SAME_BYTES, reason="bytes were compared on x86-64 only")
@named
def test_bytes_of_every_mixture(case, tmp_path):
    assert [label for label in WITH_BYTES if bytes_differ(case, label, tmp_path)] == []


@pytest.mark.slow
@pytest.mark.skipif(llama_library() is None, reason="LLAMA_CPP_BIN names no folder with libllama")
@pytest.mark.parametrize("widen", [1, 8])
@pytest.mark.parametrize("index", range(len(CASES)))
def test_types_at_other_row_lengths(index, widen, tmp_path):
    case: Structure = structures(widen)[index]
    numbers = {int(choice.file_type): label for label, choice in STOCK.items()}
    model, imatrix = case.write(tmp_path / "m.gguf"), case.write_importances(tmp_path / "i.gguf")
    for importances, path in ((None, None), (case.importances(), imatrix)):
        [answers] = quantize_with_llama(Request(model, dict.fromkeys(numbers), path))
        for number, answer in answers.items():
            if answer.refusal and "unknown model architecture" in answer.refusal:
                pytest.skip(answer.refusal)
            expected = REFUSED if answer.refusal else digest_of_types(answer.types)
            assert planned(case, numbers[number], importances) == expected, numbers[number]
