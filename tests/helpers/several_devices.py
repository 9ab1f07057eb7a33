"""A synthetic results folder with two devices: the CPU's rows are repeated for a GPU."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
from results_factory import make_results

_FRAMES = ("variants.parquet", "layers.parquet", "speed.parquet")


def make_devices(folder: Path, **options: Any) -> Path:
    """Write a folder of `make_results` and add each variant on `cuda`, ten times as fast but otherwise the same."""
    make_results(folder, **options)
    again = pl.concat_str("variant_id", pl.lit("-cuda")).alias("variant_id")
    for name in _FRAMES:
        if (folder / name).is_file():
            frame = pl.read_parquet(folder / name)
            faster = [pl.col(column) / 10 for column in frame.columns if column.startswith("decode_ms")]
            device = [pl.lit("cuda").alias("device")] if "device" in frame.columns else []
            pl.concat([frame, frame.with_columns(again, *faster, *device)]).write_parquet(folder / name)
    for path in list((folder / "tokens").iterdir()):
        shutil.copy(path, path.with_stem(f"{path.stem}-cuda"))
    return folder
