"""ggml's quantizers through ctypes: gguf-py, which has its own for the simple types, is the oracle."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import gguf
import numpy as np
import pytest

from evaluator.models import ggml_library
from evaluator.models.dequantize import dequantize_rows
from evaluator.quantize import ggml
from evaluator.quantize.ggml import QUANTIZABLE, block_size, ggml_type, needs_importance, quantize
from evaluator.support.errors import RequestError

COLUMNS = 512
#: Relative error that each type may have on normal weights: about what its bits allow, and a third of it on top.
BOUNDS = {
    "F32": 0,
    "F16": 4e-4,
    "BF16": 3e-3,
    "Q8_0": 0.008,
    "Q6_K": 0.025,
    "Q5_K": 0.05,
    "Q5_1": 0.05,
    "Q5_0": 0.06,
}
BOUNDS |= {"Q4_K": 0.1, "Q4_1": 0.1, "Q4_0": 0.12, "IQ4_NL": 0.1, "IQ4_XS": 0.1, "MXFP4": 0.16, "NVFP4": 0.12}
BOUNDS |= {
    "Q3_K": 0.2,
    "IQ3_S": 0.19,
    "IQ3_XXS": 0.25,
    "Q2_K": 0.36,
    "IQ2_S": 0.33,
    "IQ2_XS": 0.4,
    "IQ2_XXS": 0.46,
}
BOUNDS |= {"TQ2_0": 0.9, "TQ1_0": 0.9, "IQ1_M": 0.6, "IQ1_S": 0.65}
OWN_QUANTIZERS = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0")


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(3) as threads:
        yield threads


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(0).standard_normal((300, COLUMNS), np.float32)


def test_every_type_has_a_bound():
    assert set(BOUNDS) == {kind.name for kind in QUANTIZABLE}


#: ggml searches the neighbours in the codebooks of these types when they are first used, for seconds to minutes.
SLOW = [name for name in BOUNDS if name.startswith(("IQ1", "IQ2", "IQ3"))]
EVERY = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in BOUNDS]


@pytest.mark.parametrize("name", EVERY)
def test_error_is_what_the_bits_allow(weights, pool, name):
    kind, sample = ggml_type(name), weights[:16]
    importance = np.ones((1, COLUMNS), np.float32) if needs_importance(kind) else None
    encoded = quantize(sample, kind, importance, pool)
    assert encoded.nbytes == sample.size // block_size(kind) * gguf.GGML_QUANT_SIZES[kind][1]
    restored = gguf.dequantize(encoded, kind).reshape(sample.shape)
    assert np.linalg.norm(restored - sample) <= BOUNDS[name] * np.linalg.norm(sample)


@pytest.mark.parametrize("name", OWN_QUANTIZERS)
def test_bytes_are_those_of_gguf_py(weights, pool, name):
    expected = gguf.quantize(weights, ggml_type(name)).view(np.uint8)
    np.testing.assert_array_equal(quantize(weights, ggml_type(name), None, pool), expected)


def test_threads_do_not_change_bytes(weights, pool):
    kind = ggml_type("Q4_K")
    with ThreadPoolExecutor(1) as alone:
        np.testing.assert_array_equal(
            quantize(weights, kind, None, pool), quantize(weights, kind, None, alone)
        )


@pytest.mark.parametrize("name", ["Q4_0", "Q4_K", "IQ4_XS"])
def test_importances_lower_the_error_where_they_are_large(weights, pool, name):
    importance = np.where(np.arange(COLUMNS) % 8 == 0, 100, 1).astype(np.float32)[None]
    kind, sample = ggml_type(name), weights[:32]

    def loss(importances):
        restored = gguf.dequantize(quantize(sample, kind, importances, pool), kind).reshape(sample.shape)
        return float((importance * (restored - sample) ** 2).sum())

    assert loss(importance) < 0.8 * loss(None)


def test_each_expert_is_quantized_with_its_own_importances(weights, pool):
    kind = ggml_type("Q4_K")
    experts = weights.reshape(3, 100, COLUMNS)
    importance = np.random.default_rng(1).lognormal(0, 2, (3, COLUMNS)).astype(np.float32)
    together = quantize(experts, kind, importance, pool)
    for index in range(3):
        alone = quantize(experts[index], kind, importance[index : index + 1], pool)
        np.testing.assert_array_equal(together[index], alone)
    assert not np.array_equal(together[1], quantize(experts[1], kind, importance[:1], pool))


@pytest.mark.parametrize(
    ("columns", "name", "message"),
    [
        (96, "Q4_K", "rows of 96 do not fit Q4_K blocks of 256"),
        (256, "IQ2_XXS", "without an importance matrix"),
    ],
)
def test_what_would_abort_the_process_is_refused(pool, columns, name, message):
    with pytest.raises(ValueError, match=message):
        quantize(np.zeros((2, columns), np.float32), ggml_type(name), None, pool)


@pytest.mark.parametrize(("bad", "name"), [(np.nan, "Q8_0"), (np.inf, "Q4_K"), (1e6, "F16")])
def test_values_that_cannot_be_stored_are_refused(weights, pool, bad, name):
    broken = weights.copy()
    broken[200, 7] = bad
    with pytest.raises(ValueError, match=f"not finite, or too large for {name}"):
        quantize(broken, ggml_type(name), None, pool)


def in_another_process(code):
    """Run code that aborts the process if it is wrong; return what it prints."""
    start = "import numpy as np\nfrom evaluator.quantize.ggml import *\npool = ThreadPoolExecutor(1)\n"
    start += "weights = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)\n"
    caught = f"try: {code}\nexcept ValueError as error: print(error)"
    result = subprocess.run(
        [sys.executable, "-c", start + caught], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or f"status {result.returncode}"


def test_weights_at_which_ggml_aborts_are_refused():
    code = "weights[2, 7] = 1e30; quantize(weights, ggml_type('IQ3_S'), None, pool)"
    assert in_another_process(code) == "values that are not finite, or too large for IQ3_S"


def test_importances_at_which_ggml_aborts_are_refused():
    code = "quantize(65504 * weights, ggml_type('IQ3_S'), np.full((1, 256), 1e30, np.float32), pool)"
    assert "weights and importances whose products are too large for IQ3_S" in in_another_process(code)


@pytest.mark.parametrize(("large", "name"), [(1e6, "Q8_0"), (1e8, "Q6_K"), (1e30, "BF16"), (1e30, "MXFP4")])
def test_values_as_large_as_a_type_holds_are_kept(weights, pool, large, name):
    scaled = (weights / np.abs(weights).max() * large).astype(np.float32)
    restored = dequantize_rows(quantize(scaled, ggml_type(name), None, pool), ggml_type(name))
    assert np.abs(restored).max() == pytest.approx(large, rel=0.3)


def test_unknown_type_names_the_known():
    with pytest.raises(ValueError, match=r"unknown tensor type 'Q4_9' \(known: BF16, F16"):
        ggml_type("Q4_9")


@pytest.fixture
def no_library_yet(monkeypatch):
    for function in (ggml._library, ggml_library.ggml_library):
        function.cache_clear()
    yield
    monkeypatch.undo()
    for function in (ggml._library, ggml_library.ggml_library):
        function.cache_clear()


def test_library_of_something_else(no_library_yet, monkeypatch):
    other = importlib.util.find_spec("numpy._core._multiarray_umath").origin
    monkeypatch.setenv(ggml_library.LIBRARY_VARIABLE, other)
    with pytest.raises(
        RequestError, match=r"umath.*lacks the function ggml_quantize_chunk: pip install xlla"
    ):
        needs_importance(ggml_type("Q4_0"))


def test_without_the_package(no_library_yet, monkeypatch):
    monkeypatch.setattr(ggml_library, "_PACKAGE", "absent_package_of_this_name")
    with pytest.raises(RequestError, match="quantizing needs ggml's library: pip install"):
        needs_importance(ggml_type("Q4_0"))
