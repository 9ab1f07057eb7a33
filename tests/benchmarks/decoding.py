"""Decode, prefill, load, size and memory of packed artifacts, beside llama.cpp on the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import llama_cpp
import numpy as np
from rich.console import Console
from rich.table import Table

from evaluator.commands.demo import DEMO_SOURCE, demo_files
from evaluator.export.exact.graph import load_graph
from evaluator.export.packing.artifact import MODEL_FILE, write_decoder
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.runtime.device import choose_device
from evaluator.runtime.peak_memory import peak_memory
from evaluator.runtime.timing import Exercise, time_artifact
from evaluator.support.units import MEGABYTE

ROUNDS = 3
PROMPT, DECODED = 256, 32


def _measured(path: Path, folder: Path) -> tuple[Path, int]:
    """The artifact of a file, float32 for F16; and its size."""
    file = open_model(path)
    size = write_decoder(file, load_graph(file), folder / path.stem, exact="F16" in path.stem)
    return folder / path.stem / MODEL_FILE, size


def decoding_table(console: Console) -> Table:
    """One row per file, medians of interleaved rounds; llama.cpp's times where it is there."""
    baseline, variants = demo_files(console)
    paths = [baseline, resolve_one(DEMO_SOURCE), *variants]
    device, tool = choose_device("cpu"), llama_cpp.tool("llama-bench")
    ids = np.random.default_rng(0).integers(0, 49_000, PROMPT + DECODED + 224).astype(np.int32)
    ours: dict[Path, list[tuple[float, float, float]]] = {path: [] for path in paths}
    theirs: dict[Path, list[tuple[float, float]]] = {path: [] for path in paths}
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {path: _measured(path, Path(folder)) for path in paths}
        for _ in range(ROUNDS):
            for path in paths:
                timings = time_artifact(artifacts[path][0], device, Exercise.of(ids))
                load, prefill, *decode = (timing.seconds for timing in timings)
                ours[path].append((load, PROMPT / prefill, 1000 * float(np.median(decode))))
                if tool:
                    prompt = llama_cpp.bench(tool, path, device.threads, prompt=PROMPT)
                    tokens = llama_cpp.bench(tool, path, device.threads, tokens=DECODED, depth=PROMPT)
                    theirs[path].append((prompt, 1000 / tokens))
        memory = {path: peak_memory(model, device.threads, PROMPT) for path, (model, _) in artifacts.items()}
    columns = ["file", "MB", "artifact MB", "load s", "memory MB", "prefill tokens/s", "decode ms"]
    if tool:
        columns += ["llama.cpp prefill", "llama.cpp decode ms", "decode ratio"]
    table = Table(
        *columns, title=f"{PROMPT} tokens read, then {DECODED} one by one, {device.threads} threads"
    )
    for path in paths:
        load, prefill, decode = np.median(ours[path], axis=0)
        row = [path.stem, f"{path.stat().st_size / MEGABYTE:.0f}", f"{artifacts[path][1] / MEGABYTE:.0f}"]
        row += [f"{load:.2f}", f"{memory[path] / MEGABYTE:.0f}", f"{prefill:.0f}", f"{decode:.2f}"]
        if tool:
            prompt, token = np.median(theirs[path], axis=0)
            row += [f"{prompt:.0f}", f"{token:.2f}", f"{decode / token:.2f}"]
        table.add_row(*row)
    return table
