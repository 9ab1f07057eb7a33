"""Reduce timings to columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl

from evaluator.engines import Columns
from evaluator.runtime.timing import Exercise, Timing


def timing_frame(timings: Sequence[Timing]) -> pl.DataFrame:
    """Return one round's timings as rows of the speed frame; the store numbers the repetitions."""
    return pl.DataFrame([asdict(timing) for timing in timings])


def rounds_in(timings: pl.DataFrame) -> int:
    """Return how many rounds a variant's rows of the speed frame hold."""
    return timings.filter(pl.col("phase") == "load").height


def speed_columns(timings: pl.DataFrame, exercise: Exercise) -> Columns:
    """Return the medians over rounds of load and prefill, and percentiles over all tokens decoded after the prompt.

    Timings of other depths do not count.
    """
    prompt, end = len(exercise.prompt), len(exercise.prompt) + len(exercise.following)

    def of(phase: str, *contexts: int) -> pl.DataFrame:
        return timings.filter(pl.col("phase") == phase, pl.col("context").is_in(contexts))

    after_prompt = of("decode", *range(prompt, end))
    decode = (1000 * after_prompt["seconds"] / after_prompt["tokens"]).to_numpy()
    prefill = of("prefill", 0)
    columns: Columns = {
        "load_s": float(np.median(of("load", 0)["seconds"].to_numpy())),
        "prefill_tps": float(np.median((prefill["tokens"] / prefill["seconds"]).to_numpy())),
    }
    return columns | {
        f"decode_ms_p{percent}": float(np.percentile(decode, percent)) for percent in (10, 50, 90)
    }


def decode_columns(timings: pl.DataFrame, exercise: Exercise) -> Columns:
    """Return the median time per token decoded after the prompt, and after more, where that was timed."""
    decode = timings.filter(pl.col("phase") == "decode").with_columns(
        ms=1000 * pl.col("seconds") / pl.col("tokens")
    )
    prompt, end = len(exercise.prompt), len(exercise.prompt) + len(exercise.following)
    columns: Columns = {}
    for name, part in (
        ("decode_ms_p50", decode.filter(pl.col("context").is_in(range(prompt, end)))),
        ("decode_deep_ms_p50", decode.filter(pl.col("context") >= end)),
    ):
        if part.height:
            columns[name] = float(np.median(part["ms"].to_numpy()))
    return columns
