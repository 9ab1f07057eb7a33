"""Which container a type belongs in: time of one token through 106 million weights, per bits and block."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from products import HIDDEN, WEIGHTS, Chain
from rich.table import Table

from evaluator.export.packing.formats import Packed
from evaluator.export.packing.matrices import Matrix
from evaluator.runtime.device import choose_device

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


def _matrix(form: tuple[int, int, int], rows: int, columns: int) -> Matrix:
    bits, block, offset_block = form
    codes = np.random.default_rng(0).integers(0, 1 << bits, (rows, columns), dtype=np.uint8)
    scales = np.full((rows, columns // block), 1e-3, np.float32)
    offsets = np.zeros((rows, columns // offset_block), np.float32) if offset_block else None
    return Packed(bits, block, codes, scales, offset_block, offsets)


def kernels_table() -> Table:
    """Decode and prefill time of every form, best of interleaved rounds."""
    device = choose_device("cpu")
    forms = {
        f"{b} bits, scale per {s}" + (f", offset per {o}" if o else ""): ((b, s, o), t)
        for b, s, o, t in FORMS
    }
    with tempfile.TemporaryDirectory() as folder:
        chains = {"float32": Chain(Path(folder) / "float32", device)}
        for name, (form, _) in forms.items():
            width = HIDDEN if HIDDEN % form[1] == 0 else 512
            chains[name] = Chain(Path(folder) / name, device, partial(_matrix, form), width)
        best = {name: [float("inf"), float("inf")] for name in chains}
        for _ in range(ROUNDS):
            for name, chain in chains.items():
                best[name][0] = min(best[name][0], chain.seconds(1, TOKENS))
                best[name][1] = min(best[name][1], chain.seconds(PROMPT))
    title = f"{WEIGHTS / 1e6:.0f} million weights, {device.threads} threads, onnxruntime {ort.__version__}"
    table = Table("container", "ms, 1 token", f"ms, {PROMPT} tokens", "bits per weight", "types", title=title)
    for name, (decode, prefill) in best.items():
        (bits, block, offset), types = forms.get(name, ((32, 0, 0), "F16, BF16, F32"))
        size = bits + (32 / block if block else 0) + (32 / offset if offset else 0)
        table.add_row(name, f"{1000 * decode:.2f}", f"{1000 * prefill:.0f}", f"{size:.3g}", types)
    return table
