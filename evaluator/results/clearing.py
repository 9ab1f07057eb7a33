"""Write frames of a results folder, and remove from it what is measured again."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import polars as pl

from evaluator.results.files import (
    DERIVED,
    FRAMES,
    MANIFEST_NAME,
    OF_VARIANTS,
    TOKENS,
    VARIANTS,
    WORK,
    FrameFile,
    tokens_of,
)
from evaluator.results.reader import read_frame
from evaluator.results.schema import with_schema
from evaluator.support.atomic_files import whole_file
from evaluator.support.unfinished import PARTIAL


def write_frame(folder: Path, file: FrameFile, frame: pl.DataFrame) -> None:
    """Validate a frame and write it atomically."""
    # Through memory, so that a full disk raises OSError instead of a polars error.
    content = io.BytesIO()
    with_schema(file.schema, frame).write_parquet(content, compression="zstd")
    with whole_file(folder / file.place) as partial:
        partial.write_bytes(content.getbuffer())


def clear(folder: Path) -> None:
    """Remove everything except the manifest, which marks the folder as a results folder."""
    for name in (TOKENS, WORK):
        shutil.rmtree(folder / name, ignore_errors=True)
    for file in FRAMES:
        (folder / file.place).unlink(missing_ok=True)


def clear_model(folder: Path, model: str) -> None:
    """Remove one model's rows and tokens, its row in the variants frame last."""
    variants = read_frame(folder, VARIANTS)
    ids = variants.filter(model=model)["variant_id"].to_list()
    for file in DERIVED:
        (folder / file.place).unlink(missing_ok=True)
    for file in OF_VARIANTS:
        rows = read_frame(folder, file)
        if set(ids).intersection(rows["variant_id"]):
            write_frame(folder, file, rows.filter(~pl.col("variant_id").is_in(ids)))
    write_frame(folder, VARIANTS, variants.filter(pl.col("model") != model))
    for variant_id in ids:
        (folder / tokens_of(variant_id).place).unlink(missing_ok=True)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove unfinished files of killed runs."""
    for pattern in (MANIFEST_NAME, "*.parquet", f"{TOKENS}/*", f"{WORK}/*"):
        place, name = os.path.split(pattern)
        for path in (folder / place).glob(f".{name}.*{PARTIAL}"):
            shutil.rmtree(path, ignore_errors=True)
