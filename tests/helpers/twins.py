"""A synthetic results folder in which a method has two files of one type."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
from results_factory import make_results

FIRST, SECOND = "main-q4_k_m", "main-q4_k_m-main-q4_k_m-imat"


def make_twins(folder: Path, **options: Any) -> Path:
    """Write a folder of `make_results` and add a second `main` Q4_K_M, with fifty times the layer errors."""
    make_results(folder, quants=("Q2_K", "Q4_K_M", "Q8_0"), with_attribution=True, **options)
    for name in ("variants.parquet", "layers.parquet", "speed.parquet"):
        frame = pl.read_parquet(folder / name)
        second = frame.filter(pl.col("variant_id") == FIRST).with_columns(variant_id=pl.lit(SECOND))
        harder = [pl.col(c) * 50 for c in ("attribution_kld", "hidden_error") if c in frame.columns]
        pl.concat([frame, second.with_columns(*harder)]).write_parquet(folder / name)
    shutil.copy(folder / "tokens" / f"{FIRST}.parquet", folder / "tokens" / f"{SECOND}.parquet")
    return folder
