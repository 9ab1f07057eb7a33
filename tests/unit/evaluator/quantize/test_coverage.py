"""Importance matrices that leave matrices out: what ggml writes without importances is the oracle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gguf
import numpy as np
import pytest
from family_structures import Structure
from stock_cases import CASES, case_importances, case_model
from tiny_models import write_tiny_llama

from evaluator.models.gguf.reader import open_gguf
from evaluator.quantize import ggml
from evaluator.quantize.coverage import fit_to_model, uncovered
from evaluator.quantize.ggml import QUANTIZABLE, block_size, quantize
from evaluator.quantize.imatrix import read_imatrix, write_imatrix
from evaluator.quantize.recipe import choices
from evaluator.quantize.type_plan import make_plan
from evaluator.quantize.variants import Job

ZERO = "blk.1.attn_q.weight"
TOKENS = 512


@pytest.fixture
def source(tmp_path):
    return open_gguf(write_tiny_llama(tmp_path / "Tiny-F32.gguf", untied=True))


@pytest.fixture
def sums(source):
    """As llama-imatrix: every matrix in the blocks, neither embedding nor head."""
    generator = np.random.default_rng(2)
    return {
        name: TOKENS * generator.lognormal(0, 1, info.shape[-1])
        for name, info in source.tensors.items()
        if name.startswith("blk.") and len(info.shape) == 2
    }


@pytest.fixture
def write(tmp_path):
    def written(sums):
        write_imatrix(tmp_path / "i.gguf", sums, TOKENS, 512, ["calibration.txt"])
        return tmp_path / "i.gguf"

    return written


@pytest.fixture
def run(evaluate, source, tmp_path):
    def quantized(imatrix, kind="Q4_0"):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        flags = ["--recipe", "main", "--types", kind, "--out", out, "--threads", 1]
        more = ["--imatrix", imatrix] if imatrix else []
        status, _, error = evaluate("quantize", "--baseline", source.path, *flags, *more)
        return status, error, out / f"Tiny-{kind}.gguf"

    return quantized


def plain_bytes(source, made, name):
    """What ggml writes where nothing is said about the columns."""
    with ThreadPoolExecutor(1) as pool:
        return quantize(source.dequantize(name), made.tensors[name].ggml_type, None, pool)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K_M", "IQ4_XS"])
def test_an_entry_of_zeros_is_absent_and_said(source, sums, write, run, kind):
    status, error, path = run(write(sums | {ZERO: np.zeros(256)}), kind)
    assert status == 0
    assert f"holds only zeros and is ignored: {ZERO}" in error
    made = open_gguf(path)
    np.testing.assert_array_equal(made.raw(ZERO), plain_bytes(source, made, ZERO))
    assert made.dequantize(ZERO).any()


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_K_M", "IQ4_XS"])
def test_a_matrix_that_is_left_out_is_named_and_quantized_as_without(source, sums, write, run, kind):
    partial = {name: values for name, values in sums.items() if name.startswith("blk.0.")}
    status, error, path = run(write(partial), kind)
    assert status == 0
    [line] = [line for line in error.splitlines() if line.startswith("warning: ")]
    assert "has no importances for 7 matrices, which are quantized without: " in line
    assert {part for part in line.replace(",", "").split() if part.startswith("blk.")} == set(sums) - set(
        partial
    )
    made = open_gguf(path)
    for name in sums:
        same = np.array_equal(made.raw(name), plain_bytes(source, made, name))
        assert same == (name not in partial), name


def test_a_whole_importance_matrix_gets_no_warning(sums, write, run):
    status, error, _ = run(write(sums))
    assert (status, "warning" in error) == (0, False)


def test_a_type_that_needs_importances_is_refused_where_the_entry_is_zeros(sums, write, run):
    status, error, path = run(write(sums | {ZERO: np.zeros(256)}), "IQ3_XXS")
    assert (status, path.exists()) == (2, False)
    assert f"has none for {ZERO}" in error


def renamed(sums, old):
    return {name.replace(old, "self_"): values for name, values in sums.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda sums: renamed(sums, "attn_"),
            "was measured on another model: 8 of its 14 entries name no tensor of",
        ),
        (
            lambda sums: renamed(sums, "blk."),
            "was measured on another model: 14 of its 14 entries name no tensor of",
        ),
        (lambda sums: sums | {ZERO: np.ones(255)}, f"it has 255 values for {ZERO}, which needs 256 in"),
        (
            lambda sums: dict.fromkeys(sums, np.zeros(256)),
            "none of its 14 entries can be used: they hold only zeros",
        ),
    ],
)
def test_another_models_is_refused_before_anything_is_written(sums, write, run, change, message):
    status, error, path = run(write(change(sums)))
    assert (status, path.exists()) == (2, False)
    assert message in error


def test_a_few_entries_that_fit_nothing_are_named(sums, write, run):
    status, error, _ = run(write(sums | {"blk.9.attn_q.weight": np.ones(256)}))
    assert status == 0
    assert "1 of its 15 entries name no tensor of Tiny-F32.gguf: blk.9.attn_q.weight" in error


def test_an_entry_of_the_embedding_that_does_not_fit_is_not_used(sums, write, run):
    status, error, _ = run(write(sums | {"token_embd.weight": np.ones(7)}))
    assert status == 0
    assert "does not have the tensor's size and is ignored: token_embd.weight" in error


def test_experts_share_one_row_in_older_files_and_an_idle_one_counts_alike(sums, write):
    model = case_model(CASES[6])
    name = "blk.0.ffn_up_exps.weight"
    rows = np.array(case_importances(CASES[6])[name])
    rows[1] = 0
    found = replace(read_imatrix(write(sums)), means={name: rows.reshape(1, -1)})
    fitting, [line] = fit_to_model(found, model)
    np.testing.assert_array_equal(fitting.means[name], np.where(np.arange(len(rows))[:, None] == 1, 1, rows))
    assert f"holds only zeros for some experts, whose columns are weighted equally: {name}" in line


def test_experts_with_few_tokens_and_with_none_are_said(tmp_path):
    case = CASES[6]
    name = "blk.0.ffn_up_exps.weight"
    values = case_importances(case)[name].astype(np.float64)
    counts = np.array([49, 50, 0, 1000, 1, 0, 0, 51])
    values[counts == 0] = 0
    write_imatrix(tmp_path / "i.gguf", {name: values}, 512, 512, ["t"], {name: counts})
    fitting, lines = fit_to_model(read_imatrix(tmp_path / "i.gguf"), case_model(case))
    assert [line.partition(": ")[2] for line in lines] == [
        f"has no token for some experts, whose columns are weighted equally: {name} (3 of 8)",
        f"has fewer than 50 tokens for some experts, whose importances are used as they are: {name} (2 of 8)",
    ]
    np.testing.assert_array_equal(fitting.means[name][counts == 0], 1)
    np.testing.assert_allclose(fitting.means[name][0], values[0] / 49, rtol=1e-6)


def test_an_entry_of_a_second_embedding_that_does_not_fit_is_not_used_either(tmp_path):
    structure = Structure("gemma3n_text")
    means = {"per_layer_token_embd.weight": np.ones((1, 7), np.float32)}
    structure.write_importances(tmp_path / "i.gguf")
    matrix = read_imatrix(tmp_path / "i.gguf")
    _, [line] = fit_to_model(replace(matrix, means={**matrix.means, **means}), structure.model())
    assert "does not have the tensor's size and is ignored: per_layer_token_embd.weight" in line


@pytest.mark.parametrize("family", ["deepseek_v3", "granitemoehybrid", "lfm2", "qwen3_next"])
def test_every_matrix_of_any_role_gets_the_entry_under_its_name(tmp_path, family):
    """Projections of latent attention, state spaces and short convolutions."""
    structure = Structure(family)
    model = open_gguf(structure.write(tmp_path / "m.gguf"))
    found, lines = fit_to_model(read_imatrix(structure.write_importances(tmp_path / "i.gguf")), model)
    plan = make_plan(model, choices("main")["Q4_K_M"], found.means)
    job = Job("", choices("main")["Q4_K_M"], plan, found, tmp_path / "made.gguf")
    assert (uncovered([job], model), [line for line in lines if "fewer than" not in line]) == ([], [])


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.mark.parametrize(
    "kind", [kind for kind in QUANTIZABLE if block_size(kind) > 1], ids=lambda kind: kind.name
)
@pytest.mark.parametrize("dead", [16, 32, 256])
def test_columns_without_importance_are_no_worse_than_a_type_is(pool, kind, dead):
    """ggml alone writes zeros: an error of 1."""
    generator = np.random.default_rng(0)
    values = generator.standard_normal((8, 512)).astype(np.float32)
    importance = generator.uniform(0.5, 1, (1, 512)).astype(np.float32)
    importance[:, :dead] = 0

    def error(columns):
        restored = gguf.dequantize(quantize(values, kind, importance, pool), kind).reshape(values.shape)
        return np.linalg.norm((restored - values)[:, columns]) / np.linalg.norm(values[:, columns])

    assert error(slice(None, dead)) < 1.3 * error(slice(dead, None))


def test_single_columns_without_importance_change_no_byte(pool):
    """Only columns side by side are lifted: elsewhere the bytes stay llama-quantize's."""
    values = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    importance = np.where(np.arange(512) % 3 == 0, 0, 1).astype(np.float32)[None]
    for kind in (gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.IQ2_XXS):
        target = np.empty((8, ggml.row_bytes(kind, 512)), np.uint8)
        arguments = (values.ctypes.data, target.ctypes.data, 0, 8, 512, importance.ctypes.data)
        ggml._library().ggml_quantize_chunk(int(kind), *arguments)
        np.testing.assert_array_equal(quantize(values, kind, importance, pool), target)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_K", "IQ4_NL"])
def test_a_matrix_that_would_become_zeros_is_refused(pool, name):
    kind, tiny = gguf.GGMLQuantizationType[name], np.full((4, 256), 3e-8, np.float32)
    with pytest.raises(ValueError, match=f"{name} would turn all its weights into zeros"):
        quantize(tiny, kind, None, pool)
    tiny[2] = 1
    assert quantize(tiny, kind, None, pool).any()
    assert not gguf.dequantize(quantize(np.zeros((4, 256), np.float32), kind, None, pool), kind).any()
