"""What `inspect` prints of a results folder."""

from __future__ import annotations

import io

import polars as pl
from results_factory import make_results
from rich.console import Console

from evaluator.commands.results_table import inspect_results


def printed(folder):
    console = Console(file=io.StringIO(), width=200)
    console.print(inspect_results(folder)[1])
    return console.file.getvalue()


def test_variants_that_share_method_and_type_are_named_by_their_files(tmp_path):
    folder = make_results(tmp_path, methods=("main",), quants=("Q4_0", "Q8_0"), windows=4)
    frame = pl.read_parquet(folder / "variants.parquet")
    before = printed(folder)
    assert ".gguf" not in before
    of_q8 = pl.col("quant") == "Q8_0"
    frame.with_columns(
        quant=pl.when(of_q8).then(pl.lit("Q4_0")).otherwise("quant"),
        source=pl.when(of_q8).then(pl.lit("b.gguf")).when(~pl.col("is_baseline")).then(pl.lit("a.gguf")),
    ).write_parquet(folder / "variants.parquet")
    lines = printed(folder).splitlines()
    assert sum("Q4_0 (a.gguf)" in line for line in lines) >= 1
    assert sum("Q4_0 (b.gguf)" in line for line in lines) >= 1
