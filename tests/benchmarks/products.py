"""The machine's own matrix products: a chain of SmolLM2's feed-forward shapes.

It is so long that no cache holds its weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluator.export.packing.matrices import Floating, Matrix
from evaluator.export.packing.nodes import FAST_PRODUCTS, NodeWriter
from evaluator.export.packing.weights_file import WeightsFile
from evaluator.runtime.device import Device
from evaluator.runtime.session import Session

HIDDEN, WIDE, PAIRS = 576, 1536, 60
WEIGHTS = 2 * HIDDEN * WIDE * PAIRS


def float32_matrix(rows: int, columns: int) -> Matrix:
    """A matrix in float32."""
    return Floating(np.full((rows, columns), 1e-3, np.float32))


class Chain:
    """Products one behind the other, each with weights of its own."""

    def __init__(
        self,
        folder: Path,
        device: Device,
        matrix: Callable[[int, int], Matrix] = float32_matrix,
        width: int = HIDDEN,
    ) -> None:
        """Write the chain of what `matrix` returns for [rows, columns] into a new folder, and open it."""
        folder.mkdir()
        with WeightsFile(folder / "weights.bin") as weights:
            writer = NodeWriter(weights, FAST_PRODUCTS)
            data = "x"
            for index in range(PAIRS):
                for rows, columns in ((WIDE, width), (width, WIDE)):
                    writer.product(f"w{index}_{columns}", data, matrix(rows, columns), f"y{index}_{columns}")
                    data = f"y{index}_{columns}"
        shape = ["batch", "sequence", width]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        outputs = [helper.make_tensor_value_info(data, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(writer.nodes, "chain", inputs, outputs, writer.initializers)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(folder / "model.onnx"))
        self._session, self._width = Session(folder / "model.onnx", device), width

    def seconds(self, tokens: int, repetitions: int = 1) -> float:
        """The best time of `tokens` tokens, scaled to `WEIGHTS` weights."""
        data = {"x": np.ones((1, tokens, self._width), np.float32)}
        best = float("inf")
        for _ in range(repetitions):
            start = time.perf_counter()
            self._session.run(data)
            best = min(best, time.perf_counter() - start)
        return best * HIDDEN / self._width
