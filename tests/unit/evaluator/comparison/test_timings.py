"""The arithmetic behind the columns of timings."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evaluator.comparison.timings import decode_columns, speed_columns
from evaluator.runtime.timing import Exercise


def test_columns_are_medians_of_rounds_and_percentiles_of_tokens():
    seconds = {"load": [3.0, 1.0, 2.0], "prefill": [0.5, 1.0, 2.0], "decode": [i / 1000 for i in range(101)]}
    tokens = {"load": 0, "prefill": 100, "decode": 1}
    frame = pl.DataFrame(
        [
            {"phase": phase, "tokens": tokens[phase], "seconds": value, "context": context}
            for phase, values in seconds.items()
            for value in values
            for context in ([7, 8] if phase == "decode" else [0])
        ]
    )
    deeper = frame.with_columns(context=pl.lit(4096, pl.Int64), seconds=pl.lit(9.0))
    found = speed_columns(pl.concat([frame, deeper]), Exercise.of(np.arange(14, dtype=np.int32)))
    assert found == pytest.approx(
        {"load_s": 2, "prefill_tps": 100, "decode_ms_p10": 10, "decode_ms_p50": 50, "decode_ms_p90": 90}
    )


def test_decoding_after_thousands_of_tokens_is_a_column_of_its_own():
    rows = [
        ("decode", 1, seconds, context) for context, seconds in [(0, 9.0), (7, 0.1), (8, 0.3), (4096, 0.5)]
    ]
    frame = pl.DataFrame(rows, schema=["phase", "tokens", "seconds", "context"], orient="row")
    exercise = Exercise.of(np.arange(14, dtype=np.int32))
    assert decode_columns(frame, exercise) == pytest.approx({"decode_ms_p50": 200, "decode_deep_ms_p50": 500})
    assert decode_columns(frame.head(3), exercise) == pytest.approx({"decode_ms_p50": 200})
