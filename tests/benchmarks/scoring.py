"""Scoring speed on the demo's model: ratios between ways of doing the same, side by side in one run.

`LLAMA_CPP_BIN=folder` adds llama.cpp's perplexity tool on the same file, text, windows and threads.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp
import numpy as np
from rich.table import Table

from evaluator.commands.demo import DEMO_SOURCE
from evaluator.export.exact.artifact import write_exact
from evaluator.export.exact.graph import load_graph
from evaluator.export.exact.weights import head_weights
from evaluator.models.gguf.reader import open_gguf
from evaluator.models.sources.resolve import resolve_source
from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.results.manifest import Protocol
from evaluator.runtime.device import choose_device
from evaluator.runtime.scoring import Body, Head, score_windows
from evaluator.runtime.session import Session
from evaluator.texts.sources import built_in_texts
from evaluator.texts.windows import cut_windows

ROUNDS = 3


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def llama_cpp_seconds(tool: Path, model: Path, threads: int, windows: int) -> float:
    """Per window: what `windows` of them take longer than one alone, so that loading is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text("".join(item.content for item in built_in_texts()), encoding="utf-8")
        command = [tool, "-m", model, "-f", text, "-c", "512", "-b", "512", "-t", threads]

        def passing(count: int) -> float:
            base = [*command, "--chunks", count, "--kl-divergence-base", f"{folder}/base-{count}"]
            run(base)
            return min(seconds(lambda: run([*base, "--kl-divergence"])) for _ in range(ROUNDS))

        return (passing(1 + windows) - passing(1)) / windows


def run(command: Sequence[object]) -> None:
    subprocess.run([str(item) for item in command], check=True, capture_output=True)


def scoring_table() -> Table:
    """Seconds per window, best of interleaved rounds."""
    file = open_gguf(resolve_source(DEMO_SOURCE)[0])
    graph, device = load_graph(file), choose_device("cpu")
    protocol = Protocol(context=512, first_scored=256, chunks=2)
    windows, _ = cut_windows(built_in_texts(), tokenizer_from_gguf(file), protocol)
    head_values = head_weights(file)
    body = Body(file, graph, device)
    head, paired = Head(head_values, None, device), Head(head_values, head_values, device)
    hidden = [body.hidden(window) for window in windows]
    with tempfile.TemporaryDirectory() as folder:
        write_exact(file, graph, Path(folder))
        plain = Session(Path(folder) / "model.onnx", device)
        ids = [window.ids.astype(np.int64)[None] for window in windows]
        mask, places = np.ones((1, 512), np.int64), np.arange(512, dtype=np.int64)[None]

        def plain_graph() -> None:
            for row in ids:
                plain.run({"input_ids": row, "attention_mask": mask, "position_ids": places})

        actions = {
            "plain graph, all logits to the host": plain_graph,
            "baseline: likelihood": lambda: score_windows(body, head, windows, [None] * len(windows)),
            "variant: likelihood and divergence": lambda: score_windows(body, paired, windows, hidden),
        }
        best = dict.fromkeys(actions, float("inf"))
        for _ in range(ROUNDS):  # interleaved, so that a noisy machine cannot favour one
            for name, action in actions.items():
                best[name] = min(best[name], seconds(action) / len(windows))
    if tool := llama_cpp.tool("llama-perplexity"):
        best["llama-perplexity --kl-divergence"] = llama_cpp_seconds(
            tool, file.path, device.threads, len(windows)
        )
    reference = best["variant: likelihood and divergence"]
    table = Table(
        "what", "s per window", "× variant scoring", title=f"{file.path.name}, {device.threads} threads"
    )
    for name, value in best.items():
        table.add_row(name, f"{value:.3f}", f"{value / reference:.2f}")
    return table
