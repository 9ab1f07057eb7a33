"""Write the nodes that multiply by, and look up rows of, an artifact's matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.fusion.dataflow import replace_nodes
from evaluator.export.packing.formats import Packed
from evaluator.export.packing.matrices import Floating, Matrix
from evaluator.export.packing.weights_file import WeightsFile, again

CONTRIB = "com.microsoft"
#: Accuracy levels of `MatMulNBits`: 0 multiplies in float32; 4 rounds activations to 8 bits per block and is fast.
EXACT_PRODUCTS, FAST_PRODUCTS = 0, 4


class NodeWriter:
    """Collects nodes and initializers, and writes their weights into the file.

    float16 scales, and float16 and bfloat16 matrices, are cast to float32 by nodes that onnxruntime folds when it
    loads the model, so that the file stays small and products stay float32.
    """

    def __init__(self, weights: WeightsFile, accuracy_level: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._weights = weights
        self.accuracy_level = accuracy_level
        self._placed: dict[str, onnx.TensorProto] = {}
        self._made: set[str] = set()

    def add(self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> None:
        """Append a node; attributes of `domain` and ONNX's own pass through."""
        self.nodes.append(helper.make_node(op_type, list(inputs), list(outputs), **attributes))

    @contextmanager
    def inside(self, branch: onnx.GraphProto) -> Iterator[None]:
        """Write the nodes that are appended meanwhile into a branch; initializers stay outside of it."""
        outside, self.nodes = self.nodes, []
        yield
        replace_nodes(branch, self.nodes)
        self.nodes = outside

    def constant(self, name: str, values: object) -> str:
        """Add a small int64 initializer inside the model file, once, and return its name."""
        if self._first(name):
            self.initializers.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def product(self, name: str, data: str, matrix: Matrix, output: str) -> None:
        """Add output [..., rows] = data [..., columns] · matrixᵀ; weights are stored as `name`."""
        if isinstance(matrix, Floating):
            self.add("MatMul", [data, self._float_operand(name, matrix)], [output])
            return
        rows, columns = matrix.codes.shape
        raw = output if matrix.offsets is None else f"{output}/codes"
        self.add(
            "MatMulNBits",
            [data, self._codes(name, matrix), self._scales(name, matrix)],
            [raw],
            domain=CONTRIB,
            K=columns,
            N=rows,
            bits=matrix.bits,
            block_size=matrix.block,
            accuracy_level=self.accuracy_level,
        )
        if matrix.offsets is not None:
            # Block sizes are powers of two, so dividing sums by them and multiplying offsets is exact.
            offsets = self.place(f"{name}/offsets", matrix.offsets.T * np.float32(matrix.offset_block))
            self.add("MatMul", [self._means(data, matrix.offset_block), offsets], [f"{output}/offsets"])
            self.add("Add", [raw, f"{output}/offsets"], [output])

    def lookup(self, name: str, ids: str, matrix: Matrix, output: str) -> None:
        """Add output [batch, sequence, columns] = rows of the matrix at ids [batch, sequence]."""
        if isinstance(matrix, Floating):
            looked_up = output if matrix.onnx_type == TensorProto.FLOAT else f"{output}/stored"
            self.add("Gather", [self.place(name, matrix.data, matrix.onnx_type), ids], [looked_up], axis=0)
            if looked_up != output:
                self.add("Cast", [looked_up], [output], to=TensorProto.FLOAT)
            return
        rows, columns = matrix.codes.shape
        self._codes(name, matrix)
        flat = again(self._placed[f"{name}/codes"], f"{name}/rows", (rows, columns * matrix.bits // 8))
        self.initializers.append(flat)
        raw = output if matrix.offsets is None else f"{output}/codes"
        self.add(
            "GatherBlockQuantized",
            [flat.name, ids, self._scales(name, matrix), self._zero_points(name, matrix)],
            [raw],
            domain=CONTRIB,
            bits=matrix.bits,
            block_size=matrix.block,
            gather_axis=0,
            quantize_axis=1,
        )
        if matrix.offsets is not None:
            self._add_offsets(name, ids, matrix, raw, output)

    def _add_offsets(self, name: str, ids: str, matrix: Packed, raw: str, output: str) -> None:
        assert matrix.offsets is not None
        table = self.place(f"{name}/row_offsets", matrix.offsets)
        blocks = self.constant(f"{name}/blocks", [0, 0, -1, matrix.offset_block])
        whole = self.constant(f"{name}/whole", [0, 0, -1])
        self.add("Gather", [table, ids], [f"{output}/offsets"], axis=0)
        last = self.constant("last_axis", [-1])
        self.add("Unsqueeze", [f"{output}/offsets", last], [f"{output}/offset_columns"])
        self.add("Reshape", [raw, blocks], [f"{output}/code_blocks"])
        self.add("Add", [f"{output}/code_blocks", f"{output}/offset_columns"], [f"{output}/blocks"])
        self.add("Reshape", [f"{output}/blocks", whole], [output])

    def _means(self, data: str, block: int) -> str:
        """Add the mean of each block of `data` [batch, sequence, columns], once, and return its name."""
        means = f"{data}/means_{block}"
        if self._first(means):
            self.add("AveragePool", [data], [means], kernel_shape=[block], strides=[block])
        return means

    def place(self, name: str, values: np.ndarray, onnx_type: int | None = None) -> str:
        """Store values under a name, once, and return the name."""
        if name not in self._placed:
            self._placed[name] = self._weights.place(name, values, onnx_type)
            self.initializers.append(self._placed[name])
        return name

    def _codes(self, name: str, matrix: Packed) -> str:
        placed = f"{name}/codes"
        return placed if placed in self._placed else self.place(placed, matrix.layout())

    def _scales(self, name: str, matrix: Packed) -> str:
        return self.as_float(self.place(f"{name}/scales", matrix.scales))

    def _zero_points(self, name: str, matrix: Packed) -> str:
        """Store zero points, several to a byte; they are explicit because the default differs between devices."""
        per_byte = 8 // matrix.bits
        byte = sum(matrix.zero << (place * matrix.bits) for place in range(per_byte))
        rows, n_blocks = matrix.scales.shape
        return self.place(f"{name}/zeros", np.full((rows, -(-n_blocks // per_byte)), byte, np.uint8))

    def _float_operand(self, name: str, matrix: Floating) -> str:
        """Return the second factor, float32 [columns, rows]; it shares the bytes of rows stored for a lookup."""
        if name in self._placed:
            operand, stored = f"{name}/operand", self.as_float(name)
            self.add("Transpose", [stored], [operand], perm=[1, 0])
            return operand
        return self.as_float(self.place(f"{name}/transposed", matrix.data.T, matrix.onnx_type))

    def as_float(self, placed: str) -> str:
        """Return stored values as float32."""
        if self._placed[placed].data_type == TensorProto.FLOAT:
            return placed
        single = f"{placed}/float"
        if self._first(single):
            self.add("Cast", [placed], [single], to=TensorProto.FLOAT)
        return single

    def _first(self, name: str) -> bool:
        """Return whether this value is requested for the first time."""
        first = name not in self._made
        self._made.add(name)
        return first
