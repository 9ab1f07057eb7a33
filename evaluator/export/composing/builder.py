"""Collect the nodes and weights of one piece."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from evaluator.export.composing.traces import Traces
from evaluator.export.fusion.fuse import Heads
from evaluator.export.fusion.norms import CONTRIB, NORM
from evaluator.export.skeleton import Slot, refer_to_external
from evaluator.models.architectures.description import Decoder
from evaluator.models.architectures.layer_tensors import tensor_name
from evaluator.models.architectures.mixers import Activation, Xielu
from evaluator.support.errors import ExportError

OPSET, IR_VERSION = 23, 10
#: The input with the positions of a window's tokens, int64 [windows, length].
POSITIONS = "position_ids"
#: Tensor name → shape in numpy's order.
Shapes = Mapping[str, tuple[int, ...]]


class Builder:
    """The piece of one layer; values are names in its graph.

    Attributes:
        decoder: the model.
        layer: the layer; −1 outside of them.
        shapes: the tensors of the model.
        heads: sizes of keys and values if the piece has attention that can run in chunks.
        heads_held: number of heads whose scores onnxruntime's kernel holds all.
        wide: arrays as wide as the widest matrix that exist while the piece runs, 0 for the usual number.
        carried: fields of the stream, see `stream`.
        traces: the shapes of values.
        fused: whether attention is one operator; its kernels for GPUs compute in float16 only.
        states: name of a node that carries a state from token to token → the state's shape, without windows.
    """

    def __init__(
        self, decoder: Decoder, layer: int, shapes: Shapes, prefix: str = "weight", *, fused: bool = True
    ) -> None:
        self.decoder, self.layer, self.shapes, self._prefix = decoder, layer, shapes, prefix
        self.fused = fused
        self.heads: Heads | None = None
        self.heads_held = self.wide = 0
        self.carried: dict[str, str] = {}
        self.traces = Traces()
        self.states: dict[str, tuple[int, ...]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.slots: dict[str, Slot] = {}
        self.inputs: dict[str, int] = {}
        self.tables: set[str] = set()
        self._names: dict[tuple[str, bool], str] = {}
        self._constants: dict[bytes, onnx.TensorProto] = {}

    def role(self, role: str, kind: str = "weight") -> str:
        """Return the name of this layer's tensor with a role; `role` itself outside of layers."""
        return tensor_name(self.shapes, role, self.layer, kind)

    def has(self, role: str, kind: str = "weight") -> bool:
        """Return whether the model has a tensor."""
        return self.role(role, kind) in self.shapes

    def node(
        self, operator: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> list[str]:
        """Add a node and return the names of its outputs.

        Raises:
            ExportError: its inputs do not fit.
        """
        names = [f"value_{len(self.nodes)}_{index}" for index in range(outputs)]
        self.traces.follow(operator, inputs, names, attributes)
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names

    def op(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        return self.node(operator, *inputs, domain=domain, **attributes)[0]

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Return a constant."""
        array = np.asarray(values, dtype)
        key = array.tobytes() + str((array.dtype, array.shape)).encode()
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(array, name)
            self.traces.constant(name, array)
        return str(self._constants[key].name)

    def input(self, name: str, kind: int = TensorProto.FLOAT) -> str:
        """Declare an input that all pieces share, such as a rotary table."""
        self.inputs[name] = kind
        return name

    def weight(self, tensor: str, *, transposed: bool = False, rows: bool = False) -> str:
        """Return a tensor of the model, as in the file or transposed; only looked-up rows of it with `rows`.

        Raises:
            ExportError: the model does not have it.
        """
        if tensor not in self.shapes:
            raise ExportError(f"tensor {tensor} is missing")
        key = (tensor, transposed)
        if key not in self._names:
            name = self._names[key] = f"{self._prefix}_{len(self._names)}"
            shape = self.shapes[tensor]
            self.slots[name] = Slot(name, tensor, transposed, shape[::-1] if transposed else shape, 0)
            self.traces.weight(name, self.slots[name].shape, tensor, shape)
            if rows:
                self.tables.add(name)
        return self._names[key]

    def vector(self, role: str, shape: Sequence[int] | None = None, kind: str = "weight") -> str:
        """Return a tensor of the layer in another shape, one-dimensional without one."""
        tensor = self.role(role, kind)
        value = self.weight(tensor)
        if self.shapes[tensor] == shape or (shape is None and len(self.shapes[tensor]) == 1):
            return value
        return self.reshape(value, shape or (-1,))

    def matrix_shape(self, role: str) -> tuple[int, int]:
        """Return the rows and columns of this layer's matrix with a role.

        Raises:
            ExportError: it is missing, or not a matrix.
        """
        tensor = self.role(role)
        if tensor not in self.shapes:
            raise ExportError(f"tensor {tensor} is missing")
        shape = self.shapes[tensor]
        if len(shape) != 2:
            raise ExportError(f"tensor {tensor} is {shape}, not a matrix")
        return shape[0], shape[1]

    def product(self, x: str, role: str, rows: int | None = None) -> str:
        """Return x · matrixᵀ, plus the bias if the model has one.

        Args:
            x: a value.
            role: the matrix's.
            rows: how many rows it must have; None for any number.

        Raises:
            ExportError: the matrix is missing, or does not fit.
        """
        tensor = self.role(role)
        if rows == 1 and len(self.shapes.get(tensor, ())) == 1:
            matrix = self.vector(role, (-1, 1))
        else:
            found, _ = self.matrix_shape(role)
            if rows not in (found, None):
                raise ExportError(f"tensor {tensor} has {found} rows, the metadata say {rows}")
            matrix = self.weight(tensor, transposed=True)
        y = self.op("MatMul", x, matrix)
        if self.has(role, "bias"):
            y = self.op("Add", y, self.vector(role, kind="bias"))
        return y

    def norm(self, x: str, role: str, *, width: int | None = None) -> str:
        """Return a norm over the last axis, whose `width` is only needed if the gain has another shape."""
        gain = self.vector(role) if width is None else self.vector(role, (width,))
        if self.decoder.norm == "layer":
            offset = [self.vector(role, kind="bias")] if self.has(role, "bias") else []
            return self.op("LayerNormalization", x, gain, *offset, axis=-1, epsilon=self.decoder.epsilon)
        return self.root_mean_square(x, gain)

    def root_mean_square(self, x: str, gain: str) -> str:
        """Return x · gain / √(mean(x²) + ε) over the last axis."""
        return self.op(NORM, x, gain, axis=-1, epsilon=self.decoder.epsilon, stash_type=1)

    def plain_norm(self, x: str, width: int) -> str:
        """Return x / √(mean(x²) + ε) over the last axis of this width."""
        return self.root_mean_square(x, self.constant(np.ones(width)))

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Return x in another shape; 0 keeps a dimension, −1 takes the rest."""
        return self.op("Reshape", x, self.constant(shape, np.int64))

    def split(self, x: str, sizes: Sequence[int], axis: int = -1) -> list[str]:
        """Return consecutive parts of x."""
        if len(sizes) == 1:
            return [x]
        return self.node("Split", x, self.constant(sizes, np.int64), outputs=len(sizes), axis=axis)

    def concat(self, *parts: str, axis: int = -1) -> str:
        """Return parts behind one another."""
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)

    def scaled(self, x: str, factor: float) -> str:
        """Return x · factor."""
        return x if factor == 1 else self.op("Mul", x, self.constant(factor))

    def total(self, parts: Sequence[str]) -> str:
        """Return the sum of all parts."""
        result = parts[0]
        for part in parts[1:]:
            result = self.op("Add", result, part)
        return result

    def activation(self, x: str, kind: Activation) -> str:
        """Return an activation function of x."""
        match kind:
            case Xielu():
                return self._xielu(x, kind)
            case "silu":
                return self.op("Mul", x, self.op("Sigmoid", x))
            case "gelu":
                return self.op("Gelu", x, approximate="none")
            case "gelu_tanh":
                return self.op("Gelu", x, approximate="tanh")
            case "relu":
                return self.op("Relu", x)
            case "relu_squared":
                y = self.op("Relu", x)
                return self.op("Mul", y, y)
        raise ExportError(f"there is no activation {kind}")

    def _xielu(self, x: str, kind: Xielu) -> str:
        """Return what `Xielu` describes, with the positive and the negative part of x, one of which is 0."""
        above, below = self.op("Relu", x), self.op("Min", x, self.constant(0))
        high = self.scaled(self.op("Mul", above, above), kind.p)
        grown = self.op("Exp", self.op("Min", x, self.constant(kind.epsilon)))
        low = self.op("Sub", self.op("Sub", grown, self.constant(1)), below)
        inside = self.op("Where", self.op("Greater", x, self.constant(0)), self.constant(0), low)
        return self.total([high, self.scaled(inside, kind.n), self.scaled(x, kind.b)])

    def softplus(self, x: str) -> str:
        """Return ln(1 + exp x) without overflow: max(x, 0) + ln(1 + exp −|x|)."""
        rest = self.op(
            "Log", self.op("Add", self.constant(1), self.op("Exp", self.op("Neg", self.op("Abs", x))))
        )
        return self.op("Add", self.op("Relu", x), rest)

    def model(self, outputs: Mapping[str, str], inputs: Mapping[str, int]) -> onnx.ModelProto:
        """Return the piece's model, with its weights as references to external data.

        Args:
            outputs: value → name of the output.
            inputs: name → type of the inputs besides those that were declared.
        """
        read = {name for node in self.nodes for name in node.input}
        constants = [item for item in self._constants.values() if item.name in read]
        graph = helper.make_graph(
            [
                *self.nodes,
                *(helper.make_node("Identity", [value], [name]) for value, name in outputs.items()),
            ],
            "piece",
            [
                helper.make_tensor_value_info(name, kind, None)
                for name, kind in {**inputs, **self.inputs}.items()
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.values()],
            constants,
        )
        for slot in self.slots.values():
            refer_to_external(graph.initializer.add(), slot)
        domains = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=IR_VERSION)


def root(number: float) -> float:
    """Return 1 / √number."""
    return 1 / math.sqrt(number)
