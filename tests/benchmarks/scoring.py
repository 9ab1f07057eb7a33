"""Scoring speed on the demo's model: ratios between ways of doing the same, side by side in one run.

llama.cpp computes the logits of the scored positions of the same windows on the same threads, but neither likelihoods
nor divergences.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from rich.table import Table

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.engines.llama_cpp.process import llama_answer
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.export.exact.artifact import write_exact
from evaluator.export.exact.graph import load_graph
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_source
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.results.manifest import Protocol
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.forward_pass import ForwardPass, shape_of
from evaluator.runtime.head import Head, HeadRows
from evaluator.runtime.layered_model import LayeredModel
from evaluator.runtime.memory_plan import Budget, plan_memory
from evaluator.runtime.scoring import final_states, score
from evaluator.runtime.session import Session
from evaluator.support.stage_clock import StageClock
from evaluator.texts.sources import built_in_texts
from evaluator.texts.windows import Window, cut_windows

ROUNDS = 3
BASELINE, VARIANT = "baseline: likelihood", "variant: likelihood and divergence"
PRODUCTS = "a baseline's matrix products alone"
LLAMA = "llama.cpp: logits of the scored half"


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def llama_seconds(path: Path, windows: list[Window], threads: int) -> float:
    """The mean over the windows; loading is apart."""
    ids = [window.ids.tolist() for window in windows]
    rows = {"first": windows[0].first_scored, "stop": len(ids[0]) - 1}
    times = llama_answer("windows", path=str(path), windows=ids, **rows, settings=Settings(threads))
    return float(np.mean(times))


def products_alone(model: LayeredModel, head: HeadRows, device: Device, positions: int) -> Callable[[], None]:
    """Return a function that computes only the matrix products of `positions` positions, and half as many logits."""
    generator = np.random.default_rng(0)
    slots = [w.slot for piece in model.pieces[1:-1] for w in piece.weights.values() if len(w.slot.shape) == 2]
    shapes = [(positions, *slot.shape) for slot in slots]
    shapes += [(positions // 2, head.width, 2048)] * (head.vocabulary // 2048)
    operands = {
        shape: (
            generator.standard_normal(shape[:2], np.float32),
            generator.standard_normal(shape[1:], np.float32),
        )
        for shape in set(shapes)
    }
    session = Session(_product_graph(), device)

    def run_all() -> None:
        for shape in shapes:
            x, w = operands[shape]
            session.run({"x": x, "w": w})

    return run_all


def _product_graph() -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "w", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", infos[:2], infos[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def scoring_table() -> Table:
    """Seconds per window, best of interleaved rounds."""
    file = open_gguf(resolve_source(DEMO_SOURCE)[0])
    graph, device = load_graph(file), choose_device("cpu")
    protocol = Protocol(context=512, first_scored=256, chunks=2)
    windows, _ = cut_windows(built_in_texts(), tokenizer_from_gguf(file), protocol)
    model, rows = LayeredModel(graph, device), HeadRows.of(file)
    plan = plan_memory(model, file, shape_of(model, windows), Budget.on(device, None))
    clock = StageClock()

    def passing() -> ForwardPass:
        return ForwardPass(model, file, windows, plan)

    hidden = final_states(passing())
    with tempfile.TemporaryDirectory() as folder:
        write_exact(file, graph, Path(folder))
        plain = Session(Path(folder) / "model.onnx", device)
        ids = [window.ids.astype(np.int64)[None] for window in windows]
        mask, places = np.ones((1, 512), np.int64), np.arange(512, dtype=np.int64)[None]

        def plain_graph() -> None:
            for row in ids:
                plain.run({"input_ids": row, "attention_mask": mask, "position_ids": places})

        def baseline() -> None:
            with clock.running():
                score(passing(), Head.of(file, None, device), None)

        products = products_alone(model, rows, device, 1024)
        actions = {
            "plain graph, all logits to the host": plain_graph,
            BASELINE: baseline,
            VARIANT: lambda: score(passing(), Head.of(file, file, device), hidden),
            PRODUCTS: lambda: [products() for _ in range(len(windows) // 2)],
        }
        best = dict.fromkeys(actions, float("inf"))
        for _ in range(ROUNDS):  # interleaved, so that a noisy machine cannot favour one
            for name, action in actions.items():
                best[name] = min(best[name], seconds(action) / len(windows))
            best[LLAMA] = min(best.get(LLAMA, np.inf), llama_seconds(file.path, windows, device.threads))
    return _table(best, clock, f"{file.path.name}, {device.threads} threads")


def _table(best: dict[str, float], clock: StageClock, title: str) -> Table:
    spent = clock.seconds
    reading = (spent.get("reading", 0) + spent.get("dequantizing", 0)) / sum(spent.values())
    neither = 1 - best[PRODUCTS] / best[BASELINE] - reading
    table = Table(
        "what",
        "s per window",
        "× variant scoring",
        "× llama.cpp",
        "× products",
        title=title,
        caption=f"a baseline's pass: {reading:.1%} reading and dequantizing, {neither:.0%} neither that nor products",
    )
    for name, value in best.items():
        ratios = (f"{value / best[other]:.2f}" for other in (VARIANT, LLAMA, PRODUCTS))
        table.add_row(name, f"{value:.3f}", *ratios)
    return table
