"""Name the engines that ran the files, and give one engine's columns names that are the same for all engines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import polars as pl

from evaluator.metrics import metric_families
from evaluator.metrics.columns import Column
from evaluator.results.schema import FIRST_ENGINE

_NAMES = {FIRST_ENGINE: f"packed ONNX ({FIRST_ENGINE})"}
#: The column with the name of the engine that the columns `run_…` are about.
ENGINE = "run_engine"
_PREFIX = "run_"
_TIMES = ("decode_ms_p50", "prefill_tps")


def in_words(engine: str) -> str:
    """Return an engine's name on the screen."""
    return _NAMES.get(engine, engine)


def as_run_by(engine: str) -> str:
    """Return how a file runs in an engine, for the end of a phrase: `in llama.cpp`."""
    return f"as {_NAMES[engine]}" if engine in _NAMES else f"in {engine}"


@cache
def columns_by_engine() -> Mapping[str, Mapping[str, Column]]:
    """Return `{engine: {quantity: column}}`, engines that run a file as it is downloaded before `FIRST_ENGINE`.

    The metric families say which engine their columns belong to, and what each column measures (`Column.run`).
    """
    found: dict[str, dict[str, Column]] = {}
    for family in metric_families():
        if family.engine:
            of_engine = found.setdefault(family.engine, {})
            of_engine.update({column.run: column for column in family.own if column.run})
    return {name: found[name] for name in sorted(found, key=lambda name: name == FIRST_ENGINE)}


@cache
def run_columns() -> tuple[str, ...]:
    """Return the columns that `as_run` adds, such as `run_decode_ms_p50`."""
    names = (name for columns in columns_by_engine().values() for name in columns)
    return (ENGINE, *dict.fromkeys(f"{_PREFIX}{name}" for name in names))


def shown(column: Column) -> str:
    """Return the column that holds a column's quantity as run in the chosen engine: itself if it is of no engine."""
    return f"{_PREFIX}{column.run}" if column.run else column.name


def column_of(engine: str, run_column: str) -> Column | None:
    """Return the column behind `run_column` in an engine; None if it is not measured there."""
    return columns_by_engine().get(engine, {}).get(run_column.removeprefix(_PREFIX))


def engines_in(variants: pl.DataFrame) -> tuple[str, ...]:
    """Return the engines in which a variant was timed, in the order of `columns_by_engine`."""
    return tuple(
        name
        for name, columns in columns_by_engine().items()
        if any(variants[columns[quantity].name].is_not_null().any() for quantity in _TIMES)
    )


def default_engine(variants: pl.DataFrame) -> str:
    """Return the first engine that timed a variant of the model and device that most variants are of.

    If none did, the first that timed any variant, else `FIRST_ENGINE`.
    """
    place = ["model", "device"]
    most = variants.group_by(place).len().sort("len", *place, descending=[True, False, False]).head(1)
    here = variants.join(most, on=place, how="semi")
    return next(iter(engines_in(here) or engines_in(variants)), FIRST_ENGINE)


def as_run(variants: pl.DataFrame, engine: str) -> pl.DataFrame:
    """Add the columns of a run in an engine under names that are the same for all engines.

    `run_decode_ms_p10|p50|p90`, `run_prefill_tps`, `run_load_s` and `run_peak_rss_bytes` are times and memory;
    `run_kld_added` is the loss that the engine adds to the file's own, and `run_kld_mean` the loss of the file as the
    engine runs it. What is not measured in the engine is null. `run_engine` is its name.

    Where the engine ran only some of the windows, `run_kld_mean` is `kld_mean` plus the change on those tokens: their
    own mean may lie above or below that of all tokens, whatever the engine does.
    """
    added = [pl.lit(engine).alias(ENGINE)]
    for name in run_columns()[1:]:
        column = column_of(engine, name)
        source = pl.lit(None, pl.Float64) if column is None else pl.col(column.name)
        added.append(source.alias(name))
    complete = variants.with_columns(added)
    some = pl.col(f"{_PREFIX}n_tokens") < pl.col("n_tokens")
    moved = pl.col("kld_mean") + pl.col(f"{_PREFIX}kld_change")
    measured = pl.col(f"{_PREFIX}kld_mean")
    return complete.with_columns(
        pl.when(some).then(moved).otherwise(measured).alias(measured.meta.output_name())
    )
