"""Products and lookups in onnxruntime against numpy, for every type."""

from __future__ import annotations

import gguf
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from block_bytes import random_bytes
from onnx import TensorProto, helper

from evaluator.export.packing.formats import PACKINGS
from evaluator.export.packing.matrices import Floating
from evaluator.export.packing.nodes import EXACT_PRODUCTS, FAST_PRODUCTS, NodeWriter
from evaluator.export.packing.weights_file import WeightsFile

ROWS, COLUMNS = 48, 512
HALF = np.random.default_rng(3).standard_normal((ROWS, COLUMNS)).astype(np.float16)
FLOATS = {
    "F32": Floating(HALF.astype(np.float32)),
    "F16": Floating(HALF, TensorProto.FLOAT16),
    "BF16": Floating((HALF.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16), TensorProto.BFLOAT16),
}
MATRICES = [*PACKINGS.names(), *FLOATS]


def matrix_and_values(kind):
    if kind in FLOATS:
        return FLOATS[kind], FLOATS[kind].values()
    raw = random_bytes(kind, ROWS, COLUMNS)
    return PACKINGS.get(kind)(raw), gguf.dequantize(raw, gguf.GGMLQuantizationType[kind])


def run(folder, write, inputs, accuracy_level=EXACT_PRODUCTS):
    """What `write(writer)` puts into a graph, computed by onnxruntime from a folder of its own."""
    with WeightsFile(folder / "weights.bin") as weights:
        writer = NodeWriter(weights, accuracy_level)
        outputs = write(writer)
    types = {"x": TensorProto.FLOAT, "ids": TensorProto.INT64}
    infos = [
        helper.make_tensor_value_info(name, types[name], list(value.shape)) for name, value in inputs.items()
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(writer.nodes, "g", infos, results, writer.initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(outputs, inputs)


def multiply(matrix):
    def write(writer):
        writer.product("w", "x", matrix, "y")
        return ["y"]

    return write


DATA = np.random.default_rng(1).standard_normal((2, 5, COLUMNS)).astype(np.float32)


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("kind", MATRICES)
def test_product_is_that_of_the_dequantized_matrix(tmp_path, kind):
    matrix, values = matrix_and_values(kind)
    (found,) = run(tmp_path, multiply(matrix), {"x": DATA})
    assert relative_error(found, DATA.astype(np.float64) @ values.T.astype(np.float64)) < 1e-5


@pytest.mark.parametrize("kind", PACKINGS.names())
def test_fast_product_rounds_activations_only(tmp_path, kind):
    """Eight bits per activation: half a step of 1/127 of a block's largest, averaged over the columns."""
    matrix, values = matrix_and_values(kind)
    (found,) = run(tmp_path, multiply(matrix), {"x": DATA}, FAST_PRODUCTS)
    assert relative_error(found, DATA @ values.T) < 0.02


def test_zero_data_gives_zero(tmp_path):
    matrix, _ = matrix_and_values("Q4_K")
    (found,) = run(tmp_path, multiply(matrix), {"x": np.zeros_like(DATA)}, FAST_PRODUCTS)
    assert (found == 0).all()


@pytest.mark.parametrize("kind", MATRICES)
def test_lookup_and_tied_product_share_their_bytes(tmp_path, kind):
    matrix, values = matrix_and_values(kind)
    ids = np.array([[3, 0, 47], [11, 3, 46]])

    def write(writer):
        writer.lookup("w", "ids", matrix, "rows")
        writer.product("w", "x", matrix, "y")
        return ["rows", "y"]

    rows, product = run(tmp_path, write, {"ids": ids, "x": DATA})
    np.testing.assert_allclose(rows, values[ids], rtol=0, atol=1e-7 * np.abs(values).max())
    assert relative_error(product, DATA.astype(np.float64) @ values.T.astype(np.float64)) < 1e-5
    codes = matrix.data.nbytes if kind in FLOATS else matrix.layout().nbytes
    rest = 0 if kind in FLOATS else matrix.scales.size * (matrix.scales.itemsize + 1)
    offsets = 0 if kind in FLOATS or matrix.offsets is None else 2 * matrix.offsets.nbytes
    assert (tmp_path / "weights.bin").stat().st_size <= codes + rest + offsets + 5 * 64


def test_products_of_the_same_data_share_their_block_means(tmp_path):
    first, second = (PACKINGS.get("Q5_K")(random_bytes("Q5_K", ROWS, COLUMNS, seed)) for seed in (1, 2))

    def write(writer):
        writer.product("a", "x", first, "y")
        writer.product("b", "x", second, "z")
        assert [node.op_type for node in writer.nodes].count("AveragePool") == 1
        return ["y", "z"]

    found = run(tmp_path, write, {"x": DATA})
    for output, matrix in zip(found, (first, second), strict=True):
        assert relative_error(output, DATA @ matrix.values().T) < 1e-5


def test_weights_that_are_not_all_written_leave_no_file(tmp_path):
    def interrupted():
        with WeightsFile(tmp_path / "weights.bin") as weights:
            weights.place("w", np.ones(3, np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
