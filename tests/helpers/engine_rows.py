"""Synthetic times, memory and losses of the files in a results folder, in one engine or two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from evaluator.results.files import KV_CACHE, MEMORY
from evaluator.results.schema import KvCache, Memory, frame_of

LLAMA, ONNX = "llama.cpp", "onnxruntime"
#: Tokens in llama.cpp's cache before tokens are decoded, and how much slower that is than after the prompt.
DEPTHS = {0: 0.95, 256: 1.0, 4096: 1.5}


def timings(variant_id: str, bits: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return five repetitions in onnxruntime."""
    return [
        {
            "variant_id": variant_id,
            "engine": ONNX,
            "phase": phase,
            "repetition": repetition,
            "tokens": tokens,
            "seconds": seconds * jitter,
            "context": 256,
        }
        for repetition in range(5)
        for jitter in (float(rng.uniform(0.97, 1.06)),)
        for phase, tokens, seconds in (
            ("load", 0, 0.1 + bits / 40),
            ("prefill", 512, 0.8),
            ("decode", 32, 32 * (0.006 + bits / 1000)),
        )
    ]


def _in_llama(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return three rounds in llama.cpp, the first of which decodes at further depths; K-quants are slower there."""
    seconds = (0.003 + row["bits_per_weight"] / 900) * (1.4 if "_K" in row["quant"] else 1.0)
    counts = {"load": 0, "prefill": 0, "decode": 0}
    rows = []
    for jitter in (0.99, 1.0, 1.02):
        deep = DEPTHS if counts["load"] == 0 else {256: 1.0}
        parts = [("load", 0, 0.05, 0), ("prefill", 256, 0.15, 0)]
        parts += [("decode", 32, 32 * seconds * slower, depth) for depth, slower in deep.items()]
        for phase, tokens, took, context in parts:
            rows.append(
                {
                    "variant_id": row["variant_id"],
                    "engine": LLAMA,
                    "phase": phase,
                    "repetition": counts[phase],
                    "tokens": tokens,
                    "seconds": took * jitter,
                    "context": context,
                }
            )
            counts[phase] += 1
    return rows


def run_in_engines(
    folder: Path, rows: list[dict[str, Any]], in_onnx: list[dict[str, Any]], engines: Sequence[str]
) -> list[dict[str, Any]]:
    """Write `speed.parquet` and return the rows of variants with the engines' columns.

    With two engines there are losses and peak memory too.
    """
    in_llama = [timing for row in rows for timing in _in_llama(row)]
    frame = pl.DataFrame([*in_onnx, *in_llama]).filter(pl.col("engine").is_in(engines))
    frame.with_columns(round=pl.lit(None, pl.UInt32)).write_parquet(folder / "speed.parquet")
    prefixes = {ONNX: "", LLAMA: "llamacpp_"}
    for engine in engines:
        for row in rows:
            mine = frame.filter(variant_id=row["variant_id"], engine=engine)
            row |= {f"{prefixes[engine]}{name}": value for name, value in _columns(mine).items()}
    return [row | _losses(row) for row in rows] if len(engines) > 1 else rows


def _columns(mine: pl.DataFrame) -> dict[str, float]:
    decode = (
        mine.filter(pl.col("phase") == "decode", pl.col("context") == 256)
        .select(1000 * pl.col("seconds") / pl.col("tokens"))
        .to_series()
    )
    prefill = (
        mine.filter(pl.col("phase") == "prefill").select(pl.col("tokens") / pl.col("seconds")).to_series()
    )
    load = mine.filter(pl.col("phase") == "load")["seconds"]
    return {
        "prefill_tps": float(prefill.median()),
        "decode_ms_p10": float(decode.quantile(0.1)),
        "decode_ms_p50": float(decode.median()),
        "decode_ms_p90": float(decode.quantile(0.9)),
        "load_s": float(load.median()),
    }


def _losses(row: dict[str, Any]) -> dict[str, float | int]:
    memory = {
        "peak_rss_bytes": 3 * row["size_bytes"],
        "llamacpp_peak_rss_bytes": 2 * row["size_bytes"],
    }
    own = row.get("kld_mean")
    if own is None:
        return {**memory, "llamacpp_kld_mean": 1e-4, "llamacpp_baseline_kld_mean": 1e-4}
    added = {"deploy_kld_mean": 0.004 + 0.1 * own, "llamacpp_kld_mean": 0.001 + 0.05 * own}
    return {**memory, **added, "llamacpp_baseline_kld_mean": own + 0.0008 + 0.04 * own}


def add_memory(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write what files take in llama.cpp up to 32,768 tokens, and the losses with caches of f16 and q8_0."""
    memory, caches = [], []
    for row in rows:
        named = {"variant_id": row["variant_id"], "engine": LLAMA}
        for kind, per_token in (("f16", 2000), ("q8_0", 1060), ("q4_0", 560)):
            for context in (512, 4096, 16384, 32768):
                sizes = {
                    "weights_bytes": row["size_bytes"],
                    "cache_bytes": per_token * context,
                    "compute_bytes": 5_000_000 + 100 * context,
                }
                memory.append({**named, "cache_type": kind, "context": context, **sizes})
        loss = row["llamacpp_baseline_kld_mean"]
        for kind, times in (("f16", 1.0), ("q8_0", 1.05)):
            cache = {"cache_type": kind, "baseline_kld_mean": times * loss}
            caches.append({**named, **cache, "decode_ms_p50": times * row["llamacpp_decode_ms_p50"]})
    frame_of(Memory, memory).write_parquet(folder / MEMORY.place)
    frame_of(KvCache, caches).write_parquet(folder / KV_CACHE.place)
