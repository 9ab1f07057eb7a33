"""Which container a type belongs in: time of one token through 106 million weights, per bits and block."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from rich.table import Table

from evaluator.export.packing.formats import Packed
from evaluator.export.packing.matrices import Floating, Matrix
from evaluator.export.packing.nodes import FAST_PRODUCTS, NodeWriter
from evaluator.export.packing.weights_file import WeightsFile
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.session import Session

#: SmolLM2's feed-forward shapes, often enough for no cache to hold them.
HIDDEN, WIDE, PAIRS = 576, 1536, 60
ROUNDS, TOKENS, PROMPT = 5, 12, 128
#: bits, weights per scale, weights per offset (0: none), and the types that could go there.
FORMS = (
    (2, 64, 0, "TQ1_0, TQ2_0"),
    (2, 128, 0, "TQ1_0, TQ2_0"),
    (4, 32, 0, "Q4_0"),
    (4, 32, 32, "Q4_1, Q4_K"),
    (4, 16, 0, "Q3_K"),
    (4, 16, 16, "Q2_K"),
    (8, 32, 0, "Q5_0, Q8_0, IQ4_NL, IQ4_XS, MXFP4, IQ2_XXS, IQ3, IQ1_S"),
    (8, 32, 32, "Q5_1, Q5_K"),
    (8, 16, 0, "Q3_K, Q6_K, IQ2_XS, IQ2_S, IQ1_M, NVFP4"),
    (8, 16, 16, "Q2_K"),
    (8, 256, 0, "Q3_K"),
    (8, 256, 16, "Q2_K"),
)


def _matrix(rows: int, columns: int, form: tuple[int, int, int], rng: np.random.Generator) -> Matrix:
    bits, block, offset_block = form
    codes = rng.integers(0, 1 << bits, (rows, columns), dtype=np.uint8)
    scales = np.full((rows, columns // block), 1e-3, np.float32)
    offsets = np.zeros((rows, columns // offset_block), np.float32) if offset_block else None
    return Packed(bits, block, codes, scales, offset_block, offsets)


def _chain(form: tuple[int, int, int] | None, folder: Path, device: Device) -> Session:
    """Products one behind the other, each with weights of its own."""
    rng = np.random.default_rng(0)
    width = HIDDEN if form is None or HIDDEN % form[1] == 0 else 512
    with WeightsFile(folder / "weights.bin") as weights:
        writer = NodeWriter(weights, FAST_PRODUCTS)
        data = "x"
        for index in range(PAIRS):
            for rows, columns in ((WIDE, width), (width, WIDE)):
                values = np.full((rows, columns), 1e-3, np.float32)
                matrix = Floating(values) if form is None else _matrix(rows, columns, form, rng)
                writer.product(f"w{index}_{columns}", data, matrix, f"y{index}_{columns}")
                data = f"y{index}_{columns}"
    shape = ["batch", "sequence", width]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(data, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(writer.nodes, "chain", inputs, outputs, writer.initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(folder / "model.onnx"))
    return Session(folder / "model.onnx", device)


def _seconds(session: Session, tokens: int, repetitions: int) -> float:
    data = {"x": np.ones((1, tokens, session.dimension("x", 2)), np.float32)}
    best = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        session.run(data)
        best = min(best, time.perf_counter() - start)
    return best * HIDDEN / session.dimension("x", 2)


def kernels_table() -> Table:
    """Decode and prefill time of every form, best of interleaved rounds."""
    device = choose_device("cpu")
    forms = {
        f"{b} bits, scale per {s}" + (f", offset per {o}" if o else ""): ((b, s, o), t)
        for b, s, o, t in FORMS
    }
    with tempfile.TemporaryDirectory() as folder:
        sessions: dict[str, Session] = {}
        for name, form in [("float32", None), *((name, form) for name, (form, _) in forms.items())]:
            place = Path(folder) / name
            place.mkdir()
            sessions[name] = _chain(form, place, device)
        best = {name: [float("inf"), float("inf")] for name in sessions}
        for _ in range(ROUNDS):
            for name, session in sessions.items():
                best[name][0] = min(best[name][0], _seconds(session, 1, TOKENS))
                best[name][1] = min(best[name][1], _seconds(session, PROMPT, 1))
    title = f"106 million weights, {device.threads} threads, onnxruntime {ort.__version__}"
    table = Table("container", "ms, 1 token", f"ms, {PROMPT} tokens", "bits per weight", "types", title=title)
    for name, (decode, prefill) in best.items():
        (bits, block, offset), types = forms.get(name, ((32, 0, 0), "F16, BF16, F32"))
        size = bits + (32 / block if block else 0) + (32 / offset if offset else 0)
        table.add_row(name, f"{1000 * decode:.2f}", f"{1000 * prefill:.0f}", f"{size:.3g}", types)
    return table
