"""A synthetic results folder with several models, merged from folders of `results_factory`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from results_factory import make_results

from evaluator.results.files import MANIFEST_NAME
from evaluator.results.reader import read_manifest

FRAMES = ("variants.parquet", "layers.parquet", "speed.parquet")


def make_models(folder: Path, models: Sequence[str], **options: Any) -> Path:
    """Write one folder with all `models`, each with `options` of `make_results` and its own seed."""
    (folder / "tokens").mkdir(parents=True, exist_ok=True)
    frames: dict[str, list[pl.DataFrame]] = {name: [] for name in FRAMES}
    with tempfile.TemporaryDirectory() as scratch:
        for seed, model in enumerate(models):
            part = make_results(Path(scratch, model), seed=seed, **options)
            manifest = read_manifest(part)
            for name in FRAMES:
                if (part / name).is_file():
                    frame = pl.read_parquet(part / name)
                    named = pl.concat_str(pl.lit(f"{model}-"), "variant_id").alias("variant_id")
                    frames[name].append(frame.with_columns(named))
            for path in (part / "tokens").iterdir():
                shutil.copy(path, folder / "tokens" / f"{model}-{path.name}")
            if seed == 0:
                named_manifest = manifest.model_copy(
                    update={"baseline_id": f"{model}-{manifest.baseline_id}", "model": " and ".join(models)}
                )
                (folder / MANIFEST_NAME).write_text(named_manifest.model_dump_json(indent=1))
    frames["variants.parquet"] = [
        frame.with_columns(pl.lit(model).alias("model"))
        for frame, model in zip(frames["variants.parquet"], models, strict=True)
    ]
    for name, parts in frames.items():
        if parts:
            pl.concat(parts, how="diagonal").write_parquet(folder / name)
    return folder
