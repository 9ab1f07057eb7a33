"""Types that `gguf` cannot decode, against values that ik_llama.cpp's and llama.cpp's own functions computed.

`tests/assets/ik_llama_blocks.npz` holds two rows of random bytes for each type of ik_llama.cpp, and the values that
its `dequantize_row_*`, compiled without contracted multiply-adds, gave for them (commit 8337e4c).
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as GGMLType

from evaluator.models import block_decoders
from evaluator.models.block_decoders import decoder
from evaluator.models.dequantize import dequantize_rows, gathered_rows
from evaluator.models.ggml_library import ggml_library
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.ik_blocks import DECODERS
from evaluator.models.tensor_types import FurtherType, block_layout, block_type
from evaluator.support.errors import SourceError

ASSET = Path(__file__).parents[3] / "assets" / "ik_llama_blocks.npz"
#: Types of llama.cpp itself: their own functions are the reference.
MAINLINE = {"Q1_0": 41, "Q2_0": 42, "Q8_K": 15}


@pytest.fixture(scope="module")
def vectors():
    with np.load(ASSET) as arrays:
        return dict(arrays)


def test_every_type_has_a_reference(vectors):
    names = {kind.name for kind in DECODERS}
    assert names == MAINLINE.keys() | {name for name in vectors if not name.endswith("_values")}
    assert {kind.name for kind in FurtherType} <= names


@pytest.mark.parametrize(
    "kind", [kind for kind in FurtherType if kind.name not in MAINLINE], ids=lambda k: k.name
)
def test_values_are_those_of_ik_llama(vectors, kind):
    rows, values = vectors[kind.name], vectors[f"{kind.name}_values"]
    np.testing.assert_array_equal(dequantize_rows(rows, kind), values)
    out = np.empty_like(values)
    assert dequantize_rows(rows, kind, out) is out
    np.testing.assert_array_equal(out, values)
    np.testing.assert_array_equal(gathered_rows(rows, kind, np.array([1, 0, 1])), values[[1, 0, 1]])


@pytest.mark.parametrize(
    "kind", [kind for kind in FurtherType if kind.name not in MAINLINE], ids=lambda k: k.name
)
def test_long_rows_are_decoded_in_parts(vectors, kind):
    """Several blocks per row and several parts per call give what each block gives by itself."""
    layout = block_layout(kind)
    one, values = vectors[kind.name][:1], vectors[f"{kind.name}_values"][:1]
    head, blocks = one[:, : layout.row_bytes], one[:, layout.row_bytes :]
    rows = np.tile(np.hstack([head, np.tile(blocks, 8)]), (300, 1))
    np.testing.assert_array_equal(dequantize_rows(rows, kind), np.tile(values, (300, 8)))


@pytest.mark.parametrize("name", MAINLINE)
def test_values_are_those_of_llama(name):
    kind, library = block_type(MAINLINE[name]), ggml_library()
    function = library[f"dequantize_row_{name.lower() if name != 'Q8_K' else 'q8_K'}"]
    layout = block_layout(kind)
    assert [library[f"ggml_{what}_size"](kind) for what in ("blck", "type")] == [
        layout.weights,
        layout.n_bytes,
    ]
    data = np.random.default_rng(1).integers(0, 256, (500, layout.n_bytes), dtype=np.uint8)
    expected, values = (
        np.empty((500, layout.weights), np.float32),
        np.empty((500, layout.weights), np.float32),
    )
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function.restype = None
    function(data.ctypes.data, expected.ctypes.data, expected.size)
    block_decoders._in_numpy(kind, DECODERS[kind], data.reshape(-1), values.reshape(-1))
    np.testing.assert_array_equal(values, expected)
    assert "_called" in repr(decoder(kind))


def test_known_types_are_those_of_the_library():
    """Every number below the library's count is known, named like there, and divided into the same blocks.

    `gguf` states an old size of Q8_1, which only activations have.
    """
    library = ggml_library()
    library.ggml_type_name.restype = ctypes.c_char_p
    numbers = [*(number for number in GGMLType if number != GGMLType.Q8_1), FurtherType.Q2_0]
    for number in numbers:
        kind, name = block_type(number), library.ggml_type_name(number).decode()
        assert kind.name == name.upper()
        layout = block_layout(kind)
        sizes = [library[f"ggml_{what}_size"](int(number)) for what in ("blck", "type")]
        assert sizes == [layout.weights, layout.n_bytes], name


def test_q2_0_by_hand():
    """Two bits c of each weight mean (c − 1) × scale: 0x1B holds 3, 2, 1, 0."""
    row = np.array([[0x00, 0x40, 0x1B, *[0x55] * 15]], np.uint8)  # the half 2.0
    values = dequantize_rows(row, FurtherType.Q2_0)
    np.testing.assert_array_equal(values[0, :4], [4, 2, 0, -2])
    assert not values[0, 4:].any()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (339, r"IQ4_K_R4 \(type 339 of ik_llama.cpp\), which is not read here; ik_llama.cpp reads it"),
        (31, r"Q4_0_4_4 \(type 31\), which llama.cpp removed"),
        (36, "I2_S of BitNet"),
        (999, "has unknown type number 999"),
    ],
)
def test_types_that_are_not_read_are_named(tmp_path, tiny, number, message):
    content = bytearray(tiny.path.read_bytes())
    name = b"blk.0.ffn_up.weight"
    place = content.index(name) + len(name) + 4 + 2 * 8
    content[place : place + 4] = number.to_bytes(4, "little")
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(SourceError, match=rf"tensor blk\.0\.ffn_up\.weight .*{message}") as caught:
        open_gguf(tmp_path / "m.gguf")
    assert "\n" not in str(caught.value)
