"""A folder of two files run with three types of the cache, with losses that are easy to check by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from results_factory import make_results

#: Bytes of 1,000 tokens by type of the cache.
CACHE_BYTES = {"f16": 10e6, "q8_0": 5.3125e6, "q4_0": 2.8125e6}
FOUR, FIVE = "main-q4_k_m", "main-q5_k_m"
#: KLD from the baseline by file and type of the cache.
LOSSES = {
    FOUR: {"f16": 0.155, "q8_0": 0.156, "q4_0": 0.185},
    FIVE: {"f16": 0.058, "q8_0": 0.060, "q4_0": 0.098},
}


def cache_row(
    variant_id: str, kind: str, loss: float | None, engine: str = "llama.cpp", **values: object
) -> dict[str, object]:
    """Return a row of `kv_cache.parquet`."""
    measured = {
        "kld_mean": None if loss is None else loss / 100,
        "kld_se_clustered": 1e-5,
        "baseline_kld_se_clustered": 0.002,
        "baseline_ln_ppl_ratio": 0.02,
        "baseline_ln_ppl_ratio_se_clustered": 0.001,
        "baseline_kld_mean": loss,
        "ppl": None if loss is None else 8 + loss,
        "bytes_per_1000_tokens": CACHE_BYTES[kind],
        "decode_ms_p50": {"f16": 10.0, "q8_0": 11.0, "q4_0": 12.0}[kind],
        "decode_deep_ms_p50": {"f16": 20.0, "q8_0": 18.0, "q4_0": 16.0}[kind],
    }
    return {"variant_id": variant_id, "engine": engine, "cache_type": kind, **measured, **values}


def make_cache_results(
    folder: Path,
    losses: Mapping[str, Mapping[str, float | None]] = LOSSES,
    more: Sequence[Mapping[str, object]] = (),
) -> Path:
    """Write a folder with the files main Q4_K_M (83.0 MB) and main Q5_K_M (97.2 MB), and return it."""
    make_results(folder, methods=("main",), quants=("Q4_K_M", "Q5_K_M"), with_layers=False)
    rows = [
        cache_row(variant_id, kind, loss)
        for variant_id, kinds in losses.items()
        for kind, loss in kinds.items()
    ]
    pl.DataFrame([*rows, *more], infer_schema_length=None).write_parquet(folder / "kv_cache.parquet")
    return folder
