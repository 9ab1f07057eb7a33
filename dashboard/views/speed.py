"""Draw view 4: speed against closeness to the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from dashboard.figures import axes, charts
from dashboard.figures.drawing import Drawing
from dashboard.figures.labels import Labels
from dashboard.figures.log_scale import LogScale
from dashboard.figures.run_hover import hover_of_runs
from dashboard.figures.run_loss import add_other_engine, add_run_loss
from dashboard.insights import Insight
from dashboard.insights.claim_rules import DECODE_TIME, Spread, overlap
from dashboard.insights.claims import claims_of
from dashboard.insights.comparison import NOTHING, divergence, elsewhere
from dashboard.insights.engine_gap import GAP, gap_insight, loss_as_run, unknown_gap
from dashboard.insights.engines_compared import compared, others, slowing
from dashboard.insights.faults import sound
from dashboard.insights.picks import Telling, by_column
from dashboard.insights.speeds import (
    bits_and_speed,
    four_bits,
    of_four_bits,
    slowness,
    spread_of,
    tell_equal_speed,
    timed,
    timing,
)
from dashboard.insights.undrawn import undrawn
from dashboard.results.engines import as_run_by, columns_by_engine, in_words
from dashboard.results.exported import variants_with
from dashboard.results.results import Results
from dashboard.results.rows import Row, front_of, one_place, places_apart
from dashboard.results.scope import Scope
from dashboard.results.selection import Selection
from dashboard.results.statistics import pareto
from dashboard.style import formats
from dashboard.style.theme import HIGHLIGHT, QUIET
from dashboard.views import Absent, Option, View, command_for
from evaluator.results.files import SPEED
from evaluator.results.schema import FIRST_ENGINE

_PHASE = Option("phase", "Phase", (("decode", "decode"), ("prefill", "prefill")))
_ENGINES = Option(
    "engines",
    "Engines",
    (("one", "chosen"), ("both", "both")),
    lambda results: frozenset({"both"} if len(results.engines) == 1 else ()),
    # Of several models or devices, open points are those of the second.
    applies=lambda scope: not places_apart(scope.rows),
)


def _columns(selection: Selection) -> Spread:
    """Return the columns of the p10, median and p90 of the selected phase."""
    return spread_of(_PHASE.of(selection))


def _rows(scope: Scope) -> list[Row]:
    return timed(scope, _PHASE.of(scope.selection))


def _other_runs(scope: Scope, rows: Sequence[Row]) -> list[Row]:
    """Return the drawn files as run in the other engines, if both are to be drawn."""
    if not _ENGINES.applies(scope) or _ENGINES.offered(scope.results, scope.selection) == "one":
        return []
    ids = {row["variant_id"] for row in rows}
    found = (row for engine in others(scope) for row in _rows(scope.narrowed(engine=engine)))
    return [row for row in found if row["variant_id"] in ids]


def figure(scope: Scope) -> Drawing:
    """Draw time or rate (median, p10–p90) against mean KLD, with rings at 4 to 5 bits and the Pareto front."""
    rows = _rows(scope)
    if not rows:
        return charts.message_figure(f"No selected variant has a {_PHASE.of(scope.selection)} time")
    columns = low, middle, high = _columns(scope.selection)
    decode = columns == DECODE_TIME
    x, more = [row[middle] for row in rows], _other_runs(scope, rows)
    ends = [row[name] for row in (*rows, *more) for name in (low, middle, high) if row[name] is not None]
    heights = [height for row in (*rows, *more) for height in (row["kld_mean"], loss_as_run(row))]
    x_range, scale = axes.padded(ends, 0.05), LogScale.of(heights, margin=0.1)
    front = front_of(rows, [slowness(row, columns) for row in rows], [row["kld_mean"] for row in rows])
    wanted = {rows[index]["variant_id"] for index in front}
    points = [(value, scale.height(row["kld_mean"])) for value, row in zip(x, rows, strict=True)]
    whiskers = [
        [point, (point[0], scale.height(loss_as_run(row)))] for point, row in zip(points, rows, strict=True)
    ]
    of = {row["variant_id"]: point for row, point in zip(rows, points, strict=True)}
    whiskers += [[of[row["variant_id"]], (row[middle], of[row["variant_id"]][1])] for row in more]
    labels = Labels(
        rows,
        points,
        (x_range, scale.range),
        wanted,
        scope.selection.picked | {str(_by_speed(rows, columns)[0]["variant_id"])},
        "bottom left" if decode else "bottom right",
        whiskers,
    )
    drawn = Drawing()
    steps = ([x[i] for i in front], [scale.place(rows[i]["kld_mean"]) for i in front])
    charts.add_front(drawn, rows, *steps, "hv" if decode else "vh")
    _ring_four(drawn, rows, middle, scale)
    curves = charts.series(scope.results, rows)
    add_run_loss(drawn, curves, scope.selection, rows, middle, scale, hollow=not more)
    hover = hover_of_runs(scope, rows)
    if more:
        add_other_engine(drawn, scope, rows, more, middle, scale, hover)
    for curve in [above for curve in curves if (above := scale.above(curve, "kld_mean")).rows]:
        drawn.add_scatter(
            x=[row[middle] for row in curve.rows],
            y=[row["kld_mean"] for row in curve.rows],
            mode="markers+text",
            marker=curve.marker(10),
            hovertext=[hover[row["variant_id"]] for row in curve.rows],
            **_bars(curve, columns),
            **labels.at(curve.rows),
            **charts.points(curve, scope.selection, rows),
        )
    times = {row["variant_id"]: row[middle] for row in rows}
    scale.draw_rest(drawn, curves, "kld_mean", times, hover, labels, scope.selection)
    charts.add_places(drawn, curves)
    drawn.update_layout(showlegend=True)
    drawn.update_xaxes(title_text=_title(scope, decode=decode, both=bool(more)), range=x_range)
    drawn.update_yaxes(title_text="mean KL divergence (nats per token, log scale)", **scale.axis)
    better = {"x": 0.01 if decode else 0.99, "xanchor": "left" if decode else "right"}
    better["text"] = "↙ faster and closer" if decode else "faster and closer ↘"
    drawn.add_annotation(showarrow=False, xref="paper", yref="paper", y=0.01, yanchor="bottom", **better)
    return drawn


def _title(scope: Scope, *, decode: bool, both: bool) -> str:
    where = "" if both else scope.in_engine
    if decode:
        return f"decode time per token{where} (ms, median; bars p10–p90)"
    return f"prefill speed{where} (tokens per second, median; bars p10–p90)"


def _ring_four(drawn: Drawing, rows: Sequence[Row], column: str, scale: LogScale) -> None:
    four = of_four_bits(rows)
    if not four:
        return
    drawn.add_scatter(
        x=[row[column] for row in four],
        y=[scale.place(row["kld_mean"]) for row in four],
        mode="markers",
        marker={"size": 22, "color": HIGHLIGHT, "line": {"width": 1.2, "color": QUIET}},
        name="4 to 5 bits",
        hoverinfo="skip",
    )


def _bars(curve: charts.Series, columns: Spread) -> dict[str, Any]:
    """Return error bars: p10–p90 across, the 95 % interval of the mean KLD up and down."""
    low, middle, high = columns
    ahead = [max(0.0, (row[high] or row[middle]) - row[middle]) for row in curve.rows]
    behind = [max(0.0, row[middle] - (row[low] or row[middle])) for row in curve.rows]
    kld = [divergence(row) for row in curve.rows]
    upper = [e.half if e.has_error else 0.0 for e in kld]
    lower = [min(bar, 0.98 * e.value) for bar, e in zip(upper, kld, strict=True)]
    return {
        "error_x": charts.error_bars(curve.style, ahead, behind),
        "error_y": charts.error_bars(curve.style, upper, lower),
    }


def _by_speed(rows: Sequence[Row], columns: Spread) -> list[Row]:
    """Return the rows of one model on one device, fastest first; the title names the first."""
    return sorted(one_place(rows), key=lambda row: (slowness(row, columns), str(row["variant_id"])))


def headline(scope: Scope) -> str:
    """Name the fastest variant, and count the others within its spread."""
    columns = _columns(scope.selection)
    rows = _by_speed(sound(scope.results, _rows(scope)), columns)
    if not rows:
        return f"No selected variant was timed{scope.in_engine}"
    fastest = rows[0]
    pairs = [(fastest, row) if columns == DECODE_TIME else (row, fastest) for row in rows[1:]]
    tied = sum(overlap(lower, higher, columns) for lower, higher in pairs)
    value = formats.number(fastest[columns[1]])
    rate = f"decodes fastest{scope.in_engine}, {value} ms per token"
    if columns != DECODE_TIME:
        rate = f"prefills fastest{scope.in_engine}, {value} tokens per second"
    speed = f"{fastest['label']} {rate}"
    more = "one more is" if tied == 1 else f"{tied} more are"
    return f"{speed}; {more} within its spread" if tied else speed


def insights(scope: Scope) -> list[Insight]:
    """Describe the front, the engines, accuracy at equal speed, bits against speed, 4 bits, and the timing.

    All are about the shown phase in the chosen engine; equal speed and depths are told of decoding only.
    """
    passing, columns, phase = _rows(scope), _columns(scope.selection), _PHASE.of(scope.selection)
    kept = one_place(passing)
    rows = sound(scope.results, kept)
    if not rows:
        return [NOTHING]
    slow = [slowness(row, columns) for row in rows]
    front = [rows[i] for i in pareto(slow, [row["kld_mean"] for row in rows])]
    names = [row["label"] for row in sorted(front, key=lambda row: slowness(row, columns))]
    text = f"Worth running for {phase} speed{scope.in_engine}: {formats.listing(names, 5)}."
    candidates = [
        Insight(text, "finding", "no other selected variant is both faster and closer to the baseline"),
        *compared(scope, rows, phase),
        tell_equal_speed(scope, rows) if columns == DECODE_TIME else None,
        bits_and_speed(rows, phase, scope.in_engine),
        four_bits(rows, front),
        gap_insight(rows, scope.selection),
        slowing(scope, rows) if columns == DECODE_TIME else None,
        timing(scope, rows, phase),
    ]
    lacking = undrawn(scope.rows, passing, f"no {phase} time{scope.in_engine} or no divergence was measured")
    return [*(insight for insight in candidates if insight is not None), *elsewhere(passing, kept), *lacking]


def _absent(results: Results) -> Absent | None:
    timed = results.measured.select(pl.col("run_decode_ms_p50", "run_prefill_tps").is_not_null().any())
    if any(timed.row(0)):
        return None
    return Absent(
        f"decode, prefill and load times ({SPEED.name}); run without --no-speed",
        command_for(results),
    )


def _noted(scope: Scope) -> str:
    """Say what runs at the drawn speed, and how far it is from the baseline."""
    rows = _rows(scope)
    more = _other_runs(scope, rows)
    unknown = f"The loss that running adds is {unknown_gap(scope.selection)}."
    known = any(row[GAP] is not None for row in (*rows, *more))
    if more:
        chosen, other = in_words(scope.engine), formats.listing(list(map(in_words, others(scope))))
        lines = "Lines up to a dash lead to the loss of the file as run in each engine." if known else unknown
        return (
            f"Filled: {chosen}; open: {other}, without bars; a line joins the two points of a file. {lines} "
            "The front and the rings are of the filled points."
        )
    packed = scope.engine == FIRST_ENGINE
    timed_as = "Timed is the model packed as ONNX." if packed else f"Timed {as_run_by(scope.engine)}."
    if not known:
        return f"{timed_as} {unknown}"
    if packed:
        return (
            f"{timed_as} A line up to a hollow marker adds the loss from packing: the model that runs at this speed "
            "is about that far from the baseline."
        )
    return f"{timed_as} A line leads to a hollow marker at the loss of the file as run there, {_measured_on(rows)}."


def _measured_on(rows: Sequence[Row]) -> str:
    """Say on which tokens the losses as run were measured."""
    some = [ran for row in rows if (ran := row["run_n_tokens"]) and ran < row["n_tokens"]]
    if not some:
        return "which was measured"
    return f"its own loss and what running changed on {formats.count(min(some))} tokens"


def _data(scope: Scope) -> pl.DataFrame:
    """Return the columns of the drawn engines."""
    both = _other_runs(scope, _rows(scope))
    drawn = scope.results.engines if both else (scope.engine,)
    names = (column.name for engine in drawn for column in columns_by_engine()[engine].values())
    return variants_with(*names, "kld_mean")(scope)


def _tells(scope: Scope) -> Telling:
    """Tell a variant's speed in the chosen phase and engine."""
    return by_column(_columns(scope.selection)[1])(scope)


VIEW = View(
    id="speed",
    tells=_tells,
    number=4,
    tab="Speed",
    title="Speed against accuracy",
    caption="Median speed with its p10–p90 range over repetitions, against the mean KL divergence of the file's "
    "weights from the baseline (95 % intervals, clustered by window). Rings mark variants of 4 to 5 measured bits.",
    noted=_noted,
    unfiltered="The divergence is over the filtered tokens; the filter does not affect times.",
    headline=headline,
    draw=figure,
    insights=insights,
    data=_data,
    absent=_absent,
    options=(_PHASE, _ENGINES),
    claims=claims_of("speed"),
)
