"""The measure that files have in common."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from results_factory import make_results

from dashboard.insights.layer_measures import ATTRIBUTION, HIDDEN, WEIGHT, Measure, having, shared
from dashboard.results.results import Results
from dashboard.results.scope import Scope

ALL = ("q2_k", "q4_0", "q8_0")


@pytest.mark.parametrize(
    ("attribution", "weight", "hidden", "expected"),
    [
        (ALL, ALL, ALL, ATTRIBUTION),
        (ALL[:2], ALL, ALL, WEIGHT),
        (ALL[:1], ALL[1:], ALL, HIDDEN),
        (ALL[:1], ALL[:2], ALL[1:], WEIGHT),
        (ALL[:1], (), (), ATTRIBUTION),
        ((), (), (), None),
    ],
)
def test_the_most_telling_measure_of_all_files_else_of_most(
    tmp_path: Path,
    attribution: tuple[str, ...],
    weight: tuple[str, ...],
    hidden: tuple[str, ...],
    expected: Measure | None,
) -> None:
    folder = make_results(
        tmp_path, methods=("main",), quants=("Q2_K", "Q4_0", "Q8_0"), windows=4, with_attribution=True
    )
    path = folder / "layers.parquet"
    kept = {"attribution_kld": attribution, "weight_error": weight, "hidden_error": hidden}
    quant = pl.col("variant_id").str.slice(len("main-"))
    pl.read_parquet(path).with_columns(
        **{column: pl.when(quant.is_in(quants)).then(pl.col(column)) for column, quants in kept.items()}
    ).write_parquet(path)
    results = Results.open(folder)
    rows = Scope(results).rows
    assert shared(results, rows) == expected
    assert {str(row["quant"]).lower() for row in having(results, rows)} == {*attribution, *weight, *hidden}
    assert shared(results, []) is None
