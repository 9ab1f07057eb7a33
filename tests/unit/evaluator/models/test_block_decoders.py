"""Functions that decode blocks: bit for bit those of `gguf`, whatever the bytes and whichever function is used."""

from __future__ import annotations

import ctypes
import platform

import gguf
import numpy as np
import pytest
from block_bytes import random_bytes
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models import block_decoders, ggml_library
from evaluator.models.block_decoders import decoder
from evaluator.models.ik_blocks import DECODERS

KINDS = ["F32", "F16", *(kind.name for kind in gguf.quants._type_traits)]
#: Types that another function than gguf-py's decodes where ggml's library is present, and that `gguf` reads.
FAST = {"F16", *block_decoders._SAFE} - {kind.name for kind in DECODERS}


def expected(data, kind):
    with np.errstate(all="ignore"):
        return np.array(gguf.dequantize(data.reshape(1, -1), kind), np.float32).reshape(-1)


def decoded(data, kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    values = np.full(len(data) // size * block + 2, 7, np.float32)
    decoder(kind)(data, values[1:-1])
    assert values[0] == values[-1] == 7
    return values[1:-1]


def same(values, others):
    """All bits, except that NaNs equal each other."""
    bits = values.view(np.uint32) == others.view(np.uint32)
    return (bits | (np.isnan(values) & np.isnan(others))).all()


@pytest.fixture
def without_library(monkeypatch):
    monkeypatch.setattr(block_decoders, "ggml_library", lambda: None)
    decoder.cache_clear()
    yield
    monkeypatch.undo()
    decoder.cache_clear()


def test_every_type_that_gguf_reads_is_tested():
    assert len(KINDS) >= 26
    assert set(KINDS) >= FAST


@pytest.mark.parametrize("name", KINDS)
def test_ordinary_blocks(name):
    kind = GGMLType[name]
    data = random_bytes(name, 3, 1024, seed=5).reshape(-1)
    assert same(decoded(data, kind), expected(data, kind))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("extreme", ["random", "ones", "zeros", "infinite", "tiny"])
def test_hostile_blocks(name, extreme):
    kind = GGMLType[name]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = np.random.default_rng(6).integers(0, 256, (3000, size), dtype=np.uint8)
    if extreme in ("infinite", "tiny"):  # any pair of bytes is an infinity, NaN or subnormal half
        pair = {"infinite": (0x00, 0x7C), "tiny": (0x01, 0x80)}[extreme]
        for start in range(0, size - 1, 2):
            data[start::3, start : start + 2] = pair
    elif extreme != "random":
        data[:] = {"ones": 255, "zeros": 0}[extreme]
    flat = data.reshape(-1)
    assert same(decoded(flat, kind), expected(flat, kind))


@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_every_number_of_16_bits(name):
    data = np.arange(1 << 16, dtype="<u2").view(np.uint8)
    assert same(decoded(data, GGMLType[name]), expected(data, GGMLType[name]))


@pytest.mark.parametrize("n", range(1, 20))
def test_any_number_of_halves(n):
    data = np.random.default_rng(n).standard_normal(n).astype("<f2").view(np.uint8)
    assert same(decoded(data, GGMLType.F16), expected(data, GGMLType.F16))


@pytest.mark.parametrize("name", KINDS)
def test_without_the_library(without_library, name):
    kind = GGMLType[name]
    data = random_bytes(name, 70, 4096 if name != "F32" else 32, seed=8).reshape(-1)
    assert same(decoded(data, kind), expected(data, kind))


@pytest.mark.parametrize("name", KINDS)
def test_the_library_is_used_where_it_may(name):
    assert ("_called" in repr(decoder(GGMLType[name]))) == (name in FAST - {"F16"})


@pytest.mark.parametrize("name", ["F16", "BF16", "Q4_K", "IQ3_S"])
def test_bytes_at_odd_addresses(name):
    data = random_bytes(name, 2, 1024).reshape(-1)
    shifted = np.empty(len(data) + 1, np.uint8)[1:]
    shifted[:] = data
    assert same(decoded(shifted, GGMLType[name]), expected(data, GGMLType[name]))


@pytest.mark.parametrize("name", ["Q8_1", "I32"])
def test_types_that_gguf_cannot_read_are_refused(name):
    with pytest.raises(NotImplementedError, match=name):
        decoder(GGMLType[name])


@pytest.fixture
def wrong_library(monkeypatch):
    """Replaces C functions of ggml's library by some that a test names."""
    decoder.cache_clear()
    real = ggml_library.ggml_library()

    def replace(**functions):
        class Library:
            def __getitem__(self, name):
                return functions.get(name) or real[name]

        monkeypatch.setattr(block_decoders, "ggml_library", Library)

    yield replace
    monkeypatch.undo()
    decoder.cache_clear()


def test_a_function_with_other_values_is_not_used(wrong_library):
    other = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)

    @other
    def slightly_wrong(data, values, n):
        ctypes.memset(values, 0, 4 * n)

    data = random_bytes("Q4_0", 3, 1024).reshape(-1)
    wrong_library(dequantize_row_q4_0=slightly_wrong)
    assert same(decoded(data, GGMLType.Q4_0), expected(data, GGMLType.Q4_0))
    assert "_called" not in repr(decoder(GGMLType.Q4_0))


def test_a_library_with_other_blocks_is_not_called(wrong_library):
    called = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    def never(data, values, n):
        called.append(n)

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    def larger(kind):
        return 20

    wrong_library(dequantize_row_q4_0=never, ggml_type_size=larger)
    data = random_bytes("Q4_0", 3, 1024).reshape(-1)
    assert same(decoded(data, GGMLType.Q4_0), expected(data, GGMLType.Q4_0))
    assert not called


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads names of x86 instructions")
def test_halves_without_the_processors_instructions(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : sse2 avx avx2 bmi2 fma f16c avx512f\n")
    monkeypatch.setattr(block_decoders, "_PROCESSOR", tmp_path / "cpuinfo")
    assert block_decoders._half_function() is not None
    (tmp_path / "cpuinfo").write_text("flags : sse2 avx avx2 bmi2 fma avx512f\n")
    assert block_decoders._half_function() is None
    monkeypatch.setattr(block_decoders, "_PROCESSOR", tmp_path / "absent")
    assert block_decoders._half_function() is None
