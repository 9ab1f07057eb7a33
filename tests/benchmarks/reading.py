"""How fast a tensor's values come from a mapped file, beside `gguf.dequantize` and a copy of the same values."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as GGMLType
from rich.table import Table

from evaluator.models.dequantize import dequantize_rows
from evaluator.models.mapped import map_file
from evaluator.support.stage_clock import StageClock
from evaluator.support.threads import thread_count, use_threads

#: 34 million weights: no cache holds their values.
ROWS, COLUMNS, ROUNDS = 8192, 4096, 5
#: Rows that `gguf` decodes, because its temporaries for all of them would not fit into small machines.
GGUF_ROWS = 512
KINDS = (
    *(
        "F32",
        "F16",
        "BF16",
        "Q8_0",
        "Q6_K",
        "Q5_K",
        "Q5_1",
        "Q5_0",
        "Q4_K",
        "Q4_1",
        "Q4_0",
        "IQ4_NL",
        "IQ4_XS",
    ),
    *("MXFP4", "NVFP4", "Q3_K", "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0"),
    *("IQ1_M", "IQ1_S"),
)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _rates(kind: GGMLType, file: Path) -> tuple[float, float, float, float, float]:
    """Million weights per second: gguf, one thread, all threads, memory copy; and the share of time spent reading.

    F32 is a view in gguf, so it is copied.
    """
    block, size = gguf.GGML_QUANT_SIZES[kind]
    generator = np.random.default_rng(0)
    generator.integers(0, 256, (ROWS, COLUMNS // block * size), dtype=np.uint8).tofile(file)
    rows = np.frombuffer(map_file(file), np.uint8).reshape(ROWS, -1)
    out, source = np.zeros((ROWS, COLUMNS), np.float32), np.ones((ROWS, COLUMNS), np.float32)
    clock, best = StageClock(), [float("inf")] * 4

    def exact() -> None:
        values = gguf.dequantize(rows[:GGUF_ROWS], kind)
        if kind == GGMLType.F32:
            values.copy()

    for _ in range(ROUNDS):
        with np.errstate(all="ignore"):
            best[0] = min(best[0], _seconds(exact))
        use_threads(1)
        best[1] = min(best[1], _seconds(lambda: dequantize_rows(rows, kind, out)))
        use_threads(None)
        best[2] = min(best[2], _seconds(lambda: dequantize_rows(rows, kind, out, clock)))
        best[3] = min(best[3], _seconds(lambda: np.copyto(out, source)))
    weights = np.array([GGUF_ROWS, ROWS, ROWS, ROWS]) * COLUMNS / 1e6
    seconds = clock.seconds
    return (*(weights / best).tolist(), seconds["reading"] / sum(seconds.values()))


def reading_table() -> Table:
    """Rates of every type, best of interleaved rounds; bytes are in the system's cache."""
    title = f"{ROWS * COLUMNS / 1e6:.0f} million weights from a mapped file, million per second"
    threads = f"{thread_count()} threads"
    table = Table(
        "type", "gguf", "1 thread", threads, "memory copy", "× gguf", "× copy", "reading", title=title
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in KINDS:
            exact, one, several, copied, reading = _rates(GGMLType[name], Path(folder) / name)
            table.add_row(
                name,
                *(f"{rate:.0f}" for rate in (exact, one, several, copied)),
                f"{several / exact:.1f}",
                f"{several / copied:.2f}",
                f"{reading:.1%}",
            )
            (Path(folder) / name).unlink()
    return table
