"""Every packed type against gguf's own reader, on random bytes, and against onnxruntime's products."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
from block_bytes import random_bytes

from evaluator.export.packing.formats import PACKINGS, Packed, stacked

KINDS = PACKINGS.names()
#: Types with minima: scale · (code − middle) + offset is the same sum in another order.
ROUNDED = {"Q4_1", "Q5_1", "Q4_K", "Q5_K"}


def dequantized(kind, raw):
    return gguf.dequantize(raw, gguf.GGMLQuantizationType[kind])


def test_all_types_that_gguf_reads_are_packed_but_the_floats():
    readable = set()
    for ggml_type, (_, n_bytes) in gguf.GGML_QUANT_SIZES.items():
        try:
            gguf.dequantize(np.zeros((1, n_bytes), np.uint8), ggml_type)
        except NotImplementedError:
            continue
        readable.add(ggml_type.name)
    assert readable - set(KINDS) == {"F32", "F16", "BF16"}


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_the_format_defines(kind):
    raw = random_bytes(kind, 8, 512)
    expected = dequantized(kind, raw)
    found = PACKINGS.get(kind)(raw).values()
    assert np.isfinite(expected).all()
    if kind in ROUNDED:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_bytes_are_packed_without_surprise(kind):
    block, n_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    raw = np.zeros((2, 512 // block * n_bytes), np.uint8)
    packed = PACKINGS.get(kind)(raw)
    np.testing.assert_array_equal(packed.values(), dequantized(kind, raw))
    assert np.isfinite(packed.values()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_packed_one_by_one(kind):
    """So rows may be moved before or after: codes, scales and offsets move alike."""
    raw = random_bytes(kind, 6, 512)
    order = np.array([3, 0, 5, 1, 4, 2])
    whole, moved = PACKINGS.get(kind)(raw), PACKINGS.get(kind)(raw[order])
    np.testing.assert_array_equal(moved.values(), whole.values()[order])
    np.testing.assert_array_equal(moved.layout(), whole.layout()[order])


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_layout_puts_the_first_code_into_the_lowest_bits(bits):
    codes = np.random.default_rng(0).integers(0, 1 << bits, (3, 64), dtype=np.uint8)
    laid = Packed(bits, 32, codes, np.ones((3, 2), np.float32)).layout()
    assert laid.shape == (3, 2, 32 * bits // 8)
    for index in range(64):
        byte = laid[1].ravel()[index * bits // 8]
        assert (byte >> (index * bits % 8)) & ((1 << bits) - 1) == codes[1, index]


def test_stacked_matrices_keep_their_rows():
    parts = [PACKINGS.get("Q4_K")(random_bytes("Q4_K", rows, 256, seed=rows)) for rows in (2, 3)]
    whole = stacked(parts)
    assert whole.form == parts[0].form == parts[1].form
    np.testing.assert_array_equal(whole.values(), np.concatenate([part.values() for part in parts]))
