"""Compare two variants as run in each engine: times, memory, and the loss that running adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dashboard.insights import Insight
from dashboard.insights.claim_rules import DECODE_TIME
from dashboard.insights.comparing import Difference
from dashboard.insights.engine_gap import is_timed, unknown_gap
from dashboard.insights.engines_compared import others
from dashboard.insights.speed_order import BY_SPREAD, is_faster, judged_by
from dashboard.results.cache_types import over_all_tokens
from dashboard.results.engines import as_run_by, columns_by_engine, shown
from dashboard.results.rows import Row, plus_minus
from dashboard.results.scope import Scope
from dashboard.style import columns, formats
from evaluator.metrics.columns import Column

#: Quantities that are told with the median between them.
_ENDS = ("decode_ms_p10", "decode_ms_p90")


@dataclass(frozen=True)
class Runs:
    """Two variants as run in one engine.

    `fastest` is which of the two decodes measurably faster, 0 or 1, or None; `by` is by what that was judged.
    """

    engine: str
    rows: tuple[Row, Row]
    fastest: int | None
    by: str
    lines: tuple[Difference, ...] = ()

    @property
    def both_timed(self) -> bool:
        """Whether both were timed while decoding."""
        return all(row[DECODE_TIME[1]] is not None for row in self.rows)


def runs(scope: Scope, first: Row, second: Row) -> list[Runs]:
    """Compare two variants in every engine that ran one of them, the chosen engine first.

    Empty in a folder whose files were only run as packed ONNX: `differences` has that engine's columns.
    """
    if not scope.in_engine:
        return []
    compared = []
    for engine in (scope.engine, *others(scope)):
        selection = replace(scope.all_variants, engine=engine)
        by_id = {str(row["variant_id"]): row for row in scope.results.select(selection).to_dicts()}
        one, other = (_over_all_tokens(by_id[str(row["variant_id"])], engine) for row in (first, second))
        pair = one, other
        if any(map(is_timed, pair)):
            run = Runs(engine, pair, _fastest(scope, pair), judged_by(scope.results, pair))
            compared.append(replace(run, lines=tuple(_lines(scope, run))))
    return compared


def _over_all_tokens(row: Row, engine: str) -> Row:
    """Return a row whose loss as run in an engine is over all tokens of the file, as on every page."""
    of_engine = columns_by_engine()[engine]
    if "kld_mean" not in of_engine:
        return row
    prefix = of_engine["kld_mean"].name.removesuffix("baseline_kld_mean")
    run = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    moved = over_all_tokens(run, row)
    return row | {name if name == "n_windows" else f"{prefix}{name}": value for name, value in moved.items()}


def _ran_some(row: Row) -> bool:
    """Return whether the engine ran only some of the file's tokens."""
    ran, scored = row["run_n_tokens"], row["n_tokens"]
    return ran is not None and scored is not None and ran < scored


def _fastest(scope: Scope, pair: tuple[Row, Row]) -> int | None:
    if any(row[DECODE_TIME[1]] is None for row in pair):
        return None
    ahead = [place for place in (0, 1) if is_faster(scope.results, pair[place], pair[1 - place])]
    return ahead[0] if ahead else None


def _lines(scope: Scope, run: Runs) -> Iterator[Difference]:
    for quantity, column in columns_by_engine()[run.engine].items():
        if quantity in _ENDS or all(row[column.name] is None for row in run.rows):
            continue
        one, other = (_value(scope, row, column) for row in run.rows)
        ratio = _ratio(run.rows, column)
        label = column.label.removesuffix(f", {run.engine}")
        if quantity == "kld_mean" and any(map(_ran_some, run.rows)):
            label = f"{label}, over all tokens"
        verdict, leader = "", None
        if quantity == "decode_ms_p50" and run.both_timed:
            leader = run.fastest
            verdict = "tied" if leader is None else f"{'AB'[leader]} faster"
        yield Difference(label, (one, other), ratio, verdict, leader, column.name)


def _value(scope: Scope, row: Row, column: Column) -> str:
    value = row[column.name]
    if value is None:
        return unknown_gap(scope.selection) if column.unit == "nats" else "not measured"
    low, middle, high = DECODE_TIME
    if column.error:
        return columns.value(column, value, plus_minus(row, column.name, column.error))
    if shown(column) != middle or row[low] is None or row[high] is None:
        return columns.value(column, value)
    return columns.value(column, value, f" ({formats.number(row[low])}–{formats.number(row[high])})")


def _ratio(rows: tuple[Row, Row], column: Column) -> str:
    one, other = (row[column.name] for row in rows)
    if not one or not other or one < 0 or other < 0:
        return ""
    times = formats.times(one / other)
    return f"A is {times} B" if times else "the same"


def speed_insight(compared: list[Runs]) -> Insight | None:
    """Say in one sentence which of the two decodes faster in each engine; None if both were timed in none."""
    timed = [run for run in compared if run.both_timed]
    if not timed:
        return None
    ranges, error = "the p10–p90 ranges overlap", "the difference is within the error of rounds timed in turn"
    tied = ranges if any(run.by == BY_SPREAD for run in timed) else error
    detail = f"medians of tokens decoded after the prompt; tied if {tied}"
    if all(run.fastest is None for run in timed):
        where = formats.listing([as_run_by(run.engine) for run in timed])
        return Insight(f"The two decode equally fast {where}.", "tie", detail)
    text = "; ".join(_told(run) for run in timed)
    kind = "finding" if len({run.fastest for run in timed}) == 1 else "caution"
    return Insight(f"{formats.first_up(text)}.", kind, detail)  # type: ignore[arg-type]  # one of the words


def _told(run: Runs) -> str:
    where = as_run_by(run.engine)
    if run.fastest is None:
        return f"{where} the two decode equally fast"
    ahead, behind = run.rows[run.fastest], run.rows[1 - run.fastest]
    times = formats.number(behind[DECODE_TIME[1]] / ahead[DECODE_TIME[1]], 2)
    return f"{where} {ahead['label']} decodes {times} × as fast as {behind['label']}"
