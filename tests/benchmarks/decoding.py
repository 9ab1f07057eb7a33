"""Load, memory, prefill and decode of packed artifacts, beside llama.cpp on the same files, tokens and threads."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from products import WEIGHTS, Chain
from rich.console import Console
from rich.table import Table

from evaluator.commands.demo import DEMO_SOURCE, demo_files
from evaluator.engines.llama_cpp.process import llama_answer
from evaluator.engines.llama_cpp.settings import Settings
from evaluator.export.exact.graph import load_graph
from evaluator.export.packing.artifact import MODEL_FILE, write_decoder
from evaluator.models.sources.open_model import open_model
from evaluator.models.sources.resolve import resolve_one
from evaluator.runtime.device import Device, choose_device
from evaluator.runtime.head import HeadRows
from evaluator.runtime.peak_memory import peak_memory
from evaluator.runtime.timing import Exercise, Timing, time_artifact
from evaluator.support.units import MEGABYTE

ROUNDS = 3
PROMPT, DECODED = 256, 32
IDS = np.random.default_rng(0).integers(0, 49_000, PROMPT + DECODED).astype(np.int32)

#: Seconds to load, then seconds per token: of the prompt, decoded on an empty cache, decoded after the prompt.
Times = tuple[float, float, float, float]


@dataclass
class File:
    """A file with its artifact, and the times of every round."""

    path: Path
    model: Path
    artifact_bytes: int
    ours: list[Times] = field(default_factory=list)
    theirs: list[Times] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, folder: Path) -> File:
        """Write the artifact of a file, float32 for F16."""
        file = open_model(path)
        size = write_decoder(file, load_graph(file), folder, exact="F16" in path.stem)
        return cls(path, folder / MODEL_FILE, size)

    def time(self, device: Device) -> None:
        """Add a round. In the artifact's empty cache is one token, since a prompt has at least one."""
        shallow = time_artifact(self.model, device, Exercise(IDS[:1], IDS[PROMPT:]))
        deep = time_artifact(self.model, device, Exercise(IDS[:PROMPT], IDS[PROMPT:]))
        self.ours.append(_times(deep + shallow))
        prompt, following = IDS[:PROMPT].tolist(), IDS[PROMPT:].tolist()
        answer = self._ask("times", device, prompt=prompt, following=following, depths=[0, PROMPT])
        self.theirs.append(_times([Timing(*values) for values in answer]))

    def peaks(self, device: Device) -> tuple[int, int]:
        """Peak bytes of the artifact's process, and of llama.cpp's."""
        return peak_memory(self.model, device.threads, PROMPT), self._ask("memory", device, tokens=PROMPT)

    def _ask(self, task: str, device: Device, **request: Any) -> Any:
        return llama_answer(task, path=str(self.path), settings=Settings(device.threads), **request)


def _times(timings: list[Timing]) -> Times:
    load = next(timing.seconds for timing in timings if timing.phase == "load")
    prompt = next(timing.seconds for timing in timings if timing.tokens == PROMPT)
    empty, after = (
        float(
            np.median([t.seconds for t in timings if t.phase == "decode" and (t.context >= PROMPT) == deep])
        )
        for deep in (False, True)
    )
    return load, prompt / PROMPT, empty, after


def _products(machine: Chain, path: Path) -> tuple[float, float]:
    """Seconds per token of a model's products in float32: of a prompt, whose last token alone has logits; decoded."""
    file = open_model(path)
    head = HeadRows.of(file)
    layers = file.n_params - head.vocabulary * head.width
    prompt, token = machine.seconds(PROMPT) / PROMPT, machine.seconds(1, DECODED)
    return layers / WEIGHTS * prompt, file.n_params / WEIGHTS * token


def decoding_tables(console: Console) -> list[Table]:
    """One row per file, medians of interleaved rounds."""
    baseline, variants = demo_files(console)
    device, products = choose_device("cpu"), []
    with tempfile.TemporaryDirectory() as folder:
        paths = [baseline, resolve_one(DEMO_SOURCE), *variants]
        files = [File.of(path, Path(folder, str(number))) for number, path in enumerate(paths)]
        machine = Chain(Path(folder, "chain"), device)
        for _ in range(ROUNDS):
            for file in files:
                products.append(_products(machine, file.path))
                file.time(device)
        peaks = [file.peaks(device) for file in files]
    return [_costs(files, peaks), _speed(files, np.median(products, axis=0), device.threads)]


def _costs(files: list[File], peaks: list[tuple[int, int]]) -> Table:
    """Seconds and bytes; ratios are here over llama.cpp."""
    head = ("file", "MB", "artifact MB", "load s", "llama.cpp", "ratio", "memory MB", "llama.cpp", "ratio")
    table = Table(*head, title="Loading and memory")
    for file, (peak, their_peak) in zip(files, peaks, strict=True):
        load, their_load = (np.median([times[0] for times in rounds]) for rounds in (file.ours, file.theirs))
        sizes = [f"{size / MEGABYTE:.0f}" for size in (file.path.stat().st_size, file.artifact_bytes)]
        loads = [f"{load:.2f}", f"{their_load:.2f}", f"{load / their_load:.2f}"]
        memory = [f"{peak / MEGABYTE:.0f}", f"{their_peak / MEGABYTE:.0f}", f"{peak / their_peak:.2f}"]
        table.add_row(file.path.stem, *sizes, *loads, *memory)
    return table


def _speed(files: list[File], products: Sequence[float], threads: int) -> Table:
    """Prefill and decode; ratios are of times, here over llama.cpp and over the products alone."""
    title = f"{PROMPT} tokens read, then {DECODED} one by one, {threads} threads"
    table = Table("file", title=title)
    for quantity in ("prefill tokens/s", "decode ms, empty cache", f"decode ms, after {PROMPT}"):
        for column in (quantity, "llama.cpp", "ratio", "× products"):
            table.add_column(column)
    prompt, token = products
    alone = (prompt, token, token)
    rates = [[_rate(*item), "", "", ""] for item in enumerate(alone)]
    table.add_row("float32 products alone", *chain(*rates))
    for file in files:
        ours, theirs = (np.median(rounds, axis=0)[1:] for rounds in (file.ours, file.theirs))
        cells = [
            [_rate(place, own), _rate(place, other), f"{own / other:.2f}", f"{own / product:.2f}"]
            for place, (own, other, product) in enumerate(zip(ours, theirs, alone, strict=True))
        ]
        table.add_row(file.path.stem, *chain(*cells))
    return table


def _rate(place: int, seconds: float) -> str:
    """Tokens per second of a prompt, which comes first; milliseconds per decoded token."""
    return f"{1000 * seconds:.2f}" if place else f"{1 / seconds:.0f}"
