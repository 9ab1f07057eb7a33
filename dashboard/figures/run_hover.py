"""Write a file's speed in every engine that timed it, for the hover text of its point."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures import charts
from dashboard.insights.claim_rules import DECODE_TIME
from dashboard.insights.engine_gap import GAP, RUN_LOSS, is_timed, unknown_gap, words
from dashboard.insights.engines_compared import depth_in_words, depths, others
from dashboard.insights.speed_order import per_second
from dashboard.results.engines import ENGINE, in_words
from dashboard.results.rows import Row
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.style import formats
from dashboard.style.names import in_figure


def hover_of_runs(scope: Scope, rows: Sequence[Row]) -> dict[str, str]:
    """Return the hover text of each file, with its numbers in every engine that timed it."""
    lines: dict[str, list[str]] = {}
    for part in (scope, *(scope.narrowed(engine=engine) for engine in others(scope))):
        deep = depths(part)
        for row in part.rows:
            if is_timed(row):
                told = _speed_lines(row, part.selection)
                told += [depth_in_words(deep[row["variant_id"]])] if row["variant_id"] in deep else []
                told[0] = f"<b>{in_words(part.engine)}</b>: {told[0]}" if part.in_engine else told[0]
                lines.setdefault(row["variant_id"], []).extend(told)
    return {
        row["variant_id"]: "<br>".join(
            [
                charts.quality_lines(row),
                *lines[row["variant_id"]],
                in_figure(formats.device_name(row["device"])),
            ]
        )
        for row in rows
    }


def _speed_lines(row: Row, selection: Selection) -> list[str]:
    lines = []
    low, middle, high = DECODE_TIME
    if row[middle] is not None:
        rate = formats.number(per_second(row[middle]))
        lines.append(f"decode {rate} tokens/s, {formats.number(row[middle])} ms per token")
        if row[low] is not None and row[high] is not None:
            lines[0] += f" (p10–p90 {formats.number(row[low])}–{formats.number(row[high])})"
    if row["run_prefill_tps"] is not None:
        lines.append(f"prefill {formats.number(row['run_prefill_tps'])} tokens/s")
    if row["run_load_s"] is not None:
        lines.append(f"load {formats.number(row['run_load_s'])} s")
    adder = words(row[ENGINE]).hover
    if row[GAP] is not None:
        lines.append(f"{adder} adds {formats.number(row[GAP], 2)} nats to the file's own loss")
    else:
        lines.append(f"loss added by {adder}: {unknown_gap(selection)}")
    if row[RUN_LOSS] is not None:
        lines.append(f"mean KLD as run {formats.number(row[RUN_LOSS])} nats")
    return lines
